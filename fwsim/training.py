"""One training loop for every network: epochs, validation, early stopping, checkpoints, resume."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from fwsim.errors import ConfigError, DivergedError, RecordingError, choice
from fwsim.progress import Advance, track

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.tasks import LabelledImages, Sequences

    Examples = Sequences | LabelledImages

SCHEDULES = ("onecycle", "constant")

Batch = Any
Objective = Callable[[nn.Module, Batch], Tensor]
Batches = Callable[[int], Iterable[Batch]]
Validate = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    epochs
        Most epochs.
    learning_rate
        Of Adam; the peak of a one-cycle schedule.
    schedule
        `"onecycle"` (Smith & Topin 2019: warm up, anneal to nothing) or `"constant"`.
    clip
        Largest norm of the gradient; infinity for none.
    patience
        Stop after so many epochs without a better validation score; `None` never stops early.
    precision
        Of lightning-fabric, e.g. `"32-true"` or `"bf16-mixed"`.
    """

    epochs: int
    learning_rate: float = 1e-3
    schedule: str = "onecycle"
    clip: float = float("inf")
    patience: int | None = None
    precision: str = "32-true"

    def __post_init__(self) -> None:
        choice("schedule", self.schedule, SCHEDULES)
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)} is not allowed; it must be positive")
        if self.epochs < 1:
            raise ConfigError(f"epochs={self.epochs} is not allowed; it must be at least 1")


class Track(Protocol):
    """Shows progress; `fwsim.progress.track` or a context's `progress`."""

    def __call__(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Open a bar of `total` steps."""


def train(
    model: nn.Module,
    objective: Objective,
    batches: Batches,
    steps_per_epoch: int,
    validate: Validate,
    training: Training,
    *,
    device: str | torch.device = "cpu",
    checkpoints: Path | None = None,
    resume: bool = False,
    progress: Track = track,
) -> xr.Dataset:
    """Train a network in place; afterwards it has the weights of its best epoch.

    Parameters
    ----------
    model
        Moved to `device`.
    objective
        `(model, batch) → loss`.
    batches
        Epoch number → its batches; the same number must give the same batches, so that a resumed run repeats them.
    steps_per_epoch
        Number of batches in an epoch.
    validate
        `(model) → score` after each epoch, smaller is better, without gradients.
    training
        How.
    checkpoints
        Folder for `last.pt` and `best.pt`; `None` keeps the best weights in memory only.
    resume
        Go on from `last.pt` if it is there.
    progress
        Shows the bar.

    Returns
    -------
    xarray.Dataset
        `loss`, `validation`, `step_size` (the learning rate as scheduled), `wall_time` over `epoch`; attributes
        `best_epoch`, `best_validation`.

    Raises
    ------
    DivergedError
        The loss became NaN or infinite.
    RecordingError
        A checkpoint does not fit the model.
    """
    fabric, wrapped, optimiser = _fabric(model, training, device)
    schedule = _schedule(optimiser, training, steps_per_epoch)
    run = _Run(model, optimiser, schedule, checkpoints)
    if resume:
        run.restore()
    with progress("training", training.epochs * steps_per_epoch) as advance:
        advance(run.done * steps_per_epoch)
        for epoch in range(run.done, training.epochs):
            if training.patience is not None and epoch - 1 - run.best_epoch >= training.patience:
                break
            began = time.monotonic()
            total = 0.0
            wrapped.train()
            for step, batch in enumerate(batches(epoch)):
                loss = objective(wrapped, batch)
                value = loss.item()
                if value - value != 0:
                    raise DivergedError(
                        epoch * steps_per_epoch + step, "loss", 0, "lower learning_rate or clip"
                    )
                optimiser.zero_grad(set_to_none=True)
                fabric.backward(loss)
                if training.clip < float("inf"):
                    # A gradient that overflows makes the next loss NaN, which is then reported.
                    fabric.clip_gradients(
                        wrapped, optimiser, max_norm=training.clip, error_if_nonfinite=False
                    )
                optimiser.step()
                schedule.step()
                total += value
                advance(1, epoch=epoch + 1, loss=value, best=run.best)
            wrapped.eval()
            with torch.no_grad():
                score = float(validate(model))
            run.finish(
                epoch,
                score,
                {
                    "loss": total / max(1, steps_per_epoch),
                    "validation": score,
                    "step_size": float(schedule.get_last_lr()[0]),
                    "wall_time": time.monotonic() - began,
                },
            )
    run.restore_best()
    model.eval()
    return _history(run, training)


def train_classifier(
    model: nn.Module,
    examples: Examples,
    validation: Examples,
    training: Training,
    order: Callable[[int], torch.Generator],
    *,
    batch: int = 128,
    **options: Any,
) -> xr.Dataset:
    """Train a network that answers sequences or images with a class; see `train`, which takes the other options.

    Parameters
    ----------
    model
        What comes first in the examples, `tokens [sequence, time]` or `images`, → class scores `[example, class]`.
    examples, validation
        To train on, and to choose the best epoch.
    training
        How.
    order
        Epoch number → generator that draws the order of the examples.
    batch
        Examples a training step.

    Returns
    -------
    xarray.Dataset
        As of `train`; the validation score is the fraction of wrong answers.
    """
    device = options.get("device", "cpu")
    return train(
        model,
        cross_entropy,
        shuffled(examples, batch, order, device),
        math.ceil(len(examples.target) / batch),
        lambda model: error_rate(model, validation, device),
        training,
        **options,
    )


def shuffled(
    examples: Examples,
    batch: int,
    order: Callable[[int], torch.Generator],
    device: str | torch.device = "cpu",
) -> Batches:
    """Epoch number → all examples in batches of `(inputs, target)`, in the order that `order(epoch)` draws."""

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.randperm(len(examples.target), generator=order(epoch)).split(batch):
            yield examples[0][rows].to(device), examples.target[rows].to(device)

    return batches


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross entropy of a classifier's scores on `(inputs, target)`."""
    inputs, target = batch
    return nn.functional.cross_entropy(model(inputs), target)


@torch.no_grad()
def error_rate(model: nn.Module, examples: Examples, device: str | torch.device = "cpu") -> float:
    """Fraction of examples that a classifier answers wrongly."""
    wrong = 0
    for inputs, target in zip(examples[0].split(2000), examples.target.split(2000), strict=True):
        wrong += int((model(inputs.to(device)).argmax(-1).cpu() != target).sum())
    return wrong / len(examples.target)


def _fabric(model: nn.Module, training: Training, device: str | torch.device) -> tuple[Any, Any, Any]:
    """Return fabric, and the model and its optimiser under fabric's precision and devices."""
    from lightning_fabric import Fabric

    device = torch.device(device)
    devices: list[int] | int = 1 if device.index is None else [device.index]
    fabric = Fabric(accelerator=device.type, devices=devices, precision=training.precision)  # type: ignore[arg-type]
    # Small networks spend a tenth of a step in an optimiser that loops over parameters in Python.
    optimiser = torch.optim.Adam(
        model.parameters(), lr=training.learning_rate, fused=device.type in ("cpu", "cuda")
    )
    return fabric, *fabric.setup(model, optimiser)


def _schedule(optimiser: Any, training: Training, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if training.schedule == "onecycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=training.learning_rate, total_steps=max(2, training.epochs * steps + 1)
        )
    return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)


