"""Where does a network keep the evidence that it integrates: in its activity, or in its synapses?

Two kinds of evidence, or nothing, come one after the other, each as a random pattern of 0 and 1; a last pattern asks
which kind came more often. The multi-plasticity network (MPN) of Aitken & Mihalas 2023 (eLife 12:e83035) has no
recurrence: h = tanh((W ⊙ (1 + M)) x + b), M ← λ M + η h xᵀ, and a linear readout of h. λ and η are trained with all
weights; η is a number, or one for each input (pre), unit (post) or synapse. Controls are a recurrent network (tanh) and
the MPN without plasticity, which must guess.

Expect MPNs and the recurrent network to be right, also after twice as many steps. Expect the activity of an MPN to say
mostly what the input is, and its M how much evidence there is; expect the activity of the recurrent network to say
mostly how much evidence there is. Smaller than in the paper: 32 units and 20 inputs for 100 and 50. Different from it:
evidence is drawn independently in each step, where the paper's sums of evidence are uniform; no L1 penalty; a one-cycle
rate.

    fwsim sweep integration --over model=mpn,mpn_pre,mpn_post,mpn_synapse,recurrent,static --seeds 5
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn

import fwsim as fw
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context
from fwsim.training import Training, train

QUICK = {"steps": 40, "test_trials": 64, "length": 8}
EPOCHS = 10  # validations in a training; every trial is drawn anew
KINDS = 4  # of patterns: evidence for either side, nothing, and the question
AXES = {"mpn": (), "mpn_pre": ("pre",), "mpn_post": ("post",), "mpn_synapse": ("post", "pre")}


class Config(Base):
    """One network on integration."""

    model: Literal["mpn", "mpn_pre", "mpn_post", "mpn_synapse", "recurrent", "static"] = "mpn"
    "The MPN with one η, or one by pre, by post or by synapse; or a control."
    inputs: int = Field(default=20, ge=8)
    "Numbers in a pattern."
    units: int = Field(default=32, ge=1)
    "Hidden units."
    length: int = Field(default=20, ge=2)
    "Steps of a trial of training, the question included."
    steps: int = Field(default=400, ge=EPOCHS, multiple_of=EPOCHS)
    "Training steps; a multiple of 10."
    batch: int = Field(default=32, ge=1)
    "Trials a training step."
    learning_rate: float = Field(default=5e-3, gt=0)
    "Peak of the one-cycle rate of Adam."
    test_trials: int = Field(default=1_000, ge=1)
    "Trials of the test at each length."


class Trials(NamedTuple):
    """Inputs `x [trial, time, input]`, `kind [trial, time]` of each, and which side has more, `more [trial]`."""

    x: Tensor
    kind: Tensor
    more: Tensor


def patterns(inputs: int, generator: torch.Generator) -> Tensor:
    """Draw the patterns `[kind, input]`, all different, with a squared length of 1 on average."""
    while True:
        drawn = torch.randint(2, (KINDS, inputs), generator=generator)
        if len(drawn.unique(dim=0)) == KINDS and bool(drawn.any(1).all()):
            return drawn * (2 / inputs) ** 0.5


def draw(number: int, length: int, shown: Tensor, generator: torch.Generator) -> Trials:
    """Draw trials in which the sides do not have the same evidence; the last step is the question."""
    kind = torch.randint(3, (3 * number, length - 1), generator=generator)
    while True:
        tied = balance(kind)[:, -1] == 0
        if int((~tied).sum()) >= number:
            break
        kind[tied] = torch.randint(3, (int(tied.sum()), length - 1), generator=generator)
    kind = kind[~tied][:number]
    more = (balance(kind)[:, -1] > 0).long()
    kind = torch.cat([kind, torch.full((number, 1), KINDS - 1)], dim=1)
    return Trials(shown[kind], kind, more)


def balance(kind: Tensor) -> Tensor:
    """Evidence for side 1 less that for side 0 so far, `[trial, time]`."""
    return ((kind == 1).long() - (kind == 0).long()).cumsum(1)


class Integrator(nn.Module):
    """A core and a linear readout of its last state."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.core = build(config)
        self.readout = nn.Linear(config.units, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Patterns `[batch, time, input]` → scores `[batch, side]`."""
        return self.readout(self.core(x)[0][:, -1])


def build(config: Config) -> fw.FastWeightNetwork:
    """Make the MPN, or a control."""
    sizes = config.inputs, config.units
    if config.model == "recurrent":
        core = fw.FastWeightNetwork(*sizes, None, 0, activation="tanh", identity_scale=1.0)
        unused = [core.gain, core.bias]
    elif config.model == "static":
        core = fw.FastWeightNetwork(*sizes, None, 0, activation="tanh", identity_scale=0.0)
        unused = [core.gain, core.bias, core.W]
    else:
        axes = AXES[config.model]
        number = {"pre": config.inputs, "post": config.units}
        eta = 0.1 * torch.randn([number[axis] for axis in axes]) if axes else 0.1
        memory = fw.Hebbian.from_decay(0.95, eta=eta, axes=axes or None)
        core = fw.FastWeightNetwork(
            *sizes,
            memory,
            pre="inputs",
            read="multiplicative",
            activation="tanh",
            normalise="none",
            identity_scale=0.0,
            learn={"tau": "log", "eta": "signed"},
        )
        unused = [core.gain, core.bias, core.W]
    for each in unused:
        each.requires_grad_(False)
    return core


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test, and say where the evidence is."""
    with context.random_state("weights"):
        model = Integrator(config)
    shown, per_epoch = patterns(config.inputs, context.generator("patterns")), config.steps // EPOCHS

    def trials(number: int, length: int, name: str) -> Trials:
        drawn = draw(number, length, shown, context.generator(name))
        return Trials(*(each.to(context.device) for each in drawn))

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = trials(per_epoch * config.batch, config.length, f"training {epoch}")
        yield from zip(drawn.x.split(config.batch), drawn.more.split(config.batch), strict=True)

    validation = trials(512, config.length, "validation")
    history = train(
        model,
        lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]),
        batches,
        per_epoch,
        lambda model: wrong(model, validation),
        Training(EPOCHS, config.learning_rate, clip=1.0),
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    lengths = [config.length, 2 * config.length]
    tests = [trials(config.test_trials, length, f"test {length}") for length in lengths]
    values = {
        "right": ("length", [100 - 100 * wrong(model, each) for each in tests], "%", "right answers"),
        "validation": ("epoch", 100 - 100 * history["validation"].values, "%", "right, validation"),
        **where(model.core, tests[0]),
        **constants(model.core),
    }
    coords = {
        "epoch": ("epoch", history["epoch"].values, {"units": "1", "long_name": "epoch"}),
        "length": ("length", lengths, {"units": "1", "long_name": "steps of a trial"}),
    }
    return labelled_dataset(values, coords=coords)


