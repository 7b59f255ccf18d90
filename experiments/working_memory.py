"""Does facilitation hold a memory without spikes, over which drives and time constants, and how would one tell?

A spiking network of 8000 excitatory and 2000 inhibitory neurons with five pools (Mongillo, Barak & Tsodyks 2008,
Science 319:1543) gets a cue to one pool, a delay, and a weak unspecific input, the ping, that reads the memory out.

The recording holds, side by side: the network under several background drives, whose regimes (it forgets; it holds
the cue, as population spikes; its spontaneous state is lost) are to be found; its rate version with the Siegert gain;
two conventions of the synapse, `mongillo2008` and `maass2002`; a rival without plasticity, whose pools excite
themselves through slow, NMDA-like currents; the ping at several delays, with activity silenced after the cue, which
only a memory in synapses survives; and how long that memory lasts over τ_facil and τ_rec, in spikes and in rates.

With `scale` below 1 the network has fewer neurons with as many inputs each, so that mean and variance of the input
stay; fluctuations of the pools grow, and with them the chance to leave a state.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim import ms, mV, spiking
from fwsim.spiking import Circuit, Connection, Population, Pulse
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds, Volts

Model = Literal["mongillo2008", "maass2002", "slow_current"]
POOLS = ("E1", "E2", "E3", "E4", "E5")
EXCITATORY = (*POOLS, "E0")
CUED = "E1"

QUICK = {
    "models": ("mongillo2008",),
    "backgrounds": (0.023, 0.0242),
    "networks": 1,
    "delay": 1.0,
    "ping_delays": (0.5,),
    "tau_facil": (1.5,),
    "tau_rec": (0.2,),
}


class Config(Base):
    """Networks, drives and times; the defaults are a fifth of the size of the paper's."""

    scale: float = Field(default=0.2, ge=0.2, le=1)
    "Size of the network, 1 for 10,000 neurons."
    models: tuple[Model, ...] = ("mongillo2008", "maass2002", "slow_current")
    "What holds the memory: facilitation in one of two conventions, or slow currents without plasticity."
    backgrounds: tuple[Volts, ...] = (0.023, 0.0234, 0.0236, 0.0238, 0.0242, 0.0252, 0.0264)
    "Background drives of the excitatory neurons, above rest."
    inhibitory_background: Volts = 0.021
    "Background drive of the inhibitory neurons."
    parts: tuple[Literal["regimes", "pings", "lifetimes"], ...] = ("regimes", "pings", "lifetimes")
    "What is run."
    networks: int = Field(default=3, ge=1)
    "Networks drawn at random, each with its own noise."
    U: float = Field(default=0.2, gt=0, le=1)
    "Utilisation that one spike adds."
    facil: Seconds = 1.5
    "Time constant of facilitation."
    rec: Seconds = 0.2
    "Time constant of recovery from depression."
    slow_efficacy: Volts = 0.0008
    "Efficacy within pools of the rival, per opened channel."
    slow_decay: Seconds = 0.1
    "Time constant of its currents within pools."
    slow_opening: float = Field(default=0.5, gt=0, le=1)
    "Fraction of its closed channels that one spike opens."
    settle: Seconds = 1.0
    "Time before the cue."
    cue: Seconds = 0.35
    "Duration of the cue."
    cue_strength: float = Field(default=0.15, gt=0)
    "Cue over background."
    delay: Seconds = 2.0
    "Time after the cue in the runs without ping."
    ping_background: Volts = 0.0232
    "Background of the runs with ping, in the regime that forgets."
    ping: Seconds = 0.25
    "Duration of the ping."
    ping_strength: float = Field(default=0.05, gt=0)
    "Ping over background."
    silence: Seconds = 0.3
    "Time for which all excitatory neurons are silenced after the cue, in the runs with ping."
    ping_delays: tuple[Seconds, ...] = (0.5, 1.5, 3.0)
    "Time from the end of the cue to the ping."
    tau_facil: tuple[Seconds, ...] = (0.5, 1.5, 3.0)
    "Facilitation in the runs that ask how long the memory lasts."
    tau_rec: tuple[Seconds, ...] = (0.2, 0.6)
    "Recovery in these."
    raster_background: Volts = 0.0242
    "Background of the run whose spikes are kept."
    bin: Seconds = 0.01
    "Time between samples."
    rate_dt: Seconds = 0.001
    "Time step of the rate version."


