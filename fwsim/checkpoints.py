"""Checkpoints of a training run: what it has done, its copies on disk, and how it goes on from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fwsim.distributed import Processes
from fwsim.errors import RecordingError


class TrainingRun:
    """What a training run has done.

    Parameters
    ----------
    model, optimiser, schedule
        As they are now.
    folder
        Where `last.pt` and `best.pt` are; `None` keeps the best weights in memory only.
    together
        The processes that train; the first one writes, and the others begin where it does.
    """

    def __init__(
        self, model: nn.Module, optimiser: Any, schedule: Any, folder: Path | None, together: Processes
    ) -> None:
        self.model, self.optimiser, self.schedule = model, optimiser, schedule
        self.folder, self.together = folder, together
        self.rows: list[dict[str, float]] = []
        self.best, self.best_epoch = float("inf"), -1
        self.best_weights = _copy(model)

    @property
    def done(self) -> int:
        """Number of epochs."""
        return len(self.rows)

    def finish(self, epoch: int, score: float | None, row: Mapping[str, float]) -> None:
        """Note an epoch, the best so far if it has no score.

        `last.pt` is written last, so that it never speaks of a missing `best.pt`.
        """
        self.rows.append(dict(row))
        better = score is None or score < self.best or self.best_epoch < 0
        if better:
            self.best, self.best_epoch = float("nan") if score is None else score, epoch
            self.best_weights = _copy(self.model)
        if self.folder is not None and self.together.first:
            if better:
                _save(self.folder / "best.pt", {"model": self.best_weights})
            _save(
                self.folder / "last.pt",
                {
                    "model": _copy(self.model),
                    "optimiser": self.optimiser.state_dict(),
                    "schedule": self.schedule.state_dict(),
                    **_random(self.model),
                    "rows": self.rows,
                    "best": self.best,
                    "best_epoch": self.best_epoch,
                },
            )

    def begin(self, *, resume: bool) -> None:
        """Begin where the first process does: with its weights, or at its `last.pt` if it is there."""
        if self.together.several:
            load_weights(self.model, self.together.from_first(lambda: _copy(self.model)))
        found = self.together.from_first(self._saved) if resume else None
        if found is not None:
            self._restore(*found)

    def _saved(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if self.folder is None or not (self.folder / "last.pt").exists():
            return None
        return load_checkpoint(self.folder / "last.pt"), load_checkpoint(self.folder / "best.pt")

    def _restore(self, saved: Mapping[str, Any], best: Mapping[str, Any]) -> None:
        try:
            load_weights(self.model, saved["model"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.schedule.load_state_dict(saved["schedule"])
            torch.set_rng_state(saved["random"])
            device = _gpu(self.model)
            if device is not None and "random_on_gpu" in saved:
                torch.cuda.set_rng_state(saved["random_on_gpu"], device)
            self.rows, self.best, self.best_epoch = saved["rows"], saved["best"], saved["best_epoch"]
            self.best_weights = best["model"]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise RecordingError(
                f"last.pt is no checkpoint of this training ({type(error).__name__}); delete it"
            ) from error

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch."""
        load_weights(self.model, self.best_weights)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain data are loaded, never code.

    Raises
    ------
    RecordingError
        The file is not a checkpoint.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RecordingError(
            f"{path.name} cannot be read as a checkpoint ({type(error).__name__}); delete it"
        ) from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a model.

    Raises
    ------
    RecordingError
        They are of another model.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        problem = str(error).splitlines()[-1].strip()
        raise RecordingError(
            f"the checkpoint is of another model ({problem}); use the run's configuration"
        ) from error


def _gpu(model: nn.Module) -> torch.device | None:
    device = next(model.parameters()).device
    return device if device.type == "cuda" else None


def _random(model: nn.Module) -> dict[str, Tensor]:
    """States of the generators that a model draws from, as for dropout."""
    device = _gpu(model)
    on_gpu = {} if device is None else {"random_on_gpu": torch.cuda.get_rng_state(device)}
    return {"random": torch.get_rng_state(), **on_gpu}


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _save(path: Path, content: Mapping[str, Any]) -> None:
    """Write whole or not at all: to a temporary file that is then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    torch.save(dict(content), draft)
    os.replace(draft, path)
