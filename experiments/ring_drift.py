"""By how much does facilitation slow the drift of a bump of activity?

Units on a ring prefer directions and excite each other by similarity, so that a bump of activity holds a direction. If
connections are not perfectly tuned the bump drifts away within seconds; under noise it diffuses. Facilitating synapses
slow both (Itskov, Hansel & Tsodyks 2011, Front. Comput. Neurosci. 5:40). The ring without facilitation has exactly the
same bump, since both couplings are computed from the profile, so that only the synapses differ. The same perturbations
act on both rings: random errors of all weights ("mistuned", constant in time), or white noise on every unit ("noise").
Expect facilitation to slow the drift by a factor of 10 to 20.

    fwsim run ring_drift --tau-facil 0.5s --delay 4s
    fwsim sweep ring_drift --over tau_facil=0.25,0.5,1,2
"""

from __future__ import annotations

import math

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.study import Config as Base
from fwsim.study import Context, Hertz, Seconds

QUICK = {"seeds": 20, "delay": 2.0}
SYNAPSES = ("static", "facilitating")
PERTURBATIONS = ("mistuned", "noise")


class Config(Base):
    """A ring with and without facilitation, its bump, and what perturbs it."""

    units: int = Field(default=128, ge=8)
    "Units on the ring."
    seeds: int = Field(default=40, ge=2)
    "Mistuned networks, and streams of noise."
    peak: Hertz = Field(default=40.0, gt=0)
    "Peak rate of the bump."
    half_width: float = Field(default=60.0, gt=0, lt=90)
    "Half the width of the bump at its base, in degrees."
    background: Hertz = Field(default=20.0, ge=0)
    "Input of every unit."
    U: float = Field(default=0.05, gt=0, le=1)
    "Utilisation that one spike adds to facilitating synapses."
    tau_facil: Seconds = Field(default=1.0, ge=0)
    "Decay of facilitation."
    tau_rec: Seconds = Field(default=0.0, ge=0)
    "Recovery of facilitating synapses from depression; 0 is none, as in the theory."
    tau: Seconds = Field(default=0.01, gt=0)
    "Membrane time constant."
    mistuning: float = Field(default=0.02, ge=0)
    "Standard deviation of each weight, relative to the weight."
    noise: Hertz = Field(default=2.0, ge=0)
    "Standard deviation that noise alone gives to h."
    delay: Seconds = Field(default=4.0, ge=0.6)
    "How long the bump is watched; its drift counts from 0.4 s on, when it has taken its shape and place."
    step: Seconds = Field(default=0.002, gt=0)
    "Time step."


def run(config: Config, context: Context) -> xr.Dataset:
    """Watch bumps drift, with every kind of synapse and of perturbation."""
    parts = [
        xr.concat([drift(config, context, synapse, kind) for kind in PERTURBATIONS], "perturbation")
        for synapse in SYNAPSES
    ]
    recording = xr.concat(parts, "synapse").rename(trial="seed")
    return recording.assign_coords(synapse=list(SYNAPSES), perturbation=list(PERTURBATIONS)).assign_attrs(
        parts[0].attrs
    )


def drift(config: Config, context: Context, synapse: str, perturbation: str) -> xr.Dataset:
    """Rates of all seeds from the exact bump of the unperturbed ring on."""
    rate, hidden, u, x = bump(config)
    efficacy = u * x if synapse == "facilitating" else torch.ones_like(rate)
    weights = ring(config.units, *couplings(config, rate, efficacy))
    seeds, dt = config.seeds, config.step
    if perturbation == "mistuned":
        generator = context.generator("mistuning")  # the same for both kinds of synapse
        error = torch.randn(seeds, config.units, config.units, generator=generator, dtype=torch.float64)
        weights = weights * (1 + config.mistuning * error)
    rule = fw.TsodyksMarkram(U=config.U, tau_rec=config.tau_rec, tau_facil=config.tau_facil)
    plastic = synapse == "facilitating"
    net = fw.RateNetwork(
        fw.Projection(weights, synapse=rule if plastic else None),
        tau=config.tau,
        dt=dt,
        noise=config.noise if perturbation == "noise" else 0.0,
    )
    variables = {"u": u, "x": x} if plastic else {}
    state = fw.State(
        hidden.expand(seeds, -1), variables={name: v.expand(seeds, 1, -1) for name, v in variables.items()}
    )
    drive = torch.full((1, 1, 1), config.background, dtype=torch.float64)
    found = fw.simulate(
        net,
        lambda start, stop: drive.expand(seeds, stop - start, config.units),
        steps=round(config.delay / dt),
        state=state,
        record=fw.Record("rate", dtype="float32"),
        every=max(1, round(0.02 / dt)),
        seed=context.seed_of("noise"),
        device=context.device,
        progress=context.show,
    )
    return found[["rate"]]


def bump(config: Config) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rates, fields, u and x of the stationary bump at direction 0, `[unit]` each."""
    edge = math.cos(math.radians(config.half_width))
    hidden = config.peak * (torch.cos(directions(config.units)) - edge) / (1 - edge)
    rate = torch.relu(hidden)
    rule = fw.TsodyksMarkram(U=config.U, tau_rec=config.tau_rec, tau_facil=config.tau_facil)
    settled = rule.steady_state(rate, "mean_field").state
    return rate, hidden, settled["u"], settled["x"]


def couplings(config: Config, rate: Tensor, efficacy: Tensor) -> tuple[float, float]:
    """Mean and cosine part of the coupling that make this bump stationary, with these efficacies."""
    cosine = torch.cos(directions(config.units))
    edge = math.cos(math.radians(config.half_width))
    amplitude = config.peak / (1 - edge)
    mean, tuned = (efficacy * rate).mean(), (efficacy * rate * cosine).mean()
    return float((-amplitude * edge - config.background) / mean), float(amplitude / tuned)


def ring(units: int, mean: float, tuned: float) -> Tensor:
    """Weights (mean + tuned·cos(θ_i − θ_j))/units, `[post, pre]`."""
    theta = directions(units)
    return (mean + tuned * torch.cos(theta[:, None] - theta)) / units


def directions(units: int) -> Tensor:
    """Preferred directions in rad, `[unit]`."""
    return 2 * math.pi * torch.arange(units, dtype=torch.float64) / units