def run(config: Config, context: Context) -> xr.Dataset:
    """Regimes, pings and lifetimes, and one run to look at."""
    found = [raster(config, context)]
    pairs = len(config.tau_facil) * len(config.tau_rec)
    runs = {"regimes": len(config.models), "pings": len(config.models), "lifetimes": pairs}
    with context.progress(
        "working memory", sum(runs[part] for part in config.parts) * config.networks
    ) as advance:
        if "regimes" in config.parts:
            found.append(
                over_models(config, [regime(config, each, context, advance) for each in config.models])
            )
        if "pings" in config.parts:
            found.append(
                over_models(config, [ping(config, each, context, advance) for each in config.models])
            )
        if "lifetimes" in config.parts:
            found.append(lifetimes(config, context, advance))
    facilitating = [model for model in config.models if model != "slow_current"]
    circuits = {model: circuit(config, model).configuration() for model in facilitating}
    return xr.merge(found, compat="no_conflicts").assign_attrs(circuits=json.dumps(circuits))


def over_models(config: Config, runs: Sequence[xr.Dataset]) -> xr.Dataset:
    return xr.concat(runs, "model").assign_coords(model=list(config.models))


def circuit(
    config: Config,
    model: Model,
    facil: float | torch.Tensor | None = None,
    rec: float | torch.Tensor | None = None,
    background: float = 0.0,
) -> Circuit:
    """The network of the paper; the excitatory background is in the drive unless given."""
    excitatory = {
        "tau": 15 * ms,
        "threshold": 20 * mV,
        "reset": 16 * mV,
        "background": background,
        "noise": 1 * mV,
    }
    inhibitory = {"tau": 10 * ms, "threshold": 20 * mV, "reset": 13 * mV, "noise": 1 * mV}
    populations = [Population(name, 800, **excitatory) for name in POOLS]
    populations += [
        Population("E0", 4000, **excitatory),
        Population("I", 2000, background=config.inhibitory_background, **inhibitory),
    ]
    rule = fw.TsodyksMarkram(
        config.U,
        config.rec if rec is None else rec,
        config.facil if facil is None else facil,
        "mongillo2008" if model == "slow_current" else model,
    )
    connections = recurrent(rule) if model != "slow_current" else unplastic(config, recurrent(rule))
    whole = Circuit(populations, [*connections, *inhibition()])
    return whole if config.scale == 1 else whole.scaled(config.scale)


def recurrent(rule: fw.TsodyksMarkram) -> list[Connection]:
    """Excitation: potentiated within pools, and in a tenth of the synapses from or to neurons without a pool."""
    delay, found = (0.1 * ms, 1 * ms), []
    for pre, post in itertools.product(EXCITATORY, EXCITATORY):
        if pre == post and pre in POOLS:
            found.append(Connection(pre, post, 0.45 * mV, 0.2, rule, delay))
        elif pre in POOLS and post in POOLS:
            found.append(Connection(pre, post, 0.10 * mV, 0.2, rule, delay))
        else:
            found.append(Connection(pre, post, 0.10 * mV, 0.2 * 0.9, rule, delay))
            found.append(Connection(pre, post, 0.45 * mV, 0.2 * 0.1, rule, delay))
    return found


def unplastic(config: Config, connections: Sequence[Connection]) -> list[Connection]:
    """The rival: releases stay as they are at rest, and pools excite themselves through slow currents.

    These saturate as NMDA receptors do (Wang 1999, J. Neurosci. 19:9587): a spike opens a fraction of the closed
    channels, dg/dt = −g/τ; so what is closed, 1 − g, follows the equations of a resource that recovers with τ.
    """
    first = config.U * (2 - config.U)
    gating = fw.TsodyksMarkram(config.slow_opening, config.slow_decay, 0.0, "maass2002")
    slow = {"synapse": gating, "efficacy": config.slow_efficacy, "decay": config.slow_decay}
    return [
        replace(each, **slow)
        if each.pre == each.post and each.pre in POOLS
        else replace(each, synapse=None, efficacy=each.efficacy * first)
        for each in connections
    ]


