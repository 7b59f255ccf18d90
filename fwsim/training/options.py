"""How a network is trained, and what follows from that: devices, precision, optimiser, learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fwsim.errors import choice, number, whole
from fwsim.requirements import required
from fwsim.training.processes import Processes

SCHEDULES = ("onecycle", "constant")
PRECISIONS = ("32-true", "64-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed")


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    epochs
        Most epochs, 1 or more.
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
        Stop after so many epochs, 1 or more, without a better validation score; `None` never stops early. A score that
        is NaN is never better.
    precision
        Of lightning-fabric: `"32-true"`, `"64-true"`, `"16-true"`, `"bf16-true"`, `"16-mixed"` or `"bf16-mixed"`.
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
    """Return fabric, and the model and its optimiser under fabric's precision and devices."""
    required("lightning_fabric", "training")
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


def schedule_of(optimiser: Any, training: Training, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the schedule of the learning rate, for so many steps an epoch."""
    if training.schedule == "onecycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=training.learning_rate, total_steps=max(2, training.epochs * steps + 1)
        )
    return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