class _Run:
    """What a training run has done, and its copies on disk."""

    def __init__(self, model: nn.Module, optimiser: Any, schedule: Any, folder: Path | None) -> None:
        self.model, self.optimiser, self.schedule, self.folder = model, optimiser, schedule, folder
        self.rows: list[dict[str, float]] = []
        self.best, self.best_epoch = float("inf"), -1
        self.best_weights = _copy(model)

    @property
    def done(self) -> int:
        return len(self.rows)

    def finish(self, epoch: int, score: float, row: Mapping[str, float]) -> None:
        """Note an epoch; `last.pt` is written last, so that it never speaks of a missing `best.pt`."""
        self.rows.append(dict(row))
        better = score < self.best or self.best_epoch < 0
        if better:
            self.best, self.best_epoch, self.best_weights = score, epoch, _copy(self.model)
        if self.folder is not None:
            if better:
                _save(self.folder / "best.pt", {"model": self.best_weights})
            _save(
                self.folder / "last.pt",
                {
                    "model": _copy(self.model),
                    "optimiser": self.optimiser.state_dict(),
                    "schedule": self.schedule.state_dict(),
                    "random": torch.get_rng_state(),
                    "rows": self.rows,
                    "best": self.best,
                    "best_epoch": self.best_epoch,
                },
            )

    def restore(self) -> None:
        """Go on from `last.pt`, if it is there."""
        if self.folder is None or not (self.folder / "last.pt").exists():
            return
        saved = load_checkpoint(self.folder / "last.pt")
        best = load_checkpoint(self.folder / "best.pt")
        try:
            load_weights(self.model, saved["model"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.schedule.load_state_dict(saved["schedule"])
            torch.set_rng_state(saved["random"])
            self.rows, self.best, self.best_epoch = saved["rows"], saved["best"], saved["best_epoch"]
            self.best_weights = best["model"]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise RecordingError(
                f"last.pt is no checkpoint of this training ({type(error).__name__}); delete it"
            ) from error

    def restore_best(self) -> None:
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


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _save(path: Path, content: Mapping[str, Any]) -> None:
    """Write whole or not at all: to a temporary file that is then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    torch.save(dict(content), draft)
    os.replace(draft, path)


def _history(run: _Run, training: Training) -> xr.Dataset:
    import numpy as np
    import xarray as xr

    meaning = {
        "loss": ("1", "training loss"),
        "validation": ("1", "validation score"),
        "step_size": ("1", "learning rate at the end of the epoch"),
        "wall_time": ("s", "wall time of the epoch"),
    }
    variables = {
        name: ("epoch", np.array([row[name] for row in run.rows]), {"units": unit, "long_name": text})
        for name, (unit, text) in meaning.items()
    }
    epochs = {"epoch": ("epoch", np.arange(1, run.done + 1), {"units": "1", "long_name": "epoch"})}
    options = {name: value for name, value in asdict(training).items() if value is not None}
    attributes = {"best_epoch": run.best_epoch + 1, "best_validation": run.best}
    return xr.Dataset(variables, epochs, {**options, **attributes})
