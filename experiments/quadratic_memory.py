"""Is the mean field of quadratic integrate-and-fire neurons with short-term plasticity that of their network?

Neurons with Lorentzian inputs excite each other through synapses of Tsodyks & Markram. A pulse of input makes them
fire, and facilitation keeps a trace of it afterwards. The mean field has four variables (rate, potential, u, x), and is
exact for many neurons if all synapses share u and x, driven by the mean rate (Taher, Torcini & Olmi 2020, PLOS Comput.
Biol. 16:e1008533). Two networks are simulated: with shared variables, and with those of each neuron's own spikes.

    fwsim run quadratic_memory --tau-facil 0.8s --pulse 3
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds

QUICK = {"neurons": 500, "begin": 0.1, "end": 0.2, "duration": 0.3}
CPU_ONLY = True
SYNAPSES = ("shared", "own")


class Config(Base):
    """A population, its synapses, and a pulse of input."""

    neurons: int = Field(default=4000, ge=2)
    "Neurons of a network."
    networks: int = Field(default=4, ge=2)
    "Independent networks, each with its own initial potentials."
    tau: Seconds = Field(default=0.015, gt=0)
    "Membrane time constant."
    spread: float = Field(default=0.25, gt=0)
    "Half the width Δ of the distribution of inputs."
    coupling: float = 15.0
    "Coupling J."
    background: float = -1.0
    "Centre of the inputs."
    pulse: float = 2.0
    "What the pulse adds to the inputs."
    begin: Seconds = Field(default=0.2, ge=0)
    "When the pulse begins."
    end: Seconds = Field(default=0.5, ge=0)
    "When the pulse ends."
    duration: Seconds = Field(default=1.2, gt=0)
    "How long the population is watched."
    U: float = Field(default=0.2, gt=0, le=1)
    "Utilisation that one spike adds."
    tau_facil: Seconds = Field(default=1.5, gt=0)
    "Time constant of facilitation."
    tau_rec: Seconds = Field(default=0.2, gt=0)
    "Time constant of recovery from depression."
    step: Seconds = Field(default=0.0002, gt=0)
    "Time step."
    sample: Seconds = Field(default=0.01, gt=0, le=0.1)
    "Length of the windows over which rates are averaged."


def run(config: Config, context: Context) -> xr.Dataset:
    """Simulate all networks with both kinds of synapse, and solve the mean field."""
    check_times(config)
    steps = round(config.duration / config.step)
    time = (np.arange(steps) + 0.5) * config.step
    drive = config.background + config.pulse * ((time > config.begin) & (time < config.end))
    rule = fw.TsodyksMarkram(U=config.U, tau_rec=config.tau_rec, tau_facil=config.tau_facil)
    start = 1.0  # Hz, near the silent state
    centre = -(abs(config.background) ** 0.5)
    expected = fw.theory.quadratic_mean_field(
        drive, dt=config.step, tau=config.tau, spread=config.spread, coupling=config.coupling, synapse=rule,
        rate=start, potential=centre,
    )  # fmt: skip
    window = round(config.sample / config.step)
    count = steps // window

    def windows(values: np.ndarray) -> np.ndarray:
        return values[..., : count * window].reshape(*values.shape[:-1], count, window).mean(-1)

    found = []
    with context.progress("time steps", len(SYNAPSES) * steps) as advance:
        for kind in SYNAPSES:
            generator = context.numpy_generator("networks")
            found.append(simulate(config, drive, start, centre, generator, advance, own=kind == "own"))
    coords = {"synapse": list(SYNAPSES), "time": (np.arange(count) + 1) * window * config.step}
    dims = ("synapse", "network", "time")
    made = {
        "expected_rate": labelled(
            xr.DataArray(windows(expected.rate), dims="time"), "rate in mean field", "Hz"
        )
    }
    for index, (name, unit) in enumerate((("rate", "Hz"), ("u", "1"), ("x", "1"))):
        values = xr.DataArray(np.stack([windows(each[index]) for each in found]), dims=dims)
        made[name] = labelled(values, {"rate": "rate", "u": "utilisation", "x": "resources"}[name], unit)
    for name in ("u", "x"):
        made[f"expected_{name}"] = labelled(
            xr.DataArray(windows(expected.synapse[name]), dims="time"), f"{name} in mean field"
        )
    recording = xr.Dataset(made, coords)
    recording["time"].attrs = {"units": "s", "long_name": "time"}
    return recording


def check_times(config: Config) -> None:
    """Refuse windows below a step, and a run without a window before the pulse, in it or after it."""
    if config.sample < config.step:
        raise fw.ConfigError(
            f"sample={config.sample:g} s is shorter than step={config.step:g} s; give at least that"
        )
    moments = [round(moment / config.step) for moment in (0.0, config.begin, config.end, config.duration)]
    if min(np.diff(moments)) < round(config.sample / config.step):
        raise fw.ConfigError(
            f"begin={config.begin:g}, end={config.end:g} and duration={config.duration:g} s must follow each other at"
            f" intervals of at least sample={config.sample:g} s, from 0 on"
        )


def simulate(
    config: Config,
    drive: np.ndarray,
    start: float,
    centre: float,
    generator: np.random.Generator,
    advance: fw.progress.Advance,
    *,
    own: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates, mean u and mean x `[network, time]`.

    Inputs are quantiles of the Lorentz distribution, since the mean of random ones has an infinite variance of rates.
    Potentials at the start are random.
    """
    N = config.neurons
    own_input = config.spread * np.tan(np.pi * (2 * np.arange(1, N + 1) - N - 1) / (2 * (N + 1)))
    V = centre + np.pi * config.tau * start * generator.standard_cauchy((config.networks, N))
    synapses = (config.networks, config.neurons if own else 1)
    u, x = np.full(synapses, config.U), np.ones(synapses)
    dt, sent = config.step, np.zeros((config.networks, 1))
    kept_u, kept_x = np.exp(-dt / config.tau_facil), np.exp(-dt / config.tau_rec)
    found = np.empty((3, config.networks, drive.size))
    for t, current in enumerate(drive):
        V, spikes = moved(V, own_input + current + config.coupling * config.tau * sent, dt / config.tau)
        arrived = spikes if own else spikes.mean(1, keepdims=True)
        release = arrived * u * x  # in order: release, resources, utilisation; all before the spike
        sent = release.mean(1, keepdims=True) / dt
        u, x = u + config.U * (1 - u) * arrived, x - release
        u, x = config.U + (u - config.U) * kept_u, 1 + (x - 1) * kept_x
        found[:, :, t] = spikes.mean(1) / dt, u.mean(1), x.mean(1)
        advance()
    return found[0], found[1], found[2]


def moved(V: np.ndarray, current: np.ndarray, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """Potentials after a step and the spikes in it; exact for a constant input, through infinity.

    With I > 0, V = √I tan φ and φ grows at √I; a spike is a passage of π/2. With I < 0, (V − √−I)/(V + √−I) grows at
    2√−I, and passes 1 at a spike.
    """
    root = np.sqrt(np.abs(current)) + 1e-12
    phase = np.arctan(V / root) + root * duration
    turns = np.floor(phase / np.pi + 0.5)
    ratio = (V - root) / (V + root)
    grown = ratio * np.exp(np.minimum(2 * root * duration, 600.0))
    fires = current > 0
    after = np.where(fires, root * np.tan(phase), root * (1 + grown) / (1 - grown))
    return after, np.where(fires, turns, (ratio > 0) & (ratio < 1) & (grown >= 1))
