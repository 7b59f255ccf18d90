"""One training loop for every network: epochs, validation, early stopping, checkpoints, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from fwsim.batches import moved
from fwsim.checkpoints import TrainingRun
from fwsim.checkpoints import load_checkpoint as load_checkpoint  # what a run kept is looked for here
from fwsim.checkpoints import load_weights as load_weights
from fwsim.distributed import Processes, processes
from fwsim.errors import ConfigError, DivergedError, choice
from fwsim.progress import Advance, track

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.tasks import LabelledImages, Sequences

    Examples = Sequences | LabelledImages

SCHEDULES = ("onecycle", "constant")
UNREAD = {
    "cpu": 1,
    "cuda": 64,
}  # losses that stay on a device before they are read: to read is to wait for it

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
    weight_decay
        Times the learning rate, the fraction of every weight that a step takes away, beside Adam's own (AdamW,
        Loshchilov & Hutter 2019).
    patience
        Stop after so many epochs without a better validation score; `None` never stops early.
    precision
        Of lightning-fabric, e.g. `"32-true"` or `"bf16-mixed"`.
    """

    epochs: int
    learning_rate: float = 1e-3
    schedule: str = "onecycle"
    clip: float = float("inf")
    weight_decay: float = 0.0
    patience: int | None = None
    precision: str = "32-true"

    def __post_init__(self) -> None:
        choice("schedule", self.schedule, SCHEDULES)
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)} is not allowed; it must be positive")
        if not 0 <= self.weight_decay < float("inf"):
            raise ConfigError(
                f"weight_decay={self.weight_decay} is not allowed; it must be 0 or more, and finite"
            )
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
    validate: Validate | None,
    training: Training,
    *,
    device: str | torch.device = "cpu",
    checkpoints: Path | None = None,
    resume: bool = False,
    progress: Track = track,
) -> xr.Dataset:
    """Train a network in place; afterwards it has the weights of its best epoch, or of the last if none is validated.

    Under torchrun the processes train it together: each takes every n-th example of a batch on a device of its own, the
    gradient is that of the whole batch, and the first process validates and writes.

    Parameters
    ----------
    model
        Moved to `device`.
    objective
        `(model, batch) → loss`, with the batch on the device; for several processes a mean over examples, which are
        the first axis of all tensors of a batch.
    batches
        Epoch number → its batches; the same number must give the same batches, so that a resumed run repeats them, and
        that all processes have the same.
    steps_per_epoch
        Number of batches in an epoch.
    validate
        `(model) → score` after each epoch, smaller is better, without gradients; `None`: the last epoch is kept.
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
    ConfigError, ShapeError
        Several processes have too few GPUs, or batches that cannot be shared; nothing tells when to stop early.
    """
    if validate is None and training.patience is not None:
        raise ConfigError(
            f"patience={training.patience} needs a validation score; give validate, or patience=None"
        )
    together = processes()
    fabric, wrapped, optimiser = _fabric(model, training, torch.device(device), together)
    schedule = _schedule(optimiser, training, steps_per_epoch)
    run = TrainingRun(model, optimiser, schedule, checkpoints, together)
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
                for batch in batches(epoch):
                    losses.add(_differentiate(fabric, wrapped, optimiser, objective, batch, together))
                    _descend(fabric, wrapped, optimiser, training.clip)
                    schedule.step()
                    advance(1, epoch=epoch + 1, best=run.best, **losses.shown)
            stop()
            wrapped.eval()
            score = None if validate is None else together.from_first(partial(_score, model, validate))
            run.finish(
                epoch,
                score,
                {
                    "loss": losses.total / max(1, steps_per_epoch),
                    "validation": float("nan") if score is None else score,
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
    validation: Examples | None,
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
        To train on, and to choose the best epoch; `None` keeps the last.
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
    validate = None if validation is None else partial(error_rate, examples=validation, device=device)
    return train(
        model,
        cross_entropy,
        shuffled(examples, batch, order, device),
        math.ceil(len(examples.target) / batch),
        validate,
        training,
        **options,
    )


def shuffled(
    examples: Examples,
    batch: int,
    order: Callable[[int], torch.Generator],
    device: str | torch.device = "cpu",
) -> Batches:
    """Epoch number → all examples in batches of `(inputs, target)`, in the order that `order(epoch)` draws.

    The examples are moved to the device once and stay there: 8 bytes a token, 1 byte a pixel.
    """
    inputs, target = examples[0].to(device), examples.target.to(device)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = torch.randperm(len(target), generator=order(epoch)).to(device)
        for rows in drawn.split(batch):
            yield inputs[rows], target[rows]

    return batches


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross entropy of a classifier's scores on `(inputs, target)`."""
    inputs, target = batch
    return nn.functional.cross_entropy(model(inputs), target)


@torch.no_grad()
def error_rate(model: nn.Module, examples: Examples, device: str | torch.device = "cpu") -> float:
    """Fraction of examples that a classifier answers wrongly."""
    inputs, target = moved((examples[0], examples.target), torch.device(device))
    parts = zip(inputs.split(2000), target.split(2000), strict=True)
    wrong = [(model(part).argmax(-1) != answer).sum() for part, answer in parts]
    return int(torch.stack(wrong).sum()) / len(examples.target)


class _Losses:
    """Losses of an epoch, which stay on a GPU for a while; on a CPU there is nothing to wait for.

    Used as a context, it reads the last ones at the end, also when something else failed: that may be because a loss
    was not finite.
    """

    def __init__(self, first_step: int, device: torch.device, stop: Callable[[], None]) -> None:
        self.total = 0.0
        self.shown: dict[str, float] = {}  # the last that was read, if any was
        self._step, self._stop = first_step, stop
        self._most = UNREAD.get(device.type, 1)
        self._unread: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Take the loss of the next step, and read those that have come together when they are enough."""
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
    """Leave the gradient of a batch in the parameters, and return its loss."""
    part, weight = together.share(batch)
    loss = objective(model, moved(part, fabric.device))
    if together.several:
        loss = weight * loss
    optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    return together.add_up(model, loss)


def _descend(fabric: Any, model: Any, optimiser: Any, clip: float) -> None:
    if clip < float("inf"):
        # A gradient that overflows makes the next loss NaN, which is then reported.
        fabric.clip_gradients(model, optimiser, max_norm=clip, error_if_nonfinite=False)
    optimiser.step()


@torch.no_grad()
def _score(model: nn.Module, validate: Validate) -> float:
    return float(validate(model))


def _fabric(
    model: nn.Module, training: Training, device: torch.device, together: Processes
) -> tuple[Any, Any, Any]:
    """Return fabric, and the model and its optimiser under fabric's precision and devices."""
    from lightning_fabric import Fabric

    device = together.device(device)
    places: dict[str, Any] = {"devices": 1 if device.index is None else [device.index]}
    if together.several:
        together.join()  # or fabric would, without a way for what is on the CPU
        places = {
            "devices": together.local_count,
            "num_nodes": together.count // together.local_count,
            "strategy": _strategy(),
        }
    fabric = Fabric(accelerator=device.type, precision=training.precision, **places)  # type: ignore[arg-type]
    if together.several:
        fabric.launch()
    # Small networks spend a tenth of a step in an optimiser that loops over parameters in Python.
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    return fabric, *fabric.setup(model, optimiser)


def _strategy() -> Any:
    """Fabric's distributed strategy around the bare model.

    What torch would wrap it in gives all processes the same weight, allows no call but `forward`, and no parameter
    without a gradient; `Processes.add_up` takes its place.
    """
    from lightning_fabric.strategies import DDPStrategy

    class Bare(DDPStrategy):
        def setup_module(self, module: nn.Module) -> Any:
            return module

    return Bare()


def _schedule(optimiser: Any, training: Training, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if training.schedule == "onecycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=training.learning_rate, total_steps=max(2, training.epochs * steps + 1)
        )
    return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)


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
    attributes = {"best_epoch": run.best_epoch + 1, "best_validation": run.best}
    return xr.Dataset(variables, epochs, {**options, **attributes})
