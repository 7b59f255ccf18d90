"""State of a training run, its copies on disk, and how it continues from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fwsim.errors import ConfigError, RecordingError
from fwsim.recording.tensor_files import save
from fwsim.training.checkpoints import check_weights, fitting_optimiser, load_checkpoint, load_weights
from fwsim.training.processes import Processes

ROW = ("loss", "validation", "step_size", "wall_time")
"""Columns of an epoch in the history."""
FREE = ("epochs", "patience")
"""Options that may change when a run continues; a schedule for a fixed number of epochs must not change."""


class TrainingRun:
    """State of a training run.

    Parameters
    ----------
    model, optimiser, schedule
        The present ones.
    folder
        Folder of `last.pt` and `best.pt`; with `None` the best weights are in memory only.
    together
        The processes that train; the first one writes, and the others begin at its state.
    options
        Options of the training, by name, to check that a run continues with the same ones; `schedule`, `epochs` and
        `steps_per_epoch` are among them.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: Any,
        schedule: Any,
        folder: Path | None,
        together: Processes,
        options: Mapping[str, Any],
    ) -> None:
        self.model, self.optimiser, self.schedule = model, optimiser, schedule
        self.folder, self.together, self.options = folder, together, dict(options)
        self.rows: list[dict[str, float]] = []
        self.best, self.best_epoch = math.inf, -1
        self.best_weights = _copy(model)

    @property
    def done(self) -> int:
        """Number of epochs."""
        return len(self.rows)

    def finish(self, epoch: int, score: float | None, row: Mapping[str, float]) -> None:
        """Record an epoch. Without a score it counts as the best so far; with a NaN score it is never the best.

        As long as no epoch is the best, the latest weights are used instead. `last.pt` is written last, so that it
        never refers to a missing `best.pt`.
        """
        self.rows.append({name: row[name] for name in ROW})
        better = score is None or score < self.best or (self.best_epoch < 0 and not math.isnan(score))
        if better:
            self.best, self.best_epoch = math.nan if score is None else score, epoch
        kept = better or self.best_epoch < 0
        if kept:
            self.best_weights = _copy(self.model)
        if self.folder is not None and self.together.first:
            if kept:
                save(self.folder / "best.pt", {"model": self.best_weights, "epoch": epoch})
            save(
                self.folder / "last.pt",
                {
                    "model": _copy(self.model),
                    "optimiser": self.optimiser.state_dict(),
                    **_random(self.model),
                    "rows": self.rows,
                    "best": self.best,
                    "best_epoch": self.best_epoch,
                    "options": self.options,
                },
            )

    def begin(self, *, resume: bool) -> None:
        """Begin at the state of the first process: its weights, or its `last.pt` if it exists.

        Raises
        ------
        RecordingError
            The files are damaged, or of another training; nothing is changed.
        ConfigError
            The options differ from those of the start.
        """
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
        """Use a saved state, after all of it was checked."""
        try:
            check_weights(self.model, saved["model"])
            check_weights(self.model, best["model"])
            self._check_options(saved["options"], len(saved["rows"]))
            state = fitting_optimiser(self.optimiser, saved["optimiser"])
            generators = self._generators(saved)
            rows = _history(saved, best)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, AttributeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise RecordingError(
                f"{self.folder}/last.pt is no checkpoint of this training ({_named(error)}); "
                "delete it and best.pt, and train again"
            ) from error
        load_weights(self.model, saved["model"])
        self.optimiser.load_state_dict(state)
        for device, generator in generators.items():
            if device == "cpu":
                torch.set_rng_state(generator)
            else:
                torch.cuda.set_rng_state(generator, device)
        self.rows, self.best, self.best_epoch = rows, saved["best"], saved["best_epoch"]
        self.best_weights = best["model"]
        steps = self.done * self.options["steps_per_epoch"]
        # The options and the number of steps determine a schedule; the rest of its state is in the optimiser.
        self.schedule.load_state_dict(
            {
                "last_epoch": steps,
                "_step_count": steps + 1,
                "_last_lr": [group["lr"] for group in state["param_groups"]],
            }
        )

    def _check_options(self, before: Mapping[str, Any], done: int) -> None:
        """Raise `ConfigError` unless the present options agree with those `before`."""
        for name, now in self.options.items():
            if name not in FREE and before[name] != now:
                raise ConfigError(
                    f"{name}={now!r}, but the run in {self.folder} was trained with {before[name]!r}; "
                    "continue with that, or train in another folder"
                )
        epochs, then = self.options["epochs"], before["epochs"]
        if self.options["schedule"] == "onecycle" and epochs != then:
            raise ConfigError(
                f"epochs={epochs}, but the one-cycle schedule of the run in {self.folder} is for {then}; continue with "
                f"epochs={then}, or train in another folder (a constant schedule can be made longer)"
            )
        if epochs < done:
            raise ConfigError(
                f"epochs={epochs}, but the run in {self.folder} has done {done}; give at least as many, "
                "or train in another folder"
            )

    def _generators(self, saved: Mapping[str, Any]) -> dict[Any, Tensor]:
        """States of generators by device, after a check of each."""
        found: dict[Any, Tensor] = {"cpu": saved["random"]}
        device = _gpu(self.model)
        if device is not None and "random_on_gpu" in saved:
            found[device] = saved["random_on_gpu"]
        for place, state in found.items():
            torch.Generator(place).set_state(state)
        return found

    def restore_best(self) -> None:
        """Give the model the weights of its best epoch."""
        load_weights(self.model, self.best_weights)


def _history(saved: Mapping[str, Any], best: Mapping[str, Any]) -> list[dict[str, float]]:
    """Rows of the epochs, after a check that they, the best score and its epoch agree."""
    rows, score, epoch = saved["rows"], saved["best"], saved["best_epoch"]
    if not isinstance(rows, list) or not all(
        isinstance(row, dict)
        and set(row) == set(ROW)
        and all(isinstance(each, float) for each in row.values())
        for row in rows
    ):
        raise ValueError("its rows are no epochs")
    if not isinstance(score, float) or not isinstance(epoch, int) or not -1 <= epoch < len(rows):
        raise ValueError("its best epoch is none")
    # A run that is killed between the two files has written the weights of an epoch that it will repeat.
    if best["epoch"] not in (epoch if epoch >= 0 else len(rows) - 1, len(rows)):
        raise ValueError("best.pt is of another run")
    return rows


def _named(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _gpu(model: nn.Module) -> torch.device | None:
    device = next(model.parameters()).device
    return device if device.type == "cuda" else None


def _random(model: nn.Module) -> dict[str, Tensor]:
    """States of the generators that a model uses, for example for dropout."""
    device = _gpu(model)
    on_gpu = {} if device is None else {"random_on_gpu": torch.cuda.get_rng_state(device)}
    return {"random": torch.get_rng_state(), **on_gpu}


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
