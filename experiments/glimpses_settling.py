"""Does calling up the whole settle, when a network integrates the glimpses of an image?

In `glimpses` the state that the parts of a quadrant have left calls up the stored whole, with one iteration of the
inner loop (Ba et al. 2016, section 4.2). Here the loop of the integrating steps goes on. With `one` it has always one
iteration in training. With `late` it has one in the first part of training, and after that a number that is drawn from
1 … `most` for every batch, at all integrating steps. All other steps have one.

Expect `one` to lose its answer when it goes on, and `late` to keep it and to converge. Whether it converges to the
whole is measured by overlaps with what was stored, less the mean of all stored states.

The digits are read from `--data` or from the folder that FWSIM_MNIST names, or they are downloaded. The recording
holds, for some test images, the states of the last integrating step over iterations, attention, and stored states.

    fwsim sweep glimpses_settling --over schedule=one,late --seeds 3
"""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn

import fwsim as fw
from fwsim.engine.recursive import RecursiveNetwork
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.tasks import GlimpseLayout, LabelledImages, split_mnist
from fwsim.training import InnerSteps, Training, error_rate, train_varied

QUICK = {"units": 20, "epochs": 2, "training_images": 2_000, "validation_images": 300, "test_images": 500}

COUNTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Iterations after which the loop is looked at."""


class Config(Base):
    """One network on images seen in glimpses."""

    schedule: Literal["one", "late"] = "late"
    "Iterations of the integrating steps in training: always 1, or a random number in the second part."
    most: int = Field(default=8, ge=1)
    "Largest number of iterations in training."
    after: float = Field(default=0.3, ge=0, le=1)
    "Length of the first part of training, as a fraction."
    units: int = Field(default=50, ge=1)
    "Recurrent units R."
    data: str | None = None
    "Folder of the four IDX files; else FWSIM_MNIST, else they are downloaded."
    tau: Seconds = Field(default=-1 / math.log(0.95), gt=0)
    "Time constant of the memory at 1 s a step; 19.5 s is the paper's decay of 0.95."
    eta: float = Field(default=0.5, gt=0)
    "Strength of one write."
    embedding: int = Field(default=100, ge=1)
    "Units of the ReLU layer that every glimpse passes."
    epochs: int = Field(default=6, ge=1)
    "Passes through the training images."
    learning_rate: float = Field(default=1e-2, gt=0)
    "Peak of the one-cycle rate of AdamW."
    weight_decay: float = Field(default=0.1, ge=0)
    "Times the rate, the fraction of every weight that a training step takes away."
    training_images: int = Field(default=20_000, ge=1)
    "Images to train on, at most."
    validation_images: int = Field(default=2_000, ge=1)
    "Images that choose the best epoch, the last of the training set."
    test_images: int = Field(default=10_000, ge=1)
    "Images that the error is measured on, at most."
    recorded: int = Field(default=256, ge=1)
    "Test images that are recorded."


class GlimpseClassifier(nn.Module):
    """Images → glimpses → ReLU layer → recurrent network → class scores after the last step."""

    def __init__(self, layout: GlimpseLayout, core: RecursiveNetwork, classes: int) -> None:
        super().__init__()
        self.layout, self.core = layout, core
        self.embedding = nn.Linear(layout.channels, core.inputs)
        self.readout = nn.Linear(core.units, classes)
        integrates = [step for step, glimpse in enumerate(layout.steps) if glimpse.integrate]
        self.integrating = cast(fw.FastWeightNetwork, core.networks[core.weights[integrates[0]]])

    def forward(self, images: Tensor, inner_steps: int = 1) -> Tensor:
        """Bytes `[batch, row, column]` → class scores, with so many iterations of the integrating steps."""
        return self.readout(self.states(images, inner_steps)[0][:, -1])

    def states(self, images: Tensor, inner_steps: int = 1) -> tuple[Tensor, Tensor]:
        """Hidden states `[batch, time, unit]`, and those that were stored."""
        self.core.kernel = "auto" if inner_steps == 1 else "reference"  # compiled: one number in all steps
        self.integrating.inner_steps = inner_steps
        return self.core(torch.relu(self.embedding(self.layout.inputs(images))))


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test, record."""
    training, validation, test = split_mnist(
        config.data,
        training=config.training_images,
        validation=config.validation_images,
        test=config.test_images,
    )
    layout = GlimpseLayout(training.images.shape[-1])
    with context.random_state("weights"):
        core = RecursiveNetwork(
            config.embedding,
            config.units,
            fw.Hebbian(tau=config.tau, eta=config.eta),
            layout.stored,
            layout.cleared,
            layout.weights("levels"),
        )
        model = GlimpseClassifier(layout, core, classes=int(training.target.max()) + 1)
    history = trained(model, training, validation, config, context)
    return recorded(model, test, config, context).merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def trained(
    model: GlimpseClassifier,
    training: LabelledImages,
    validation: LabelledImages,
    config: Config,
    context: Context,
) -> xr.Dataset:
    """Train with the schedule, and keep the epoch whose answers on validation images are best over several counts."""
    once = config.schedule == "one"
    return train_varied(
        model,
        training,
        validation,
        Training(config.epochs, config.learning_rate, clip=1.0, weight_decay=config.weight_decay),
        InnerSteps(config.most, after=1.0 if once else config.after, storing=None),
        lambda epoch: context.generator(f"order {epoch}"),
        lambda epoch: context.generator(f"iterations {epoch}"),
        validated=(1,) if once else (1, 4, 32),
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )


