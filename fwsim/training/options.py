"""Options of training, and the devices, precision, optimiser and learning rates that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fwsim.errors import choice, number, whole
from fwsim.names import KnownArguments
from fwsim.requirements import required
from fwsim.training.processes import Processes

SCHEDULES = ("onecycle", "constant")
PRECISIONS = ("32-true", "64-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed")


@dataclass(frozen=True)
class Training(KnownArguments):
    """Options of a training.

    Parameters
    ----------
    epochs
        Largest number of epochs, 1 or more.
    learning_rate
        Learning rate of Adam; the peak of a one-cycle schedule.
    schedule
        `"onecycle"` (Smith & Topin 2019: first increasing, then decreasing to zero) or `"constant"`.
    clip
        Largest norm of the gradient; infinity for none.
    weight_decay
        Fraction of every weight that a step removes, divided by the learning rate, in addition to Adam's step (AdamW,
        Loshchilov & Hutter 2019).
    patience
        Stop after this number of epochs, 1 or more, without a better validation score; with `None` never. A
        NaN score is never better.
    precision
        Precision of lightning-fabric: `"32-true"`, `"64-true"`, `"16-true"`, `"bf16-true"`, `"16-mixed"` or
        `"bf16-mixed"`.
    """

    epochs: int
    learning_rate: float = 1e-3
    schedule: str = "onecycle"
    clip: float = float("inf")
    weight_decay: float = 0.0
    patience: int | None = None
    precision: str = "32-true"

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, least=1)
        number("learning_rate", self.learning_rate, above=0)
        choice("schedule", self.schedule, SCHEDULES)
        number("clip", self.clip, above=0, infinite=True)
        number("weight_decay", self.weight_decay, least=0)
        if self.patience is not None:
            whole("patience", self.patience, least=1)
        choice("precision", self.precision, PRECISIONS)


def on_devices(
    model: nn.Module, training: Training, device: torch.device, together: Processes
) -> tuple[Any, Any, Any]:
    """Return fabric, and the model and its optimiser with fabric's precision and devices."""
    required("lightning_fabric", "training")
    from lightning_fabric import Fabric

    device = together.device(device)
    places: dict[str, Any] = {"devices": 1 if device.index is None else [device.index]}
    if together.several:
        together.join()  # otherwise fabric would, without support for CPU data
        places = {
            "devices": together.local_count,
            "num_nodes": together.count // together.local_count,
            "strategy": _strategy(),
        }
    fabric = Fabric(accelerator=device.type, precision=training.precision, **places)  # type: ignore[arg-type]
    if together.several:
        fabric.launch()
    # For small networks, an optimiser that loops over parameters in Python takes a tenth of a step.
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    return fabric, *fabric.setup(model, optimiser)


def _strategy() -> Any:
    """Fabric's distributed strategy without a wrapper around the model.

    torch's wrapper gives all processes the same weight, allows no call but `forward`, and no parameter
    without a gradient. `Processes.add_up` replaces it.
    """
    from lightning_fabric.strategies import DDPStrategy

    class Bare(DDPStrategy):
        def setup_module(self, module: nn.Module) -> Any:
            return module

    return Bare()


def schedule_of(optimiser: Any, training: Training, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the schedule of the learning rate, for this number of steps per epoch."""
    if training.schedule == "onecycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=training.learning_rate, total_steps=max(2, training.epochs * steps + 1)
        )
    return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
