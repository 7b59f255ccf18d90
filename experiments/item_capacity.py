"""How many items can clusters with facilitating synapses hold at once, and which time constant determines the number?

Excitatory clusters with plastic synapses onto themselves share one inhibitory population (Mi, Katkov & Tsodyks 2017,
Neuron 93:323). A cued cluster fires in short population spikes; between them its facilitated synapses hold the item.
Several items take turns within one period, so their number is limited by the length of the period. Expect one to five
items to persist with the published parameters, and period and peak rate to grow with the load. The paper estimates
that the capacity scales with the time of depression relative to that of the currents, τ_rec/τ, as long as facilitation
outlasts the period.

Cues come at the same times in every run, whatever other loads are tried. Every network runs at the step `step` and at
half of it. At the limit, where one item more or less survives, the number depends on small differences, also on when
the first cue comes. The main runs are therefore solved once more by scipy's DOP853, whose steps adapt to the tolerance
`tolerance`; two equal answers of fixed steps do not show that they are right.

    fwsim run item_capacity --loads 5 --loads 6 --loads 7 --tau-rec 200ms
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt
from scipy.integrate import solve_ivp
from torch import Tensor

import fwsim as fw
from fwsim.study import Config as Base
from fwsim.study import Context, Duration, Hertz, Seconds

QUICK = {
    "loads": (1, 2, 3, 4, 5),
    "interval": 0.1,
    "delay": 2.0,
    "watch": 1.0,
    "survey_loads": (5, 7),
    "survey_tau_rec": (0.15, 0.3),
    "survey_tau_facil": (0.75, 1.5),
    "survey_tau": (0.008, 0.016),
}
RECORDED = 1e-3  # s between samples
VARIED = ("tau_rec", "tau_facil", "tau")


class Config(Base):
    """One model, its loads, and a survey of three time constants."""

    clusters: int = Field(default=16, ge=1)
    "Excitatory clusters."
    J_EE: float = 8.0
    "Weight of a cluster onto itself."
    J_IE: float = 1.75
    "Weight of each cluster onto the inhibitory population."
    J_EI: float = 1.1
    "Strength of inhibition of each cluster."
    alpha: float = Field(default=1.5, gt=0)
    "Sharpness of the gain α ln(1 + e^{h/α}), in Hz."
    background: float = 8.0
    "Input of every cluster in Hz."
    cue: float = 225.0
    "Additional input of a cued cluster in Hz."
    cue_time: Seconds = Field(default=0.03, gt=0)
    "Length of a cue."
    interval: Seconds = Field(default=0.3, gt=0)
    "From the beginning of one cue to that of the next."
    start: Seconds = Field(default=0.5, ge=0)
    "When the first cue begins."
    delay: Seconds = Field(default=6.0, gt=0)
    "How long the items of the largest load are held after the last cue; those of smaller ones longer."
    U: float = Field(default=0.3, gt=0, le=1)
    "Utilisation that one spike adds."
    tau_rec: Seconds = Field(default=0.3, gt=0)
    "Time constant of recovery from depression."
    tau_facil: Seconds = Field(default=1.5, gt=0)
    "Time constant of facilitation."
    tau: Seconds = Field(default=0.008, gt=0)
    "Membrane time constant of all populations."
    loads: tuple[PositiveInt, ...] = Field(default=(1, 2, 3, 4, 5, 6, 7, 8), min_length=1)
    "Numbers of items in the main runs."
    survey_loads: tuple[PositiveInt, ...] = Field(default=(4, 5, 6, 7, 8, 9, 10, 12, 14, 16), min_length=1)
    "Numbers of items tried at each point of the survey; the most that survive is the capacity there."
    survey_tau_rec: tuple[Duration, ...] = Field(
        default=(0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6), min_length=1
    )
    "Values of τ_rec in the survey, all else as in the main runs."
    survey_tau_facil: tuple[Duration, ...] = Field(
        default=(0.375, 0.75, 1.0, 1.5, 2.0, 3.0, 4.5, 6.0), min_length=1
    )
    "Values of τ_facil in the survey, all else as in the main runs."
    survey_tau: tuple[Duration, ...] = Field(
        default=(0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032), min_length=1
    )
    "Values of τ in the survey, all else as in the main runs."
    step: Seconds = Field(default=0.0002, gt=0)
    "Longer of the two steps."
    watch: Seconds = Field(default=1.5, gt=0)
    "Last part of a survey run, which decides who survived; longer than any period."
    tolerance: float = Field(default=1e-9, gt=0)
    "Relative tolerance of the adaptive solution of the main runs."
    threshold: Hertz = Field(default=20.0, gt=0)
    "Rate that a population spike exceeds."


def run(config: Config, context: Context) -> xr.Dataset:
    """Run the loads and the survey at both steps."""
    for name, items in (("loads", max(config.loads)), ("survey_loads", min(config.survey_loads))):
        if items > config.clusters:
            raise fw.ConfigError(
                f"{name}={getattr(config, name)} are more items than the {config.clusters} clusters; give fewer"
            )
    points = survey_points(config)
    main, survey = [], []
    for parts in (1, 2):
        loads = [{"load": load} for load in config.loads]
        main.append(simulate(config, context, parts, loads, whole=True))
        survey.append(simulate(config, context, parts, points, whole=False))
    step = xr.Variable("step", [config.step, config.step / 2], {"units": "s", "long_name": "step"})
    # Both steps are sampled at the same times, which differ by rounding only.
    rates = xr.concat([each["rate"] for each in main], step, join="override").assign_coords(
        trial=list(config.loads)
    )
    watched = xr.concat([each["rate"] for each in survey], step, join="override")
    errors = xr.concat([each["step_error"].max("trial") for each in main], step, join="override")
    recording = xr.Dataset(
        {
            "rate": rates.rename(trial="load"),
            "adaptive_rate": adaptive(config, rates, context),
            "survey_rate": watched.rename(trial="point", rate_time="survey_time"),
            "step_error": errors,
            "varied": ("point", [each["varied"] for each in points]),
            "value": (
                "point",
                [each["value"] for each in points],
                {"units": "s", "long_name": "time constant"},
            ),
            "survey_load": ("point", [each["load"] for each in points], {"units": "1", "long_name": "items"}),
        },
        attrs=main[0].attrs,
    )
    recording["load"].attrs = {"units": "1", "long_name": "items"}
    recording["rate"].attrs = recording["survey_rate"].attrs = {"units": "Hz", "long_name": "rate"}
    recording["adaptive_rate"].attrs = {"units": "Hz", "long_name": "rate, adaptive steps"}
    return recording


def adaptive(config: Config, rates: xr.DataArray, context: Context) -> xr.DataArray:
    """Rates of the main runs by DOP853, `[load, time, unit]`, at the times of the others."""
    time = rates["time"].values
    with context.progress("adaptive steps", len(config.loads)) as advance:
        found = []
        for load in config.loads:
            found.append(solution(config, load, time))
            advance()
    coords = {"load": list(config.loads), "time": rates["time"], "unit": rates["unit"]}
    return xr.DataArray(np.array(found, np.float32), coords, ("load", "time", "unit"))


def solution(config: Config, load: int, time: np.ndarray) -> np.ndarray:
    """Rates of the clusters `[time, cluster]`, from the equations of the paper written out."""
    size = config.clusters

    def gain(h: np.ndarray) -> np.ndarray:
        return config.alpha * np.logaddexp(0, h / config.alpha)

    def flow(_: float, y: np.ndarray, cued: np.ndarray) -> np.ndarray:
        h, inhibition, (u, x) = y[:size], y[size], y[size + 1 :].reshape(2, size)
        rate = gain(h)
        released = u * x * rate
        dh = -h + config.J_EE * released - config.J_EI * gain(inhibition) + config.background + cued
        dinhibition = -inhibition + config.J_IE * rate.sum()
        du = (config.U - u) / config.tau_facil + config.U * (1 - u) * rate
        dx = (1 - x) / config.tau_rec - released
        return np.concatenate([dh / config.tau, [dinhibition / config.tau], du, dx])

    begin = config.start + config.interval * np.arange(load)
    edges = np.unique(
        np.clip(np.concatenate([[0.0], begin, begin + config.cue_time, [time[-1]]]), 0, time[-1])
    )
    y = np.concatenate([np.zeros(size + 1), np.full(size, config.U), np.ones(size)])
    rates = []
    for start, stop in pairwise(edges):  # the input jumps at the edges only
        on = (begin <= start + 1e-9) & (start + 1e-9 < begin + config.cue_time)
        cued = np.pad(config.cue * on, (0, size - load))
        here = time[(time > start) & (time <= stop)]
        done = solve_ivp(
            flow, (start, stop), y, "DOP853", here, dense_output=True,
            rtol=config.tolerance, atol=config.tolerance, args=(cued,),
        )  # fmt: skip
        rates.append(gain(done.sol(here)[:size]).T if len(here) else np.zeros((0, size)))
        y = done.sol(stop)
    return np.concatenate(rates)


def survey_points(config: Config) -> list[dict]:
    """One trial of the survey each: which time constant varies, its value, and the load."""
    return [
        {"varied": name, "value": value, "load": load, name: value}
        for name in VARIED
        for value in getattr(config, f"survey_{name}")
        for load in config.survey_loads
        if load <= config.clusters
    ]


def simulate(config: Config, context: Context, parts: int, trials: list[dict], *, whole: bool) -> xr.Dataset:
    """Run all trials as one batch, with so many parts of a step."""
    last = max(trial["load"] for trial in trials) - 1
    duration = config.start + last * config.interval + config.cue_time + config.delay
    dt, steps = config.step / parts, parts * round(duration / config.step)
    every = parts * max(1, round(RECORDED / config.step))
    clusters = list(range(config.clusters))
    rate = fw.Record("rate", units=clusters, dtype="float32")
    error = fw.Record("step_error", every=10 * every)
    if not whole:
        rate = fw.Record(
            "rate", every=2 * every, units=clusters, dtype="float32", start=duration - config.watch
        )
    found = fw.simulate(
        network(config, dt, trials),
        cues(config, dt, trials, duration),
        steps=steps,
        record=[rate, error] if whole else [rate],
        every=every,
        seed=context.seed,
        device=context.device,
        progress=context.show,
    )
    if whole:
        return found[["rate", "step_error"]].rename(rate_unit="unit", step_error_time="error_time")
    return found[["rate"]].rename(rate_unit="unit")


def network(config: Config, dt: float, trials: list[dict]) -> fw.RateNetwork:
    """Make the clusters and, as the last unit, the inhibitory population; a trial may have its own constants."""
    size = config.clusters + 1
    itself, others = torch.zeros(size, size).double(), torch.zeros(size, size).double()
    itself.diagonal()[:-1] = config.J_EE
    others[:-1, -1], others[-1, :-1] = -config.J_EI, config.J_IE
    values = {name: column(config, trials, name) for name in VARIED}
    synapse = fw.TsodyksMarkram(U=config.U, tau_rec=values["tau_rec"], tau_facil=values["tau_facil"])
    return fw.RateNetwork(
        [fw.Projection(itself, synapse=synapse), fw.Projection(others)],
        tau=values["tau"].expand(-1, size),
        gain=fw.softplus(config.alpha),
        dt=dt,
    )


def column(config: Config, trials: list[dict], name: str) -> Tensor:
    """Give a time constant of every trial, `[trial, 1]`."""
    values = [trial.get(name, getattr(config, name)) for trial in trials]
    return torch.tensor(values, dtype=torch.float64)[:, None]


def cues(config: Config, dt: float, trials: list[dict], duration: float) -> Callable[[int, int], Tensor]:
    """Give the input as a function of steps: trial by trial so many items, one after the other."""
    load = torch.tensor([trial["load"] for trial in trials])
    item = torch.arange(config.clusters)
    begin = (config.start + item * config.interval).double()
    begin = torch.where(item < load[:, None], begin, torch.inf)

    def drive(start: int, stop: int) -> Tensor:
        time = (torch.arange(start, stop) * dt + dt / 2).double()[:, None]
        on = (time >= begin[:, None]) & (time < begin[:, None] + config.cue_time)
        excited = config.background + config.cue * on.double()
        return torch.nn.functional.pad(excited, (0, 1))

    return drive
