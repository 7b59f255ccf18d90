"""The training loop for every network: epochs, validation, early stopping, checkpoints, resume."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from fwsim.engine import checks
from fwsim.errors import ConfigError, DivergedError, type_of, whole
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.progress import Advance, track
from fwsim.training.data import moved
from fwsim.training.options import Training, on_devices, schedule_of
from fwsim.training.processes import Processes, processes
from fwsim.training.run import TrainingRun
from fwsim.units import outside

if TYPE_CHECKING:
    import xarray as xr

UNREAD = {
    "cpu": 1,
    "cuda": 64,
}  # number of losses that stay on a device before they are read, since reading waits for the device

Batch = Any
Objective = Callable[[nn.Module, Batch], Tensor]
Batches = Callable[[int], Iterable[Batch]]
Validate = Callable[[nn.Module], float]


class Track(Protocol):
    """Shows progress; for example `fwsim.progress.track` or a context's `progress`."""

    def __call__(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Open a bar of `total` steps."""


@known_arguments
def train(
    model: nn.Module,
    objective: Objective,
    batches: Batches,
    steps_per_epoch: int,
    validate: Validate | None,
    training: Training,
    *,
    device: str | torch.device = "cpu",
    checkpoints: Path | None = None,
    resume: bool = False,
    progress: Track = track,
) -> xr.Dataset:
    """Train a network in place. Afterwards it has the weights of its best epoch, or without validation of the last.

    With torchrun several processes train it together: each takes every n-th example of a batch on its own device, the
    gradient is that of the whole batch, and the first process validates and writes.

    Parameters
    ----------
    model
        The network; it is moved to `device`.
    objective
        `(model, batch) → loss`, with the batch on the device; for several processes a mean over examples, which must be
        the first axis of all tensors of a batch.
    batches
        Epoch number → its batches. The same number must give the same batches, so that a resumed run repeats them and
        all processes have the same ones.
    steps_per_epoch
        Number of batches in an epoch.
    validate
        `(model) → score` after each epoch, one number, smaller is better, computed without gradients. With `None` the
        last epoch is used. An epoch with a NaN score is never the best; if all scores are NaN, the last epoch is
        used, with a warning.
    training
        Options of the training.
    device
        Where to train; with torchrun `"cuda"` is a GPU of its own for each process.
    checkpoints
        Folder for `last.pt` and `best.pt`; `None` keeps the best weights in memory only.
    resume
        Continue from `last.pt` if it exists, with the options of the start. `patience` may differ, and
        with a constant schedule also `epochs`: the result is the same as without interruption.
    progress
        Shows the bar.

    Returns
    -------
    xarray.Dataset
        `loss`, `validation`, `step_size` (the learning rate as scheduled), `wall_time` over `epoch`; attributes
        `best_epoch` (0 if all scores are NaN), `best_validation`.

    Raises
    ------
    DivergedError
        The loss, or a parameter, became NaN or infinite.
    RecordingError
        A checkpoint is damaged, or does not fit the model.
    ConfigError, ShapeError
        An epoch has another number of batches than `steps_per_epoch`; the options differ from those of the start;
        there are fewer GPUs than processes, or batches cannot be divided; or early stopping has no criterion.
    """
    _check_arguments(model, objective, batches, steps_per_epoch, validate, training)
    folder = None if checkpoints is None else local_path(checkpoints, "checkpoints")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ConfigError(f"checkpoints={str(folder)!r} is a file; give the name of a folder")
    together = processes()
    fabric, wrapped, optimiser = on_devices(model, training, checks.device(device), together)
    schedule = schedule_of(optimiser, training, steps_per_epoch)
    options = {**asdict(training), "steps_per_epoch": steps_per_epoch}
    run = TrainingRun(model, optimiser, schedule, folder, together, options)
    run.begin(resume=resume)
    shown = progress if together.first else partial(track, show=False)
    with (
        shown("training", training.epochs * steps_per_epoch) as advance,
        together.stopping_together() as stop,
    ):
        advance(run.done * steps_per_epoch)
        for epoch in range(run.done, training.epochs):
            if training.patience is not None and epoch - 1 - run.best_epoch >= training.patience:
                break
            began = time.monotonic()
            wrapped.train()
            with _Losses(epoch * steps_per_epoch, fabric.device, stop) as losses:
                for batch in _counted(batches(epoch), epoch, steps_per_epoch):
                    losses.add(_differentiate(fabric, wrapped, optimiser, objective, batch, together))
                    _descend(fabric, wrapped, optimiser, training.clip)
                    schedule.step()
                    advance(1, epoch=epoch + 1, best=run.best, **losses.shown)
            stop()
            _require_finite(model, (epoch + 1) * steps_per_epoch - 1)
            wrapped.eval()
            score = None if validate is None else together.from_first(partial(_score, model, validate))
            run.finish(
                epoch,
                score,
                {
                    "loss": losses.total / steps_per_epoch,
                    "validation": float("nan") if score is None else score,
                    "step_size": float(schedule.get_last_lr()[0]),
                    "wall_time": time.monotonic() - began,
                },
            )
    if run.best_epoch < 0:
        warnings.warn(
            f"the validation score is NaN in all {run.done} epochs; the weights of the last one are kept, see validate",
            stacklevel=outside(),
        )
    run.restore_best()
    model.eval()
    return _history(run, training)


def _require_finite(model: nn.Module, step: int) -> None:
    """Raise `DivergedError` if the last step left parameters that are not finite, since no later loss may show it."""
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise DivergedError(step, name, 0, "lower learning_rate or clip")


def _check_arguments(
    model: nn.Module,
    objective: Objective,
    batches: Batches,
    steps_per_epoch: int,
    validate: Validate | None,
    training: Training,
) -> None:
    """Raise `ConfigError` before anything is done, if an argument is wrong."""
    if not isinstance(model, nn.Module) or not any(each.requires_grad for each in model.parameters()):
        raise ConfigError(f"model is {type_of(model)} without parameters to train; give a torch module")
    if not isinstance(training, Training):
        raise ConfigError(f"training is {type_of(training)}; give a fwsim.training.Training")
    given = {"objective": objective, "batches": batches} | (
        {} if validate is None else {"validate": validate}
    )
    for name, function in given.items():
        if not callable(function):
            raise ConfigError(f"{name} is {type_of(function)}; give a function")
    whole("steps_per_epoch", steps_per_epoch, least=1)
    if validate is None and training.patience is not None:
        raise ConfigError(
            f"patience={training.patience} needs a validation score; give validate, or patience=None"
        )


def _counted(batches: Iterable[Batch], epoch: int, steps: int) -> Iterator[Batch]:
    """The batches of an epoch; raise `ConfigError` unless their number is `steps`, if possible before the first one."""
    given = len(batches) if isinstance(batches, Sized) else steps

    def refuse(number: str) -> ConfigError:
        return ConfigError(
            f"batches({epoch}) gives {number} batches, but steps_per_epoch={steps}; the loss is a mean over these, "
            "so give their number"
        )

    if given != steps:
        raise refuse(str(given))
    count = 0
    for count, batch in enumerate(batches, 1):
        if count > steps:
            raise refuse(f"more than {steps}")
        yield batch
    if count < steps:
        raise refuse(str(count))


class _Losses:
    """Losses of an epoch, which stay on a GPU for a while; on a CPU they are read at once.

    At the end of the context, the last ones are read, even after another error: a loss that
    was not finite may be the reason.
    """

    def __init__(self, first_step: int, device: torch.device, stop: Callable[[], None]) -> None:
        self.total = 0.0
        self.shown: dict[str, float] = {}  # the last loss that was read, if any
        self._step, self._stop = first_step, stop
        self._most = UNREAD.get(device.type, 1)
        self._unread: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Take the loss of the next step, and read the collected ones when there are enough."""
        self._unread.append(loss.detach())
        if len(self._unread) >= self._most:
            self._read()
            self._stop()

    def __enter__(self) -> _Losses:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._unread and (kind is None or issubclass(kind, Exception)):
            self._read()

    def _read(self) -> None:
        unread, self._unread = self._unread, []
        for value in torch.stack(unread).tolist():
            if not math.isfinite(value):
                raise DivergedError(self._step, "loss", 0, "lower learning_rate or clip")
            self.total, self.shown, self._step = self.total + value, {"loss": value}, self._step + 1


def _differentiate(
    fabric: Any, model: Any, optimiser: Any, objective: Objective, batch: Batch, together: Processes
) -> Tensor:
    """Compute the gradient of a batch in the parameters, and return its loss."""
    part, weight = together.share(batch)
    loss = objective(model, moved(part, fabric.device))
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        given = f"a tensor {list(loss.shape)}" if isinstance(loss, Tensor) else type_of(loss)
        given += " without gradient" if isinstance(loss, Tensor) and not loss.requires_grad else ""
        raise ConfigError(f"objective returns {given}; it must return the loss, one number with its gradient")
    if together.several:
        loss = weight * loss
    optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    return together.add_up(model, loss)


def _descend(fabric: Any, model: Any, optimiser: Any, clip: float) -> None:
    if clip < float("inf"):
        # If a gradient overflows, the next loss is NaN, and that is reported.
        fabric.clip_gradients(model, optimiser, max_norm=clip, error_if_nonfinite=False)
    optimiser.step()


@torch.no_grad()
def _score(model: nn.Module, validate: Validate) -> float:
    score = validate(model)
    try:
        return float(score)
    except (TypeError, ValueError, RuntimeError):
        kind = f"{list(score.shape)}" if isinstance(score, Tensor) else repr(score)
        raise ConfigError(f"validate returns {kind}; it must return one number, smaller is better") from None


def _history(run: TrainingRun, training: Training) -> xr.Dataset:
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
    best = run.best if run.best_epoch >= 0 else math.nan
    attributes = {"best_epoch": run.best_epoch + 1, "best_validation": best}
    return xr.Dataset(variables, epochs, {**options, **attributes})
