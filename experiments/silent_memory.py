"""How long can a memory without spikes be read out, and how does this depend on the time constants of the synapse?

In the network of Mongillo, Barak & Tsodyks 2008 (Science 319:1543; see `working_memory`) one of five pools gets a cue.
Then all excitatory neurons are silenced for a moment, which only a memory in synapses survives. After a delay all of
them get the same weak input, the ping, and the cued pool should answer more than the others. The background is one
under which the network does not hold the cue in its activity.

Expect the selectivity of the answer to fall within a few τ_facil, and to fall more slowly where synapses recover
faster from depression. An alternative model without plasticity, whose pools excite themselves through slow, NMDA-like
currents, should not know the cue after the silence. In `spread` and `measured` the synapses of each neuron are drawn
from a recorded class, as in `working_memory`.

    fwsim run silent_memory
    fwsim run silent_memory --models mongillo2008 --tau-facil 0.5 --tau-facil 1.5 --tau-facil 3
        --tau-rec 0.2 --tau-rec 0.6
    fwsim run silent_memory --models spread --models measured --synapse-class "mouse sim1→sim1"

The recording holds the rates during the ping, in the spiking network and in its rate version. Pairs of time constants
are trials of the same networks; the noise differs between them. Runs with other seeds are other networks.
"""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim import spiking
from fwsim.recording import labelled
from fwsim.spiking import Circuit, Pulse
from fwsim.study import Config as Base
from fwsim.study import Context, Duration, Seconds, Volts

Model = Literal["mongillo2008", "maass2002", "slow_current", "spread", "measured"]
CONVENTIONS = {"mongillo2008": "mongillo2008", "maass2002": "maass2002"}
"""Of the models whose synapses are alike."""

QUICK = {"models": ("mongillo2008",), "networks": 1, "ping_delays": (0.5,)}
CPU_ONLY = True


class Config(Base):
    """Networks, time constants and the ping; the defaults are a fifth of the size of the paper's network."""

    scale: float = Field(default=0.2, ge=0.2, le=1)
    "Size of the network, 1 for 10,000 neurons."
    models: tuple[Model, ...] = Field(default=("mongillo2008", "maass2002", "slow_current"), min_length=1)
    "What holds the memory: facilitation (two conventions, or drawn for each neuron), or slow currents alone."
    background: Volts = 0.0232
    "Background drive of the excitatory neurons, above rest."
    inhibitory_background: Volts = 0.021
    "Background drive of the inhibitory neurons."
    networks: int = Field(default=3, ge=1)
    "Networks drawn at random, each with its own noise."
    U: float = Field(default=0.2, gt=0, le=1)
    "Utilisation that one spike adds."
    tau_facil: tuple[Duration, ...] = Field(default=(1.5,), min_length=1)
    "Time constants of facilitation."
    tau_rec: tuple[Duration, ...] = Field(default=(0.2,), min_length=1)
    "Time constants of recovery from depression, each with every time constant of facilitation."
    synapse_class: str = "mouse sim1→sim1"
    "Recorded class (`fwsim.measured`) from which synapses of `spread` and `measured` are drawn."
    slow_efficacy: Volts = 0.0008
    "Efficacy within pools of `slow_current`, per opened channel."
    slow_decay: Seconds = Field(default=0.1, gt=0)
    "Time constant of the currents within pools of `slow_current`."
    slow_opening: float = Field(default=0.5, gt=0, le=1)
    "Fraction of the closed channels of `slow_current` that one spike opens."
    settle: Seconds = Field(default=1.0, ge=0)
    "Time before the cue."
    cue: Seconds = Field(default=0.35, gt=0)
    "Duration of the cue."
    cue_strength: float = Field(default=0.15, gt=0)
    "Cue, as a fraction of the background."
    silence: Seconds = Field(default=0.3, ge=0)
    "Time after the cue for which all excitatory neurons are silenced."
    ping_delays: tuple[Duration, ...] = Field(default=(0.5, 1.5, 3.0), min_length=1)
    "Time from the end of the cue to the ping."
    ping: Seconds = Field(default=0.25, gt=0)
    "Duration of the ping."
    ping_strength: float = Field(default=0.05, gt=0)
    "Ping, as a fraction of the background."
    engine: Literal["brian2", "native", "auto"] = "brian2"
    "What runs the spiking networks; the native engine is several times as fast, with noise of its own."
    bin: Seconds = Field(default=0.01, gt=0)
    "Time between samples of the rate version."
    rate_dt: Seconds = Field(default=0.001, gt=0)
    "Time step of the rate version."