def inhibition() -> list[Connection]:
    """Everything from and to inhibitory neurons but their background."""
    delay = (0.1 * ms, 1 * ms)
    onto = [Connection(name, "I", 0.135 * mV, 0.2, None, delay) for name in EXCITATORY]
    back = [Connection("I", name, -0.25 * mV, 0.2, None, delay) for name in EXCITATORY]
    return [*onto, *back, Connection("I", "I", -0.20 * mV, 0.2, None, delay)]


def cued(config: Config, background: float, trial: int | None = None) -> list[Pulse]:
    """Background and cue."""
    trials, end = None if trial is None else [trial], config.settle + config.cue
    return [
        Pulse(background, populations=EXCITATORY, trials=trials),
        Pulse(config.cue_strength * background, config.settle, end, [CUED], trials),
    ]


def regime(config: Config, model: Model, context: Context, advance: fw.progress.Advance) -> xr.Dataset:
    """Run one model under all backgrounds: in spikes `[network, background, …]` and in rates `[background, …]`."""
    net = circuit(config, model)
    pulses = [
        pulse for k, background in enumerate(config.backgrounds) for pulse in cued(config, background, k)
    ]
    duration = config.settle + config.cue + config.delay
    drive = spiking.stimulus(net, duration, pulses, trials=len(config.backgrounds))
    networks = []
    for number in range(config.networks):
        networks.append(spikes(config, net, drive, context.seed_of(f"regimes {number}", bits=31)))
        advance()
    rates = averaged(config, net, drive)
    advance()
    result = xr.concat(networks, "network").merge(rates, compat="no_conflicts")
    result = result.rename(trial="background", **{name: f"regime_{name}" for name in result.data_vars})
    label = {"units": "V", "long_name": "background drive"}
    return result.assign_coords(background=("background", list(config.backgrounds), label))


def spikes(config: Config, net: Circuit, drive: np.ndarray, seed: int) -> xr.Dataset:
    """Rates of the populations in the spiking network, and u and x where synapses are plastic."""
    names = ["rate", *(name for name in ("u", "x") if net.rules)]
    every = round(config.bin / net.dt)
    run = spiking.simulate(net, drive, record=names, every=every, seed=seed, progress=False)
    return tidy(spiking.pooled(run, net)[names])


def averaged(config: Config, net: Circuit, drive: np.ndarray) -> xr.Dataset:
    """The same in the rate version."""
    every = round(config.bin / config.rate_dt)
    run = spiking.simulate_rates(net, drive, every=every, dt=config.rate_dt)
    names = ["rate", *(name for name in ("u", "x") if net.rules)]
    return tidy(run[names]).rename({name: f"mean_field_{name}" for name in names})


def tidy(run: xr.Dataset) -> xr.Dataset:
    """Without the axis of the only rule, and with u and x everywhere."""
    run = run.isel(projection=0, drop=True) if "projection" in run.dims else run
    for name in ("u", "x"):
        if name not in run:
            run[name] = xr.full_like(run["rate"], np.nan).assign_attrs(
                units="1", long_name=f"{name} of the synapse"
            )
    run = run.drop_vars(["trial", "unit", "projection"], errors="ignore").astype(np.float32)
    return run.assign_coords(time=run["time"].round(9))


def ping(config: Config, model: Model, context: Context, advance: fw.progress.Advance) -> xr.Dataset:
    """Read out after each delay: `ping_response [network, ping_delay, unit]` and its rate version, in Hz."""
    net = circuit(config, model)
    drive = pinged(config, net)
    rates = responses(config, averaged(config, net, drive)["mean_field_rate"])
    return xr.Dataset(
        {
            "ping_response": response(read_out(config, net, drive, context, advance)),
            "mean_field_ping_response": response(rates.rename(trial="ping_delay")),
        },
        coords={"ping_delay": delays(config)},
    )


def read_out(
    config: Config, net: Circuit, drive: np.ndarray, context: Context, advance: fw.progress.Advance
) -> xr.DataArray:
    """Responses of several networks, `[network, ping_delay, unit]`."""
    found = []
    for number in range(config.networks):
        rate = spikes(config, net, drive, context.seed_of(f"pings {number}", bits=31))["rate"]
        found.append(responses(config, rate).rename(trial="ping_delay"))
        advance()
    return xr.concat(found, "network")


