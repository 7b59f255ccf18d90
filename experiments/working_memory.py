"""Under which background inputs does facilitation hold a memory, in spikes and in rates?

A spiking network of 8000 excitatory and 2000 inhibitory neurons with five pools (Mongillo, Barak & Tsodyks 2008,
Science 319:1543) gets a cue to one pool, then a delay. With a weak background input it forgets the cue. With a
stronger one it holds the cue as population spikes. With a still stronger one pools fire without any cue. Expect the
first two regimes also in the rate version, and the third one in spikes only, since fluctuations start it.

The recording holds the spiking network and its rate version, which has the Siegert gain, for every background. Models
are two conventions of the facilitating synapse, `mongillo2008` and `maass2002`, and an alternative without plasticity,
whose pools excite themselves through slow, NMDA-like currents. One run of `mongillo2008` is recorded with its spikes.
For how long a memory without spikes can be read out, see `silent_memory`.

Do the synapses have to be alike? In `spread` each neuron has a U, τ_rec and τ_facil of its own, drawn around those of
`mongillo2008` with the covariance that recorded pairs of one class have; in `measured` the values themselves are drawn
from that class. Releases from rest stay the same on average. Their rate version has the typical synapse.

    fwsim run working_memory --models spread --models measured --synapse-class "mouse sim1→sim1"

With `scale` below 1 the network has fewer neurons with as many inputs each, so the mean and the variance of the input
stay the same. The rates of the pools then fluctuate more, and the network leaves a state more easily.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim import spiking
from fwsim.spiking import Circuit, Pulse
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds, Volts

Model = Literal["mongillo2008", "maass2002", "slow_current", "spread", "measured"]
CONVENTIONS = {"mongillo2008": "mongillo2008", "maass2002": "maass2002"}
"""Of the models whose synapses are alike."""
RECORDED = ["rate", "u", "x"]

QUICK = {"models": ("mongillo2008",), "backgrounds": (0.023, 0.0242), "networks": 1, "delay": 1.0}
CPU_ONLY = True


class Config(Base):
    """Networks, drives and times; the defaults are a fifth of the size of the paper's."""

    scale: float = Field(default=0.2, ge=0.2, le=1)
    "Size of the network, 1 for 10,000 neurons."
    models: tuple[Model, ...] = Field(default=("mongillo2008", "maass2002", "slow_current"), min_length=1)
    "What holds the memory: facilitation (two conventions, or drawn for each neuron), or slow currents alone."
    backgrounds: tuple[Volts, ...] = Field(
        default=(0.023, 0.0234, 0.0236, 0.0238, 0.0242, 0.0252, 0.0264), min_length=1
    )
    "Background drives of the excitatory neurons, above rest."
    inhibitory_background: Volts = 0.021
    "Background drive of the inhibitory neurons."
    networks: int = Field(default=3, ge=1)
    "Networks drawn at random, each with its own noise."
    U: float = Field(default=0.2, gt=0, le=1)
    "Utilisation that one spike adds."
    tau_facil: Seconds = Field(default=1.5, ge=0)
    "Time constant of facilitation."
    tau_rec: Seconds = Field(default=0.2, ge=0)
    "Time constant of recovery from depression."
    synapse_class: str = "mouse sim1→sim1"
    "Recorded class (`fwsim.measured`) from which synapses of `spread` and `measured` are drawn."
    decay: Seconds = Field(default=0.0, ge=0)
    "Time constant of synaptic currents but those within pools of `slow_current`; 0 for jumps of the potential."
    dt: Seconds = Field(default=1e-4, gt=0)
    "Time step of the spiking network."
    slow_efficacy: Volts = 0.0008
    "Efficacy within pools of `slow_current`, per opened channel."
    slow_decay: Seconds = Field(default=0.1, gt=0)
    "Time constant of the currents within pools of `slow_current`."
    slow_opening: float = Field(default=0.5, gt=0, le=1)
    "Fraction of the closed channels of `slow_current` that one spike opens."
    settle: Seconds = Field(default=1.0, gt=0.2)
    "Time before the cue; its first 0.2 s do not count, in which initial potentials are forgotten."
    cue: Seconds = Field(default=0.35, gt=0)
    "Duration of the cue."
    cue_strength: float = Field(default=0.15, gt=0)
    "Cue, as a fraction of the background."
    delay: Seconds = Field(default=2.0, ge=1)
    "Time after the cue; regimes are those of its last second."
    raster_background: Volts = 0.0242
    "Background of the run whose spikes are recorded."
    engine: Literal["brian2", "native", "auto"] = "brian2"
    "What runs the spiking networks; the native engine is several times as fast, with noise of its own."
    bin: Seconds = Field(default=0.01, gt=0)
    "Time between samples."
    rate_dt: Seconds = Field(default=0.001, gt=0)
    "Time step of the rate version."


def run(config: Config, context: Context) -> xr.Dataset:
    """Every model under every background, and one run with its spikes."""
    found = [raster(config, context)]
    with context.progress("working memory", len(config.models) * (config.networks + 1)) as advance:
        models = [regimes(config, model, context, advance) for model in config.models]
    found.append(xr.concat(models, "model").assign_coords(model=list(config.models)))
    facilitating = [model for model in config.models if model in CONVENTIONS]
    circuits = {model: circuit(config, model).configuration() for model in facilitating}
    return xr.merge(found, compat="no_conflicts").assign_attrs(circuits=json.dumps(circuits))


