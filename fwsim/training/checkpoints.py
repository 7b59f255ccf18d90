"""Files of training checkpoints: whole or absent, with a digest, and checked before they are used."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fwsim.errors import RecordingError

MARK = b"\nfwsim sha256 "
"""Stands before the digest, which ends the file; whatever reads torch's own files passes over it."""
ENDING = len(MARK) + 64 + 1


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all, also where the power fails: to a draft on the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    payload = buffer.getbuffer()
    draft = path.with_suffix(".part")
    draft.unlink(missing_ok=True)  # of a run that was killed; or a link, which is not to be written through
    with draft.open("xb") as file:
        file.write(payload)
        file.write(MARK + hashlib.sha256(payload).hexdigest().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain data are loaded, never code, and only what was written.

    Raises
    ------
    RecordingError
        The file is not there, is no checkpoint, or is damaged.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no plain file")
        whole = path.read_bytes()
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read as a checkpoint ({error.strerror or error}); give one, or train again"
        ) from error
    payload, ending = whole[:-ENDING], whole[-ENDING:]
    if not ending.startswith(MARK):
        raise RecordingError(
            f"{path} is no checkpoint: it does not end with a digest; it is damaged or not of this version, "
            "so delete it and train again"
        )
    if ending != MARK + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        raise RecordingError(
            f"{path} is damaged: its content is not what its digest is of; delete it and train again"
        )
    try:
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a strange file makes torch raise
        raise RecordingError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}); delete it"
        ) from error
    if not isinstance(content, dict):
        raise RecordingError(f"{path} is no checkpoint: it holds a {type(content).__name__}; delete it")
    return content


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a model.

    Raises
    ------
    RecordingError
        They are of another model, which is left as it was.
    """
    check_weights(model, weights)
    model.load_state_dict(weights)


def check_weights(model: nn.Module, weights: Any) -> None:
    """Raise `RecordingError` unless weights have the names, shapes and kinds of numbers of the model's own."""
    problem = _unlike(model.state_dict(), weights)
    if problem:
        raise RecordingError(f"the checkpoint is of another model ({problem}); use the run's configuration")


def fitting_optimiser(optimiser: Any, saved: Any) -> dict[str, Any]:
    """State of an optimiser for its `load_state_dict`, from one that was saved, once it is found to fit.

    Fused optimisers take what they are given: sums of another shape would be read beyond their end.

    Raises
    ------
    ValueError
        It does not fit.
    """
    now = optimiser.state_dict()
    groups = [
        {**mine, "lr": float(group["lr"]), "betas": tuple(map(float, group["betas"]))}
        for mine, group in zip(now["param_groups"], saved["param_groups"], strict=True)
    ]
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state = {}
    for place, sums in saved["state"].items():
        weight = dict(enumerate(weights))[place]
        expected = {"step": torch.zeros(()), "exp_avg": weight, "exp_avg_sq": weight}
        problem = _unlike(expected, sums)
        if problem:
            raise ValueError(f"of its optimiser, {problem}")
        # In the order in memory that the optimiser gives them itself.
        state[place] = {
            name: torch.empty_like(like, device="cpu", requires_grad=False).copy_(sums[name])
            for name, like in expected.items()
        }
    return {"state": state, "param_groups": groups}


def _unlike(expected: Mapping[str, Any], given: Any) -> str:
    """What makes the tensors that are given no replacement for those expected, `""` if nothing does."""
    if not isinstance(given, Mapping) or not all(isinstance(each, Tensor) for each in given.values()):
        return "no tensors by name"
    for name, tensor in expected.items():
        if not isinstance(tensor, Tensor):
            continue  # extra state of a module
        if name not in given:
            return f"{name} is missing"
        if given[name].shape != tensor.shape:
            return f"{name} has shape {list(given[name].shape)} instead of {list(tensor.shape)}"
        kinds = [(each.is_floating_point(), each.is_complex(), each.layout) for each in (given[name], tensor)]
        if kinds[0] != kinds[1]:
            return f"{name} is {given[name].dtype} instead of {tensor.dtype}"
    more = [str(name) for name in given if name not in expected]
    return f"{more[0]} is not known" if more else ""
