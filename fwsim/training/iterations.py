"""Training with different numbers of inner iterations, so that the inner loop can go on for any number of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fwsim.engine import checks
from fwsim.errors import ConfigError, number, whole
from fwsim.names import KnownArguments, known_arguments
from fwsim.training.classification import cross_entropy, error_rate, shuffled
from fwsim.training.loop import Batches, train
from fwsim.training.options import Training

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.training.classification import Examples


@dataclass(frozen=True)
class InnerSteps(KnownArguments):
    """Iterations of the inner loop in each step of a training: first a fixed number, later a random one.

    A network that is trained with one number S answers after S iterations only. Trained with many at its query, it
    answers after any number, and its loop converges to an attractor for each stored item
    (docs/results/attractor_memory.md).

    Parameters
    ----------
    most
        Numbers are drawn uniformly from 1 … `most`.
    first
        The number in the first part of training.
    after
        Length of the first part, as a fraction of the training: 0 draws from the start, 1 never.
    ramp
        Fraction of the training over which, after the first part, the largest number grows from `first` to `most`.
    storing
        The number in all steps of a sequence but the last; `None`: as in the last.

    Examples
    --------
    >>> InnerSteps(most=8, after=0.3).at(0.1, torch.Generator())
    (1, 1)
    """

    most: int = 8
    first: int = 1
    after: float = 0.3
    ramp: float = 0.0
    storing: int | None = 1

    def __post_init__(self) -> None:
        whole("most", self.most, least=1)
        whole("first", self.first)
        number("after", self.after, least=0, most=1)
        number("ramp", self.ramp, least=0, most=1)
        if self.storing is not None:
            whole("storing", self.storing)
        if self.ramp > 0 and self.first > self.most:
            raise ConfigError(f"most={self.most} is below first={self.first}; a ramp must grow")

    def at(self, progress: float, generator: torch.Generator) -> int | tuple[int, int]:
        """`inner_steps` of a call at this fraction of the training, 0 … 1; draws one number."""
        grown = min(1.0, (progress - self.after) / self.ramp) if self.ramp else 1.0
        most = max(1, round(self.first + (self.most - self.first) * grown)) if grown < 1 else self.most
        drawn = 1 + int(torch.rand((), generator=generator) * most)
        last = self.first if progress < self.after else min(drawn, most)
        return last if self.storing is None else (self.storing, last)


def train_varied(
    model: nn.Module,
    examples: Examples,
    validation: Examples,
    training: Training,
    inner_steps: InnerSteps,
    order: Callable[[int], torch.Generator],
    numbers: Callable[[int], torch.Generator],
    *,
    validated: Sequence[int | tuple[int, int]],
    objective: Callable[[nn.Module, tuple], Tensor] = cross_entropy,
    batch: int = 128,
    **options: Any,
) -> xr.Dataset:
    """Train a classifier with numbers of inner iterations that change; see `train`, which takes the other options.

    Parameters
    ----------
    model
        As in `train_classifier`; it is called with `inner_steps`, as `FastWeightNetwork` is.
    examples, validation
        Examples for training, and for the choice of the best epoch.
    training
        Options of the training.
    inner_steps
        The numbers of iterations.
    order, numbers
        Epoch number → generator for the order of the examples, and for the numbers of iterations.
    validated
        Values of `inner_steps` with which the validation examples are answered.
    objective
        The loss of a batch `(inputs, target, inner_steps)`.
    batch
        Examples in one training step.

    Returns
    -------
    xarray.Dataset
        As in `train`; the validation score is the fraction of wrong answers, the mean over `validated`.

    Raises
    ------
    ConfigError
        `validated` is empty, or a number is not allowed.
    """
    if not len(validated):
        raise ConfigError("validated is empty; give at least one number of iterations")
    device = checks.device(options.get("device", "cpu"))
    batches = shuffled(examples, batch, order, device)
    steps = math.ceil(len(examples.target) / batch)

    def validate(model: nn.Module) -> float:
        wrong = [error_rate(model, validation, device, inner_steps=each) for each in validated]
        return sum(wrong) / len(wrong)

    return train(
        model,
        objective,
        varied(batches, inner_steps, training.epochs, steps, numbers),
        steps,
        validate,
        training,
        **options,
    )


@known_arguments
def varied(
    batches: Batches,
    inner_steps: InnerSteps,
    epochs: int,
    steps_per_epoch: int,
    numbers: Callable[[int], torch.Generator],
) -> Batches:
    """Epoch number → its batches, each with the `inner_steps` of its call: `(inputs, target, inner_steps)`.

    Parameters
    ----------
    batches
        As for `train`, for example from `shuffled`.
    inner_steps
        What is drawn.
    epochs, steps_per_epoch
        Length of the training.
    numbers
        Epoch number → generator of the numbers; the same each time, so that a resumed training repeats them.
    """

    def numbered(epoch: int) -> Iterator[tuple]:
        generator = numbers(epoch)
        for step, batch in enumerate(batches(epoch)):
            progress = (epoch + step / steps_per_epoch) / epochs
            yield (*batch, inner_steps.at(progress, generator))

    return numbered
