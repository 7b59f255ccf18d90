"""Checkpoints of trainings: reading, and checks that they fit a model and its optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fwsim.errors import RecordingError, instance
from fwsim.names import known_arguments
from fwsim.recording.tensor_files import load


@known_arguments
def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Only tensors and plain data are loaded, never code, and only unchanged files.

    Raises
    ------
    RecordingError
        The file is missing, is no checkpoint, or is damaged.
    """
    return load(path, "train again")


@known_arguments
def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights into a model.

    Raises
    ------
    RecordingError
        They are of another model; the model is unchanged.
    """
    instance("model", model, nn.Module, "a network (torch.nn.Module)")
    check_weights(model, weights)
    model.load_state_dict(weights)


def check_weights(model: nn.Module, weights: Any) -> None:
    """Raise `RecordingError` unless weights have the names, shapes and kinds of numbers of the model's own."""
    problem = _unlike(model.state_dict(), weights)
    if problem:
        raise RecordingError(f"the checkpoint is of another model ({problem}); use the run's configuration")


def fitting_optimiser(optimiser: Any, saved: Any) -> dict[str, Any]:
    """State of an optimiser for its `load_state_dict`, from a saved one, after a check that it fits.

    Fused optimisers do not check: with another shape they would read beyond the end of memory.

    Raises
    ------
    ValueError
        It does not fit.
    """
    now = optimiser.state_dict()
    groups = [
        {**mine, "lr": float(group["lr"]), "betas": _two_rates(group["betas"])}
        for mine, group in zip(now["param_groups"], saved["param_groups"], strict=True)
    ]
    weights = dict(enumerate(weight for group in optimiser.param_groups for weight in group["params"]))
    state = {}
    for place, sums in saved["state"].items():
        weight = weights[place]
        expected = {"step": torch.zeros(()), "exp_avg": weight, "exp_avg_sq": weight}
        problem = _unlike(expected, sums)
        if problem:
            raise ValueError(f"of its optimiser, {problem}")
        # With the memory order that the optimiser itself uses.
        state[place] = {
            name: torch.empty_like(like, device="cpu", requires_grad=False).copy_(sums[name])
            for name, like in expected.items()
        }
    return {"state": state, "param_groups": groups}


def _two_rates(betas: Any) -> tuple[float, float]:
    """Decay rates of the two moments of Adam; `ValueError` for anything else."""
    first, second = map(float, betas)
    if not (0 <= first < 1 and 0 <= second < 1):
        raise ValueError(
            f"of its optimiser, betas are {first}, {second}; they must be at least 0 and below 1"
        )
    return first, second


def _unlike(expected: Mapping[str, Any], given: Any) -> str:
    """Why the given tensors cannot replace the expected ones, `""` if they can."""
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
