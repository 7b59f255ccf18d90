"""Training of networks that classify sequences or images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fwsim.engine import checks
from fwsim.errors import ConfigError, ShapeError, type_of, whole
from fwsim.names import known_arguments
from fwsim.seeds import check_generator
from fwsim.training.data import moved
from fwsim.training.loop import Batches, train
from fwsim.training.options import Training

if TYPE_CHECKING:
    import xarray as xr

    from fwsim.tasks import LabelledImages, Sequences

    Examples = Sequences | LabelledImages


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
    """Train a network that classifies sequences or images; see `train`, which takes the other options.

    Parameters
    ----------
    model
        The first field of the examples, `tokens [sequence, time]` or `images`, → class scores `[example, class]`.
    examples, validation
        Examples for training, and for the choice of the best epoch; with `None` the last epoch is used.
    training
        Options of the training.
    order
        Epoch number → generator for the order of the examples.
    batch
        Examples in one training step.

    Returns
    -------
    xarray.Dataset
        As in `train`; the validation score is the fraction of wrong answers.
    """
    device = checks.device(options.get("device", "cpu"))
    validate = None if validation is None else partial(error_rate, examples=validation, device=device)
    batches = shuffled(examples, batch, order, device)
    if validation is not None:
        _require_examples(validation)
    return train(
        model,
        cross_entropy,
        batches,
        math.ceil(len(examples.target) / batch),
        validate,
        training,
        **options,
    )


@known_arguments
def shuffled(
    examples: Examples,
    batch: int,
    order: Callable[[int], torch.Generator],
    device: str | torch.device = "cpu",
) -> Batches:
    """Epoch number → all examples in batches of `(inputs, target)`, in the order that `order(epoch)` draws.

    The examples are moved to the device once and stay there: 8 bytes per token, 1 byte per pixel.
    """
    whole("batch", batch, least=1)
    _require_examples(examples)
    if not callable(order):
        raise ConfigError(f"order is {type_of(order)}; give a function: epoch number → torch.Generator")
    check_generator(order(0))
    inputs, target = examples[0].to(device), examples.target.to(device)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = torch.randperm(len(target), generator=order(epoch)).to(device)
        for rows in drawn.split(batch):
            yield inputs[rows], target[rows]

    return batches


@known_arguments
def cross_entropy(model: nn.Module, batch: tuple) -> Tensor:
    """Mean cross entropy of a classifier's scores on `(inputs, target)`, or on `(inputs, target, inner_steps)`.

    `inner_steps` are the iterations of the inner loop with which the classifier is called; see `varied`.
    """
    inputs, target, *inner_steps = batch
    scores = model(inputs, inner_steps=inner_steps[0]) if inner_steps else model(inputs)
    return nn.functional.cross_entropy(scores, target)


@known_arguments
@torch.no_grad()
def error_rate(
    model: nn.Module,
    examples: Examples,
    device: str | torch.device = "cpu",
    *,
    inner_steps: int | Sequence[int] | None = None,
) -> float:
    """Fraction of examples that a classifier answers wrongly; an example with a NaN score counts as wrong.

    `inner_steps` are the iterations of the inner loop with which it is called, as in `FastWeightNetwork`.
    """
    if not callable(model):
        raise ConfigError(f"model is {type_of(model)}; give a torch module")
    _require_examples(examples)
    inputs, target = moved((examples[0], examples.target), checks.device(device))
    parts = zip(inputs.split(2000), target.split(2000), strict=True)
    options = {} if inner_steps is None else {"inner_steps": inner_steps}
    wrong = [_wrong(model(part, **options), answer).sum() for part, answer in parts]
    return int(torch.stack(wrong).sum()) / len(examples.target)


def _wrong(scores: Tensor, answer: Tensor) -> Tensor:
    """Whether class scores `[example, class]` miss the answer `[example]`; with NaN there is no right answer."""
    return (scores.argmax(-1) != answer) | scores.isnan().any(-1)


def _require_examples(examples: Examples) -> None:
    target = getattr(examples, "target", None)
    if (
        not isinstance(examples, tuple)
        or not isinstance(target, Tensor)
        or not isinstance(examples[0], Tensor)
    ):
        raise ConfigError(
            f"examples are {type_of(examples)}; give examples of a task, such as task.sample(...)"
        )
    if not len(target):
        raise ShapeError("there are no examples; give at least one")
    if len(examples[0]) != len(target):
        raise ShapeError(
            f"there are {len(examples[0])} inputs and {len(target)} targets; give one target for each input"
        )
