"""Can fast weights hold a whole while the same network looks at its parts?

The MNIST digits are shown as 24 glimpses of 7×7 pixels on two levels (Ba et al. 2016, section 4.2). Each quadrant of
the image is seen once as a whole, at lower resolution, then its four quarters, and then comes a step without input
that integrates them. Before it sees the parts, the network stores its hidden state in fast weights and clears it. When
it integrates, the hidden state that the parts have left recalls the whole. Control inputs say when to store and clear,
the level, and the place.

Controls of the same size see the same sequence and the same control inputs, and keep their hidden state throughout: an
identity RNN and an LSTM. A small convolutional network sees the whole image. Expect fast weights to be ahead of the
recurrent controls at small sizes, as in the paper. To measure the effect itself, parts of it are left out: nothing is
stored (`--store none`), the state is never cleared, each level has weights of its own (`--sharing none`), or there are
fewer or more levels. In the trained network some of the steps are kept from reading the memory. With `--controls none
--embedding 0` all networks see only the pixels.

The digits are read from `--data` or from the folder that FWSIM_MNIST names, or they are downloaded. There is no
augmentation.

    fwsim sweep glimpses --over model=fast_weights,lstm,irnn --learning-rate 1e-2 --seeds 3
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn

import fwsim as fw
from fwsim.engine.recursive import RecursiveNetwork
from fwsim.models import Core, core, parameter_count
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.tasks import GlimpseLayout, LabelledImages, split_mnist
from fwsim.training import Training, error_rate, train_classifier

QUICK = {"units": 20, "epochs": 2, "training_images": 3_000, "validation_images": 500, "test_images": 1_000}


class Config(Base):
    """One network on images seen in glimpses."""

    model: Literal["fast_weights", "irnn", "lstm", "convnet"] = "fast_weights"
    "Fast weights, or a control."
    units: int = Field(default=50, ge=1)
    "Recurrent units R; of the convolutional network, units before the answer."
    data: str | None = None
    "Folder of the four IDX files; else FWSIM_MNIST, else they are downloaded."
    levels: int = Field(default=2, ge=1)
    "Levels of the layout: 1 parts only, 2 the paper's, 3 with the image as a whole."
    store: Literal["whole", "region", "every", "none"] = "whole"
    "After which steps fast weights store the hidden state."
    clear: Literal["whole", "never"] = "whole"
    "After which steps fast weights clear the hidden state."
    controls: Literal["all", "none"] = "all"
    "Whether inputs beside the pixels say level, place, integrate, store and clear."
    sharing: Literal["all", "levels", "none"] = "levels"
    "Which steps share slow weights: all; all levels, with others to integrate; or only those of one level."
    inner_steps: int = Field(default=1, ge=1)
    "Iterations of the inner loop S."
    tau: Seconds = Field(default=-1 / math.log(0.95), gt=0)
    "Time constant of the memory at 1 s a step; 19.5 s is the paper's decay of 0.95."
    eta: float = Field(default=0.5, gt=0)
    "Strength of one write."
    maps: int = Field(default=0, ge=0)
    "Maps of a 3×3 convolution through which every glimpse is seen; 0 leaves it out."
    embedding: int = Field(default=100, ge=0)
    "Units of the ReLU layer that every glimpse passes; 0 leaves it out."
    dropout: float = Field(default=0.0, ge=0, lt=1)
    "Fraction of the units of `embedding` and of the last hidden units left out in training."
    epochs: int = Field(default=25, ge=1)
    "Passes through the training images."
    learning_rate: float = Field(default=3e-3, gt=0)
    "Rate of AdamW, at its peak if it changes."
    schedule: Literal["onecycle", "constant"] = "onecycle"
    "How the rate changes: up and down to nothing once, or not at all."
    clip: float = Field(default=1.0, gt=0)
    "Largest norm of the gradient."
    weight_decay: float = Field(default=0.1, ge=0)
    "Times the rate, the fraction of every weight that a training step takes away."
    batch: int = Field(default=128, ge=1)
    "Images a training step."
    training_images: int = Field(default=60_000, ge=1)
    "Images to train on, at most."
    validation_images: int = Field(default=5_000, ge=0)
    "Images that choose the best epoch, the last of the training set; 0 trains on them too and keeps the last epoch."
    test_images: int = Field(default=10_000, ge=1)
    "Images that the error is measured on, at most."
    recorded: int = Field(default=256, ge=1)
    "Test images that are recorded."


class Eye(nn.Module):
    """Glimpse by glimpse, a convolution of 3×3, ReLU, and maxima of 3×3 at every second pixel; controls pass."""

    def __init__(self, layout: GlimpseLayout, maps: int) -> None:
        super().__init__()
        self.side = layout.glimpse
        # Torch's convolution of a single channel takes half the time where channels come last.
        self.convolution = nn.Conv2d(1, maps, 3, padding=1).to(memory_format=torch.channels_last)
        self.largest = nn.MaxPool2d(3, stride=2)
        self.channels = maps * ((layout.glimpse - 1) // 2) ** 2 + layout.control_inputs.shape[1]

    def forward(self, seen: Tensor) -> Tensor:
        """Pixels and controls `[batch, time, input]` → maps and controls `[batch, time, channel]`."""
        pixels, controls = seen[..., : self.side**2], seen[..., self.side**2 :]
        glimpses = pixels.reshape(-1, 1, self.side, self.side).contiguous(memory_format=torch.channels_last)
        found = torch.relu(self.largest(self.convolution(glimpses)))  # the order of the two is free
        return torch.cat([found.permute(0, 2, 3, 1).reshape(*seen.shape[:2], -1), controls], dim=-1)


class GlimpseClassifier(nn.Module):
    """Images → glimpses → eye → ReLU layer, if `embedded` → recurrent network → class scores after the last step."""

    def __init__(
        self,
        layout: GlimpseLayout,
        eye: Eye | None,
        recurrent: Core | RecursiveNetwork,
        classes: int,
        dropout: float,
        *,
        embedded: bool,
    ) -> None:
        super().__init__()
        self.layout, self.eye, self.core = layout, eye, recurrent
        channels = layout.channels if eye is None else eye.channels
        self.embedding = nn.Linear(channels, recurrent.inputs) if embedded else None
        self.readout = nn.Linear(recurrent.units, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, images: Tensor, **options: Any) -> Tensor:
        """Bytes `[batch, row, column]` → class scores `[batch, class]`; options go to the recurrent network."""
        hidden, _ = self.core(self.embed(images), **options)
        return self.readout(self.dropout(hidden[:, -1]))

    def embed(self, images: Tensor) -> Tensor:
        """What the recurrent network is given, `[batch, time, input]`."""
        seen = self.layout.inputs(images)
        seen = seen if self.eye is None else self.eye(seen)
        return seen if self.embedding is None else self.dropout(torch.relu(self.embedding(seen)))


class ConvNet(nn.Module):
    """Two convolutions of 5×5 (8 and 16 maps) with ReLU and maxima of 2×2, a ReLU layer, class scores."""

    def __init__(self, size: int, units: int, classes: int, dropout: float) -> None:
        super().__init__()
        side = ((size - 4) // 2 - 4) // 2
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(dropout), nn.Linear(16 * side**2, units), nn.ReLU()),
            nn.Linear(units, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Bytes `[batch, row, column]` → class scores `[batch, class]`."""
        return self.layers(images[:, None].float() / 255)


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test, block what is read, record."""
    training, validation, test = split_mnist(
        config.data,
        training=config.training_images,
        validation=config.validation_images,
        test=config.test_images,
    )
    layout = GlimpseLayout(
        training.images.shape[-1], 7, config.levels, config.store, config.clear, config.controls
    )
    with context.random_state("weights"):  # of dropout too
        model = build(config, layout, classes=int(training.target.max()) + 1)
        history = train_classifier(
            model,
            training,
            validation if config.validation_images else None,
            Training(config.epochs, config.learning_rate, config.schedule, config.clip, config.weight_decay),
            lambda epoch: context.generator(f"order {epoch}"),
            batch=config.batch,
            device=context.device,
            checkpoints=context.checkpoints,
            resume=context.resume,
            progress=context.progress,
        )
    recording = record(model, layout, test, config, context)
    measured = {
        "test_error": ((), 100 * error_rate(model, test, context.device), "%", "test error"),
        "parameters": ((), parameter_count(model), "1", "trained parameters"),
    }
    return recording.merge(labelled_dataset(measured)).merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def build(config: Config, layout: GlimpseLayout, classes: int) -> nn.Module:
    """Make the network."""
    if config.model == "convnet":
        return ConvNet(layout.size, config.units, classes, config.dropout)
    memory = fw.Hebbian(tau=config.tau, eta=config.eta)
    eye = Eye(layout, config.maps) if config.maps else None
    inputs = config.embedding or (layout.channels if eye is None else eye.channels)
    if config.model == "fast_weights":
        recurrent = RecursiveNetwork(
            inputs,
            config.units,
            memory,
            layout.stored,
            layout.cleared,
            layout.weights(config.sharing),
            config.inner_steps,
        )
    else:
        recurrent = core(config.model, inputs, config.units, memory)
    return GlimpseClassifier(layout, eye, recurrent, classes, config.dropout, embedded=config.embedding > 0)


@torch.no_grad()
def record(
    model: nn.Module, layout: GlimpseLayout, test: LabelledImages, config: Config, context: Context
) -> xr.Dataset:
    """Record the trained network on the first test images, and what blocking memory costs on all of them."""
    shown, target = test.images[: config.recorded], test.target[: config.recorded]
    seen = shown.to(context.device)
    first = layout.glimpses(shown[:1])[0]
    values: dict[str, tuple[Sequence[str], Tensor, str]] = {
        "glimpse": (("time", "pixel"), first, "glimpses of the first image"),
        "target": (("trial",), target, "class of the image"),
        "answer": (("trial",), model(seen).argmax(-1), "class answered"),
    }
    for name in ("level", "integrate", "part"):
        of_step = torch.tensor([int(getattr(step, name)) for step in layout.steps])
        values[name] = (("time",), of_step, f"{name} of the step")
    for name in ("stored", "cleared"):
        values[name] = (("time",), torch.tensor(getattr(layout, name)), f"hidden state {name}")
    attends = config.model == "fast_weights" and any(layout.stored)
    if not isinstance(model, ConvNet):
        hidden, _ = model.core(model.embed(seen))
        values["hidden"] = (("trial", "time", "unit"), hidden, "hidden state")
        if attends:
            attention, recency = model.core.attention(hidden), model.core.readable(hidden)
            values["attention"] = (("trial", "time", "past"), attention, "attention to stored states")
            values["recency"] = (("time", "past"), recency, "weight κ of stored states")
    recording = labelled_dataset(
        {name: (dims, value.cpu().numpy(), "1", label) for name, (dims, value, label) in values.items()}
    )
    return recording.merge(lesions(model, layout, test, context)) if attends else recording


def lesions(
    model: GlimpseClassifier, layout: GlimpseLayout, test: LabelledImages, context: Context
) -> xr.Dataset:
    """Test error of the trained network when some of its steps read nothing from memory."""
    integrating = [step for step, glimpse in enumerate(layout.steps) if glimpse.integrate]
    looking = [step for step in range(layout.length) if step not in integrating]
    blocked = {"none": [], "integrating": integrating, "looking": looking, "all": range(layout.length)}
    errors = [
        100 * error_rate(lambda images, steps=steps: model(images, blocked=steps), test, context.device)
        for steps in blocked.values()
    ]
    lesioned = ("blocked", errors, "%", "test error with steps that read nothing")
    return labelled_dataset({"lesion_error": lesioned}, coords={"blocked": list(blocked)})
