"""What of fast weights remains if the memory must be measured synapses: can such a network bind letters to digits?

`c9k8??c` → 9: the task of Table 1 of Ba et al. 2016 (`associative_retrieval`), here with two pairs and in a rate
network that a circuit could have. Units obey Dale's law, divisive inhibition normalises their fields, and the only
memory is presynaptic short-term plasticity. Each presynaptic unit has the U, τ_rec and τ_facil of a class of measured
synapses, drawn at random from the table of measurements (`fwsim.spiking.MEASUREMENTS`): excitatory units from four
(Wang et al. 2006, Nat. Neurosci. 9:534), inhibitory units from three (Gupta, Wang & Markram 2000, Science 287:273). The
table gives class means without spreads, so units of a class are alike. All weights are trained. Controls are the same
network with synapses that do not change, and with fast weights, dA/dt = −A/τ + η r rᵀ between different units.

A presynaptic memory can hold which units were active, but has no entry for a pair of units. It can bind only through
units that answer to a letter together with a digit. Networks that know which digits occurred, but not with which
letter, have the error of the binding plateau, 45 % for two pairs.

    fwsim sweep measured_retrieval --over synapses=measured,static,fast_weights --seeds 5

The recording holds the training history, the error on test sequences, and the synapses that were drawn.
"""

from __future__ import annotations

from typing import Literal

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

import fwsim as fw
from fwsim.models import Signed
from fwsim.recording import labelled_dataset
from fwsim.spiking import MEASUREMENTS
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.tasks import AssociativeRetrieval
from fwsim.training import Training, error_rate, train_classifier

QUICK = {
    "units": 20,
    "epochs": 2,
    "training_sequences": 640,
    "validation_sequences": 200,
    "test_sequences": 200,
}

PARAMETERS = {"first release": "U", "tau_rec": "tau_rec", "tau_facil": "tau_facil"}
"""Quantities of the table, and what the rule calls them: the first release from rest is U."""

USUAL_RATE = 20.0
"""Mean rate in Hz that divisive inhibition does not let fields exceed, so that measured synapses change in a token."""


class Config(Base):
    """One network on associative retrieval."""

    synapses: Literal["measured", "static", "fast_weights"] = "measured"
    "What synapses between units remember with."
    units: int = Field(default=60, ge=5)
    "Units, of which four fifths are excitatory."
    pairs: int = Field(default=2, ge=1, le=26)
    "Letter–digit pairs."
    token: Seconds = Field(default=0.1, gt=0)
    "Time for which a token is shown."
    dt: Seconds = Field(default=0.05, gt=0)
    "Time step, a fraction of the time of a token."
    tau: Seconds = Field(default=0.1, gt=0)
    "Time constant of the units; they still carry a letter when its digit is shown."
    tau_fast_weights: Seconds = Field(default=1.5, gt=0)
    "Time constant of fast weights."
    eta_fast_weights: float = Field(default=2e-3, gt=0)
    "Strength of fast weights in 1/s, for rates in Hz."
    epochs: int = Field(default=20, ge=1)
    "Passes through the training sequences."
    training_sequences: int = Field(default=25_600, ge=1)
    "Sequences to train on."
    batch: int = Field(default=128, ge=1)
    "Sequences in a training step."
    learning_rate: float = Field(default=4e-2, gt=0)
    "Peak of the one-cycle rate of AdamW."
    validation_sequences: int = Field(default=1_000, ge=1)
    "Sequences that choose the best epoch."
    test_sequences: int = Field(default=5_000, ge=1)
    "Sequences that the error is measured on."