def pinged(config: Config, net: Circuit) -> np.ndarray:
    """Drive with a trial for each delay of the ping."""
    end, background, pulses = config.settle + config.cue, config.ping_background, []
    for trial, delay in enumerate(config.ping_delays):
        pulses += cued(config, background, trial)
        start = end + delay
        pulses.append(Pulse(-background, end, end + config.silence, EXCITATORY, [trial]))
        pulses.append(
            Pulse(config.ping_strength * background, start, start + config.ping, EXCITATORY, [trial])
        )
    duration = end + max(config.ping_delays) + config.ping
    return spiking.stimulus(net, duration, pulses, trials=len(config.ping_delays))


def responses(config: Config, rate: xr.DataArray) -> xr.DataArray:
    """Mean rate during each trial's own ping, `[trial, unit]`; the delays may repeat."""
    since = np.resize(config.ping_delays, rate.sizes["trial"])
    start = config.settle + config.cue + xr.DataArray(since, dims="trial")
    during = (rate["time"] > start + 1e-9) & (rate["time"] <= start + config.ping + 1e-9)
    return rate.where(during).mean("time")


def delays(config: Config) -> xr.Variable:
    """The coordinate of the pings."""
    return xr.Variable(
        "ping_delay", list(config.ping_delays), {"units": "s", "long_name": "time since the cue"}
    )


def response(values: xr.DataArray) -> xr.DataArray:
    return values.assign_attrs(units="Hz", long_name="rate during the ping")


def lifetimes(config: Config, context: Context, advance: fw.progress.Advance) -> xr.Dataset:
    """Pings of `mongillo2008` over τ_facil and τ_rec: `[tau_facil, tau_rec, network, ping_delay, unit]`."""
    values = list(itertools.product(config.tau_facil, config.tau_rec))
    spiked = []
    for facil, rec in values:
        net = circuit(config, "mongillo2008", facil, rec)
        spiked.append(read_out(config, net, pinged(config, net), context, advance))
    facil, rec = (
        torch.tensor(each).repeat_interleave(len(config.ping_delays))[:, None] for each in zip(*values)
    )
    together = circuit(config, "mongillo2008", facil, rec)
    drive = np.tile(pinged(config, net), (len(values), 1, 1))
    rates = responses(config, averaged(config, together, drive)["mean_field_rate"])
    shape = (len(config.tau_facil), len(config.tau_rec))
    axes = {
        "ping_delay": delays(config),
        "tau_facil": xr.Variable(
            "tau_facil", list(config.tau_facil), {"units": "s", "long_name": "facilitation"}
        ),
        "tau_rec": xr.Variable("tau_rec", list(config.tau_rec), {"units": "s", "long_name": "recovery"}),
    }
    dims = ("tau_facil", "tau_rec")
    found = {
        "lifetime_response": (
            (*dims, "network", "ping_delay", "unit"),
            np.reshape(spiked, (*shape, *spiked[0].shape)),
        ),
        "mean_field_lifetime_response": (
            (*dims, "ping_delay", "unit"),
            rates.values.reshape(*shape, len(config.ping_delays), -1),
        ),
    }
    return xr.Dataset(
        {name: response(xr.DataArray(v, dims=d)) for name, (d, v) in found.items()}
    ).assign_coords(axes)


def raster(config: Config, context: Context, each: int = 60) -> xr.Dataset:
    """One run of `mongillo2008` to look at: spikes of some neurons of every population; rates, u and x of all."""
    net = circuit(config, "mongillo2008")
    drive = spiking.stimulus(
        net, config.settle + config.cue + config.delay, cued(config, config.raster_background)
    )
    run = spiking.simulate(
        net,
        drive,
        record=[*spiking.EVENTS, "rate", "u", "x"],
        every=round(config.bin / net.dt),
        seed=context.seed_of("raster", bits=31),
        progress=False,
    )
    shown = np.concatenate([np.arange(net.neurons)[members][:each] for members in net.members.values()])
    row = np.full(net.neurons, -1)
    row[shown] = np.arange(len(shown))
    unit = row[run["spike_unit"].values]
    kept = unit >= 0
    label = {"units": "1", "long_name": f"neuron ({each} a population)"}
    averages = tidy(spiking.pooled(run, net)[["rate", "u", "x"]]).isel(trial=0)
    return averages.rename({name: f"raster_{name}" for name in averages.data_vars}).assign(
        raster_time=("spike", run["spike_time"].values[kept], run["spike_time"].attrs),
        raster_row=("spike", unit[kept].astype(np.int32), label),
    )