def circuit(config: Config, model: Model, seed: int | None = None) -> Circuit:
    """The network of one model; the excitatory background is part of the drive.

    Synapses that differ between neurons are drawn from `seed`; with `None` all are typical of their class.
    """
    rule = fw.TsodyksMarkram(
        config.U, config.tau_rec, config.tau_facil, CONVENTIONS.get(model, "mongillo2008")
    )
    net = spiking.mongillo_circuit(
        rule, scale=config.scale, inhibitory_background=config.inhibitory_background
    )
    if model == "slow_current":
        net = spiking.slow_current_circuit(
            net, efficacy=config.slow_efficacy, decay=config.slow_decay, opening=config.slow_opening
        )
    elif model not in CONVENTIONS:
        around = rule if model == "spread" else None
        draw = spiking.drawn_synapses(fw.measured(config.synapse_class), around=around, seed=seed)
        net = spiking.heterogeneous_circuit(net, draw)
    smoothed = [replace(each, decay=each.decay or config.decay) for each in net.connections]
    return replace(net, connections=smoothed, dt=config.dt)


def cued(config: Config, net: Circuit, backgrounds: tuple[float, ...]) -> np.ndarray:
    """Drive with a trial for each background: the background, and the cue to the first pool."""
    end, excitatory = config.settle + config.cue, net.names[:-1]
    pulses = []
    for trial, background in enumerate(backgrounds):
        cue = config.cue_strength * background
        pulses.append(Pulse(background, populations=excitatory, trials=[trial]))
        pulses.append(Pulse(cue, config.settle, end, net.names[:1], [trial]))
    return spiking.stimulus(net, end + config.delay, pulses, trials=len(backgrounds))


def regimes(config: Config, model: Model, context: Context, advance: fw.progress.Advance) -> xr.Dataset:
    """Run one model under all backgrounds: in spikes `[network, background, …]` and in rates `[background, …]`."""
    drive = cued(config, circuit(config, model), config.backgrounds)
    networks = []
    for number in range(config.networks):
        seed = context.seed_of(f"regimes {number}", bits=31)
        networks.append(spikes(config, circuit(config, model, seed), drive, seed, ["rate"]))
        advance()
    rates = averaged(config, circuit(config, model), drive)
    advance()
    result = xr.concat(networks, "network").merge(rates, compat="no_conflicts")
    result = result.rename(trial="background", **{name: f"regime_{name}" for name in result.data_vars})
    label = {"units": "V", "long_name": "background drive"}
    return result.assign_coords(background=("background", list(config.backgrounds), label))


def spikes(
    config: Config, net: Circuit, drive: np.ndarray, seed: int, record: Sequence[str] = RECORDED
) -> xr.Dataset:
    """Rates of the populations in the spiking network, and u and x of their synapses, if they are recorded."""
    every = round(config.bin / net.dt)
    run = spiking.simulate(
        net, drive, record=record, every=every, seed=seed, engine=config.engine, progress=False
    )
    return tidy(spiking.pooled(run, net)[record])


def averaged(config: Config, net: Circuit, drive: np.ndarray) -> xr.Dataset:
    """Rates of the rate version."""
    every = round(config.bin / config.rate_dt)
    run = spiking.simulate_rates(net, drive, every=every, dt=config.rate_dt)
    return tidy(run[["rate"]]).rename(rate="mean_field_rate")


def tidy(run: xr.Dataset) -> xr.Dataset:
    """Without the axis of the only rule and without labels that say nothing."""
    run = run.isel(projection=0, drop=True, missing_dims="ignore")
    run = run.drop_vars(["projection", "trial", "unit"], errors="ignore")
    return run.astype(np.float32).assign_coords(time=run["time"].round(9))


def raster(config: Config, context: Context, each: int = 60) -> xr.Dataset:
    """One run of `mongillo2008` to look at: spikes of some neurons of every population; rates, u and x of all."""
    net = circuit(config, "mongillo2008")
    run = spiking.simulate(
        net,
        cued(config, net, (config.raster_background,)),
        record=[*spiking.EVENTS, *RECORDED],
        every=round(config.bin / net.dt),
        seed=context.seed_of("raster", bits=31),
        engine=config.engine,
        progress=False,
    )
    shown = np.concatenate([np.arange(net.neurons)[members][:each] for members in net.members.values()])
    row = np.full(net.neurons, -1)
    row[shown] = np.arange(len(shown))
    unit = row[run["spike_unit"].values]
    kept = unit >= 0
    label = {"units": "1", "long_name": f"neuron ({each} a population)"}
    averages = tidy(spiking.pooled(run, net)[RECORDED]).isel(trial=0)
    return averages.rename({name: f"raster_{name}" for name in averages.data_vars}).assign(
        raster_time=("spike", run["spike_time"].values[kept], run["spike_time"].attrs),
        raster_row=("spike", unit[kept].astype(np.int32), label),
    )