@torch.no_grad()
def recorded(model: GlimpseClassifier, test: LabelledImages, config: Config, context: Context) -> xr.Dataset:
    """Errors by count of iterations; the loop of the last step, in which all other steps have one iteration."""
    counts = COUNTS[1:]
    errors = [100 * error_rate(model, test, context.device, inner_steps=count) for count in counts]
    shown = test.images[: config.recorded].to(context.device)
    hidden, stored = model.states(shown)
    net, core = model.integrating, model.core
    weight = core.readable(hidden)[-1][torch.tensor(core.stored)]
    seen = torch.relu(model.embedding(model.layout.inputs(shown)))[:, -1]
    sustained = hidden[:, -2] @ net.W.T + seen @ net.C.T + net.b
    cell, path = net.cell(), [net.cell().start(sustained)]
    shares = []
    for _ in range(max(COUNTS) + 1):
        attention = torch.einsum("bpi,bi->bp", stored, path[-1]) * weight
        shares.append(attention)
        path.append(cell.iterate(sustained, torch.einsum("bp,bpi->bi", attention, stored)))
    change = (path[-1] - path[-2]).norm(dim=-1) / path[-1].norm(dim=-1)
    kept = list(COUNTS)
    values = {
        "error": (("count",), errors, "%", "wrong answers"),
        "path": (
            ("trial", "iteration", "unit"),
            torch.stack(path, 1)[:, kept],
            "1",
            "state of the last step's loop",
        ),
        "attention": (
            ("trial", "iteration", "past"),
            torch.stack(shares, 1)[:, kept],
            "1",
            "attention to a whole",
        ),
        "change": (("trial",), change, "1", "relative length of the last iteration"),
        "stored": (("trial", "past", "unit"), stored, "1", "stored state of a quadrant as a whole"),
        "target": (("trial",), test.target[: config.recorded], "1", "class of the image"),
    }
    return labelled_dataset(
        {
            name: (dims, each.cpu().numpy() if isinstance(each, Tensor) else each, unit, label)
            for name, (dims, each, unit, label) in values.items()
        },
        {
            "count": (
                "count",
                list(counts),
                {"units": "1", "long_name": "iterations of all integrating steps"},
            ),
            "iteration": ("iteration", kept, {"units": "1", "long_name": "inner iteration"}),
        },
    )