def run(config: Config, context: Context) -> xr.Dataset:
    """Train and test."""
    held = round(config.token / config.dt)
    if held < 1 or abs(held * config.dt - config.token) > 1e-9:
        raise fw.ConfigError(
            f"token={config.token:g} is not a multiple of dt={config.dt:g}; change one of them"
        )
    task = AssociativeRetrieval(pairs=config.pairs)
    rule, drawn = measured(config.units, context.generator("synapses"))
    with context.random_state("weights"):
        model = Retrieval(config, task, held, rule)
    training, validation, test = (
        task.sample(number, context.generator(name))
        for name, number in (
            ("training", config.training_sequences),
            ("validation", config.validation_sequences),
            ("test", config.test_sequences),
        )
    )
    history = train_classifier(
        model,
        training,
        validation,
        Training(config.epochs, config.learning_rate, clip=1.0),
        lambda epoch: context.generator(f"order {epoch}"),
        batch=config.batch,
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    error = 100 * error_rate(model, test, context.device)
    recording = labelled_dataset({"test_error": ((), error, "%", "test error")}).merge(drawn)
    return recording.merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def classes(component: str) -> dict[str, dict[str, float]]:
    """Measured classes of a component that have all parameters: preparation → parameters."""
    found: dict[str, dict[str, float]] = {}
    for each in MEASUREMENTS:
        if each.component == component and each.quantity in PARAMETERS:
            found.setdefault(f"{each.preparation} ({each.source})", {})[PARAMETERS[each.quantity]] = each.low
    return {name: values for name, values in found.items() if len(values) == len(PARAMETERS)}


def measured(units: int, generator: torch.Generator) -> tuple[fw.TsodyksMarkram, xr.Dataset]:
    """Synapses whose parameters each presynaptic unit draws from a class of its kind, and which these are."""
    excitatory, rows = excitatory_units(units), []
    for unit in range(units):
        of_kind = list(classes("excitatory synapse" if unit < excitatory else "inhibitory synapse").values())
        rows.append(of_kind[int(torch.randint(len(of_kind), (), generator=generator))])
    values = {name: torch.tensor([row[name] for row in rows]) for name in PARAMETERS.values()}
    named = {
        "U": ("unit", values["U"].numpy(), "1", "release from rest"),
        "tau_rec": ("unit", values["tau_rec"].numpy(), "s", "time constant of recovery"),
        "tau_facil": ("unit", values["tau_facil"].numpy(), "s", "time constant of facilitation"),
    }
    return fw.TsodyksMarkram(**values), labelled_dataset(named)


def excitatory_units(units: int) -> int:
    """How many units excite; they come first."""
    return units * 4 // 5


class Retrieval(nn.Module):
    """Tokens excite units of a rate network, whose excitatory units answer at the end of the last token.

    Parameters
    ----------
    config
        Numbers of units, time constants, and what synapses remember with.
    task
        Gives the numbers of tokens and answers.
    held
        Steps for which a token is shown.
    rule
        The measured synapses.
    """

    def __init__(
        self, config: Config, task: AssociativeRetrieval, held: int, rule: fw.TsodyksMarkram
    ) -> None:
        super().__init__()
        units, self.held, self.excitatory = config.units, held, excitatory_units(config.units)
        inhibits = torch.arange(units) >= self.excitatory
        memory = None
        if config.synapses == "fast_weights":
            memory = fw.Hebbian(tau=[config.tau_fast_weights], eta_rate=[config.eta_fast_weights])
        size = nn.Parameter(torch.rand(units, units))
        self.core = fw.RateNetwork(
            fw.Projection(size, synapse=rule if config.synapses == "measured" else None),
            tau=config.tau,
            dt=config.dt,
            memory=memory,
            normalise=fw.divisive(strength=1 / USUAL_RATE),
            self_connections=False,
        )
        parametrize.register_parametrization(
            self.core.weights, "0", Signed(torch.where(inhibits, -16.0, 4.0) / units)
        )
        self.tokens = nn.Parameter(2 * torch.rand(task.tokens, units) ** 4)
        self.bias = nn.Parameter(torch.zeros(units))
        self.answers = nn.Linear(self.excitatory, task.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers `[sequence, time]` → scores of answers `[sequence, answer]`."""
        drive = torch.relu(self.tokens)[tokens].repeat_interleave(self.held, dim=1) + self.bias
        rate, _ = self.core(USUAL_RATE * drive)
        return self.answers(rate[:, -1, : self.excitatory] / USUAL_RATE)
