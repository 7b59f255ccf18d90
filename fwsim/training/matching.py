"""Training of networks that answer trials step by step, such as those of delayed matching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from fwsim.engine import checks
from fwsim.errors import ConfigError, number, type_of, whole
from fwsim.names import known_arguments
from fwsim.training.loop import train
from fwsim.training.options import Training

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.tasks import Trials

VALIDATED = 256
"""Trials of a validation."""


class TrialTask(Protocol):
    """What draws trials, such as `fwsim.tasks.DelayedMatch`."""

    def sample(self, trials: int, generator: torch.Generator) -> Trials:
        """Draw trials."""


class Streams(Protocol):
    """Random streams by name, such as the context of an experiment."""

    def generator(self, name: str) -> torch.Generator:
        """The stream `name`."""

    def seed_of(self, name: str, *, bits: int = 63) -> int:
        """The seed of the stream `name`."""


def train_trials(
    model: nn.Module,
    task: TrialTask,
    streams: Streams,
    *,
    steps: int,
    batch: int = 32,
    epochs: int = 20,
    learning_rate: float = 0.02,
    clip: float = 0.1,
    rate_cost: float = 0.02,
    device: str | torch.device = "cpu",
    **options: Any,
) -> xr.Dataset:
    """Train with new trials and new noise in every step, and keep the epoch whose validation loss is smallest.

    The loss is that of `trial_loss`; `train` takes the other options.

    Parameters
    ----------
    model
        `model(inputs, seed=…)` → scores `[trial, time, answer]` and rates `[trial, time, unit]`, as `MatchingNetwork`.
    task
        Draws the trials.
    streams
        Gives the random numbers: the context of an experiment.
    steps
        Training steps, a multiple of `epochs`.
    batch
        Trials in a step.
    epochs
        Validations.
    learning_rate
        Of Adam.
    clip
        Largest norm of the gradient of each parameter.
    rate_cost
        Weight of the mean squared rate in the loss.
    device
        Where to train.

    Returns
    -------
    xarray.Dataset
        As in `train`.

    Raises
    ------
    ConfigError
        A number is not allowed, or `steps` is not a multiple of `epochs`.
    """
    for name, count in (("steps", steps), ("batch", batch), ("epochs", epochs)):
        whole(name, count, least=1)
    if not hasattr(task, "sample"):
        raise ConfigError(f"task is {type_of(task)}; give a task, such as fwsim.tasks.DelayedMatch()")
    if not hasattr(streams, "generator"):
        raise ConfigError(f"streams is {type_of(streams)}; give an experiment's context")
    number("clip", clip, above=0)
    number("rate_cost", rate_cost, least=0)
    if steps % epochs:
        raise ConfigError(f"steps={steps} is not a multiple of epochs={epochs}; change one of them")
    per_epoch, first_seed = steps // epochs, streams.seed_of("training noise", bits=40)
    place = checks.device(device)
    validation = task.sample(VALIDATED, streams.generator("validation")).to(place)
    noise = streams.seed_of("validation noise")

    def batches(epoch: int) -> Iterator[tuple[Trials, int]]:
        generator = streams.generator(f"training {epoch}")
        for step in range(per_epoch):
            yield task.sample(batch, generator), first_seed + epoch * per_epoch + step

    def objective(model: nn.Module, trials: tuple[Trials, int]) -> Tensor:
        return trial_loss(model, trials, rate_cost)

    def validate(model: nn.Module) -> float:
        return float(trial_loss(model, (validation, noise), rate_cost))

    hooks = [each.register_hook(_clipped(clip)) for each in model.parameters() if each.requires_grad]
    try:
        return train(
            model,
            objective,
            batches,
            per_epoch,
            validate,
            Training(epochs, learning_rate, schedule="constant"),
            device=device,
            **options,
        )
    finally:
        for hook in hooks:
            hook.remove()


@known_arguments
def trial_loss(model: nn.Module, batch: tuple[Trials, int], rate_cost: float = 0.0) -> Tensor:
    """Cross entropy of the answers in the steps that count, and the cost of rates, of trials and a seed of noise."""
    trials, seed = batch
    scores, rate = model(trials.inputs, seed=seed)
    entropy = nn.functional.cross_entropy(scores.mT, trials.target, reduction="none")
    return (entropy * trials.weight).mean() + rate_cost * rate.square().mean()


def _clipped(clip: float) -> Callable[[Tensor], Tensor]:
    """What bounds the norm of a gradient."""
    return lambda gradient: gradient * (clip / gradient.norm().clamp(min=clip))