@torch.no_grad()
def wrong(model: Integrator, trials: Trials) -> float:
    """Fraction of wrong answers."""
    return float((model(trials.x).argmax(-1) != trials.more).double().mean())


@torch.no_grad()
def where(core: fw.FastWeightNetwork, trials: Trials) -> dict[str, tuple]:
    """Fractions of the variance of activity, and of M, that input and evidence explain just before the question."""
    _, state = core(trials.x[:, :-1])
    kind = trials.kind[:, :-1].cpu()
    labels = {"input": kind[:, -1].numpy(), "evidence": balance(kind)[:, -1].numpy()}
    found = {}
    for name, said in (("hidden", "activity"), ("memory", "M")):
        values = getattr(state, name)
        for what, label in labels.items():
            share = np.nan if values is None else 100 * explained(values.flatten(1).cpu().numpy(), label)
            found[f"{name}_{what}"] = ((), share, "%", f"variance of {said} explained by {what}")
    return found


def explained(values: np.ndarray, label: np.ndarray) -> float:
    """Fraction of the variance of `values [sample, feature]`, all features together, between groups of one label."""
    centred = values - values.mean(0)
    within = sum(
        ((group - group.mean(0)) ** 2).sum() for group in (values[label == k] for k in np.unique(label))
    )
    total = (centred**2).sum()
    return float(1 - within / total) if total > 0 else np.nan


def constants(core: fw.FastWeightNetwork) -> dict[str, tuple]:
    """Time constant after training, and the fraction of strengths that are positive."""
    if core.memory is None:
        return {}
    tau, eta = (core.memory.values()[name].detach().double() for name in ("tau", "eta"))
    return {
        "trained_tau": ((), float(tau.median()), "s", "median time constant after training, at 1 s a step"),
        "positive": ((), 100 * float((eta > 0).double().mean()), "%", "strengths that are positive"),
    }
