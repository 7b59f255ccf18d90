"""Does facilitation hold a bump of activity in place, and does depression make it move?

Two questions on one ring of units that prefer directions and excite each other by similarity.

Drift (Itskov, Hansel & Tsodyks 2011, Front. Comput. Neurosci. 5:40): a bump remembers a direction, but where
connections are not perfectly tuned it drifts away within seconds, and under noise it diffuses. Facilitated
synapses hold it, by a large factor. The ring without facilitation has the very same bump: both couplings follow
from the profile that is wanted, so nothing but the synapses differs. The same perturbations act on both: weights
off by a random fraction each ("mistuned", frozen), or white noise on every unit ("noise").

States (York & van Rossum 2009, J. Comput. Neurosci. 27:607): with depressing synapses and a uniform background
the ring is uniform, or holds a stationary bump, or one that rotates, at a speed that the background sets.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.study import Config as Base
from fwsim.study import Context, Hertz, Seconds

QUICK = {
    "seeds": 20,
    "delay": 2.0,
    "couplings": (1.5, 3.0, 6.0),
    "backgrounds": (0.2, 1.0, 5.0, 25.0),
    "depression_units": 32,
    "watching": 2.0,
}
SYNAPSES = ("static", "facilitating")
PERTURBATIONS = ("mistuned", "noise")


class Config(Base):
    """A ring with and without facilitation, and one with depression."""

    units: int = Field(default=128, ge=8)
    "Units on the ring of the first question."
    seeds: int = Field(default=40, ge=2)
    "Mistuned networks, and streams of noise."
    peak: Hertz = 40.0
    "Peak rate of the bump."
    half_width: float = Field(default=60.0, gt=0, lt=90)
    "Half its width at the base, in degrees."
    background: Hertz = 20.0
    "Input of every unit of the first question."
    U: float = Field(default=0.05, gt=0, le=1)
    "Utilisation that one spike adds to facilitating synapses."
    tau_facil: Seconds = 1.0
    "Decay of facilitation."
    tau_rec: Seconds = 0.0
    "Recovery of facilitating synapses from depression; 0 is none, as in the theory."
    tau: Seconds = 0.01
    "Membrane time constant."
    mistuning: float = Field(default=0.02, ge=0)
    "Standard deviation of each weight, relative to the weight."
    noise: Hertz = 2.0
    "Standard deviation that noise alone gives to h."
    delay: Seconds = Field(default=4.0, ge=0.4)
    "How long the bump is watched, from 0.4 s on, as it takes its shape and place in these."
    step: Seconds = 0.002
    "Step of the first question."
    depression_units: int = Field(default=64, ge=8)
    "Units on the ring of the second question."
    depression_utilisation: float = Field(default=0.5, gt=0, le=1)
    "Utilisation of depressing synapses."
    depression_tau_rec: Seconds = 0.2
    "Their recovery."
    inhibition: float = -4.0
    "Mean of the coupling over the ring, of synapses at rest."
    couplings: tuple[float, ...] = tuple(float(c) for c in np.arange(1.0, 8.01, 0.5))
    "Cosine part of the coupling, of synapses at rest."
    backgrounds: tuple[Hertz, ...] = tuple(float(f"{b:.3g}") for b in np.geomspace(0.1, 200.0, 24))
    "Uniform inputs of the second question."
    watching: Seconds = 4.0
    "Length of the last part of a run, from which its state is told."
    depression_step: Seconds = 0.001
    "Step of the second question."


def run(config: Config, context: Context) -> xr.Dataset:
    """Watch bumps drift, then classify states under depression."""
    parts = [
        xr.concat([drift(config, context, synapse, kind) for kind in PERTURBATIONS], "perturbation")
        for synapse in SYNAPSES
    ]
    recording = xr.concat(parts, "synapse").rename(trial="seed")
    recording = recording.assign_coords(synapse=list(SYNAPSES), perturbation=list(PERTURBATIONS))
    recording.attrs = parts[0].attrs
    return recording.merge(depressed(config, context))


# --- drift --------------------------------------------------------------------------------------------------


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


# --- states under depression --------------------------------------------------------------------------------


def depressed(config: Config, context: Context) -> xr.Dataset:
    """Rates under depression for every coupling and background, after a kick that breaks the symmetry."""
    units, dt = config.depression_units, config.depression_step
    grid = [(coupling, background) for coupling in config.couplings for background in config.backgrounds]
    weights = torch.stack([ring(units, config.inhibition, coupling) for coupling, _ in grid])
    # Weights of synapses at rest: the first release is U.
    rule = fw.TsodyksMarkram(
        U=config.depression_utilisation, tau_rec=config.depression_tau_rec, tau_facil=0.0
    )
    net = fw.RateNetwork(
        fw.Projection(weights / config.depression_utilisation, synapse=rule), tau=config.tau, dt=dt
    )
    background = torch.tensor([background for _, background in grid], dtype=torch.float64)[:, None, None]
    duration = 2.0 + config.watching
    found = fw.simulate(
        net,
        lambda start, stop: background * (1 + kick(units, start, stop, dt)),
        steps=round(duration / dt),
        record=fw.Record("rate", dtype="float32", start=2.0),
        every=max(1, round(0.005 / dt)),
        device=context.device,
        progress=context.show,
    )
    rate = found["rate"].values.reshape(len(config.couplings), len(config.backgrounds), -1, units)
    dimensions = ("coupling", "background", "watched_time", "depressed_unit")
    return xr.Dataset(
        {"depressed_rate": (dimensions, rate, {"units": "Hz", "long_name": "rate"})},
        {
            "coupling": ("coupling", list(config.couplings), {"units": "1", "long_name": "cosine coupling"}),
            "background": (
                "background",
                list(config.backgrounds),
                {"units": "Hz", "long_name": "background input"},
            ),
            "watched_time": ("watched_time", found["rate_time"].values, {"units": "s", "long_name": "time"}),
        },
    )


def kick(units: int, start: int, stop: int, dt: float) -> Tensor:
    """Relative input at one place and then a little further, which lets a bump that can move begin to."""
    time, theta = (torch.arange(start, stop) * dt)[:, None], directions(units)
    first = (time < 0.1) * torch.relu(torch.cos(theta - math.pi))
    second = ((time >= 0.1) & (time < 0.15)) * torch.relu(torch.cos(theta - math.pi - 0.5))
    return 0.5 * (first + second)