def run(config: Config, context: Context) -> xr.Dataset:
    """Read out every model with every pair of time constants: `[model, tau_facil, tau_rec, …]`."""
    if min(config.ping_delays) < config.silence:
        raise fw.ConfigError(
            f"ping_delays={config.ping_delays} begin within the silence of {config.silence:g} s; give later pings, or "
            "a shorter silence"
        )
    single = [model for model in config.models if model not in CONVENTIONS]
    if len(pairs(config)) > 1 and single:
        raise fw.ConfigError(
            f"{single[0]} takes one tau_facil and one tau_rec, and {len(pairs(config))} pairs are given; leave it out "
            "of models"
        )
    runs = len(config.models) * config.networks * len(config.ping_delays)
    with context.progress("silent memory", runs) as advance:
        found = [read_out(config, model, context, advance) for model in config.models]
    facil, rec, delays = (list(each) for each in (config.tau_facil, config.tau_rec, config.ping_delays))
    return xr.concat(found, "model").assign_coords(
        model=list(config.models),
        tau_facil=("tau_facil", facil, {"units": "s", "long_name": "time constant of facilitation"}),
        tau_rec=("tau_rec", rec, {"units": "s", "long_name": "time constant of recovery"}),
        ping_delay=("ping_delay", delays, {"units": "s", "long_name": "time since the cue"}),
    )


def pairs(config: Config) -> list[tuple[float, float]]:
    """Every τ_facil with every τ_rec: the trials of a run."""
    return list(itertools.product(config.tau_facil, config.tau_rec))


def circuit(config: Config, model: Model, seed: int | None = None) -> Circuit:
    """The network of one model, with a trial for each pair of time constants; the background is part of the drive.

    Synapses that differ between neurons are drawn from `seed`; with `None` all are typical of their class.
    """
    facil, rec = zip(*pairs(config))
    several = len(facil) > 1
    rule = fw.TsodyksMarkram(
        config.U,
        np.array(rec)[:, None] if several else rec[0],
        np.array(facil)[:, None] if several else facil[0],
        CONVENTIONS.get(model, "mongillo2008"),
    )
    plastic = spiking.mongillo_circuit(
        rule, scale=config.scale, inhibitory_background=config.inhibitory_background
    )
    if model == "slow_current":
        return spiking.slow_current_circuit(
            plastic, efficacy=config.slow_efficacy, decay=config.slow_decay, opening=config.slow_opening
        )
    if model not in CONVENTIONS:
        around = rule if model == "spread" else None
        draw = spiking.drawn_synapses(fw.measured(config.synapse_class), around=around, seed=seed)
        return spiking.heterogeneous_circuit(plastic, draw)
    return plastic


def pinged(config: Config, net: Circuit, delay: float) -> np.ndarray:
    """Drive `[trial, time, unit]`: background, cue to the first pool, silence, and a ping at the end."""
    end, background, excitatory = config.settle + config.cue, config.background, net.names[:-1]
    pulses = [
        Pulse(background, populations=excitatory),
        Pulse(config.cue_strength * background, config.settle, end, net.names[:1]),
        Pulse(-background, end, end + config.silence, excitatory),
        Pulse(config.ping_strength * background, end + delay, end + delay + config.ping, excitatory),
    ]
    return spiking.stimulus(net, end + delay + config.ping, pulses, trials=len(pairs(config)))


def read_out(config: Config, model: Model, context: Context, advance: fw.progress.Advance) -> xr.Dataset:
    """Responses to the ping in spikes, `[network, ping_delay, …, unit]`, and in rates, `[ping_delay, …, unit]`."""
    net = circuit(config, model)
    responses: list[list[np.ndarray]] = []
    for number in range(config.networks):
        seed = context.seed_of(f"pings {number}", bits=31)
        drawn = circuit(config, model, seed)
        responses.append([])
        for delay in config.ping_delays:
            drive = pinged(config, net, delay)
            run = spiking.simulate(drawn, drive, seed=seed, engine=config.engine, progress=False)
            responses[-1].append(response(config, net, run, delay))
            advance()
    rates = []
    for delay in config.ping_delays:
        every = round(config.bin / config.rate_dt)
        run = spiking.simulate_rates(net, pinged(config, net, delay), every=every, dt=config.rate_dt)
        during = run["time"] > config.settle + config.cue + delay + 1e-9
        rates.append(run["rate"].isel(time=during.values).mean("time").values)
    shape = len(config.tau_facil), len(config.tau_rec)
    dims = ("ping_delay", "tau_facil", "tau_rec", "unit")
    found = {
        "ping_response": (("network", *dims), np.array(responses)),
        "mean_field_ping_response": (dims, np.array(rates)),
    }
    named = {
        name: (dims, values.reshape(*values.shape[:-2], *shape, -1).astype(np.float32))
        for name, (dims, values) in found.items()
    }
    return xr.Dataset(named).map(lambda each: labelled(each, "rate during the ping", "Hz"))


def response(config: Config, net: Circuit, run: xr.Dataset, delay: float) -> np.ndarray:
    """Mean rate of the populations during the ping in Hz, `[trial, unit]`."""
    start = config.settle + config.cue + delay
    during = run["spike_time"].values > start + 1e-9
    sizes = [each.size for each in net.populations]
    unit = np.repeat(np.arange(len(sizes)), sizes)[run["spike_unit"].values[during]]
    trial = run["spike_trial"].values[during]
    trials = len(pairs(config))
    counts = np.bincount(trial * len(sizes) + unit, minlength=trials * len(sizes)).reshape(trials, -1)
    return counts / (np.array(sizes) * config.ping)
