"""By which dynamics does a trained network hold a sample: by attractors, or while it returns to a single one?

For runs and sweeps of `ablation`: `fwsim analyse RUN --analysis trained_dynamics`. Activity and synapses of a network
together are one dynamical system (`fwsim.measure.NetworkMap`), here without noise and under the mean input of the
delay. Its trajectories start where the mean inputs of each direction have brought it at the end of the sample.

- *Attractors.* Fixed points that are reached from there after half a minute more of delay (`fixed_points`). The slowest
  eigenvalue of their Jacobian gives the slowest time constant.
- *Slow points.* Local minima of the speed that the search finds from states at the end of sample and delay.
- *Exponents.* The largest Lyapunov exponent at these fixed points, which is that of the slowest eigenvalue, and the
  largest conditional exponent under trials that follow each other, with noise (`lyapunov_exponents`): negative if two
  copies of the network with the same input come together.
- *Separation.* Mean distance between directions, of rates and of efficacies u·x, at the end of the delay relative to
  that at the end of the sample.

What the words mean was written before the networks of docs/results/trained_dynamics.md were trained. They concern the
networks of a setting that have right answers in at least 80 %. The sample is held by **attractors** if from the eight
directions each of them reaches two stable fixed points or more. It is held by a **transient** if each of them reaches a
single fixed point from all directions, and the interval of the largest exponent lies below 0. Otherwise it is
**undecided**. Intervals have 95 % (Student's t, over networks). Networks with fast weights have N² more variables
and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor

import fwsim as fw
from fwsim.errors import RecordingError
from fwsim.models import mixed_synapses
from fwsim.recording import labelled_dataset
from fwsim.study import (
    COLOURS,
    configuration,
    each_point,
    each_setting,
    figure,
    finite,
    formatted,
    join_runs,
    mean_interval,
)
from fwsim.tasks import DelayedMatch

SETTINGS = (
    "plasticity", "task", "units", "fast", "slow", "noise", "delay", "dt", "steps", "batch", "learning_rate", "clip",
    "rate_cost", "test_trials", "draws",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
LEARNED = 80.0  # % right answers
SETTLED = 30.0  # s until an attractor is reached
ALIGNED = 4  # trials until tangents are aligned
AVERAGED = 12  # trials over which conditional exponents are averaged
DIRECTIONS = DelayedMatch().motion.directions


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Dynamics of every network of a sweep."""
    settings = configuration(recording)
    result = each_point(
        recording,
        [dim for dim in SWEPT if dim in recording.dims],
        lambda one: network(
            one, settings | {name: one[name].item() for name in SETTINGS if name in one.coords}
        ),
    )
    return result.assign_attrs(
        experiment_configuration=recording.attrs["experiment_configuration"],
        plasticity=settings["plasticity"],
    )


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Results of several runs as one, by plasticity and seed."""
    return join_runs(recordings, analyse, ["plasticity"])


VALUES = {
    "attractors": ("number of fixed points reached", "1"),
    "stable": ("share of them that are stable", "1"),
    "slow_points": ("number of slow points", "1"),
    "slowest": ("slowest time constant", "s"),
    "exponent": ("largest exponent at fixed points", "1/s"),
    "conditional": ("largest conditional exponent", "1/s"),
    "kept_rate": ("separation of rates that is kept", "1"),
    "kept_efficacy": ("separation of efficacies that is kept", "1"),
}


def network(one: xr.Dataset, settings: dict) -> xr.Dataset:
    """All of one network; NaN where it has not learned the task, or has fast weights."""
    accuracy = float(one["accuracy"])
    task = task_of(settings)
    found = dict.fromkeys(VALUES, np.nan)
    step = np.arange(task.length - round(task.fixation / task.dt))
    separation = np.full((2, len(step)), np.nan)
    if accuracy >= LEARNED and settings["plasticity"] != "anti_hebbian":
        core, inputs = rebuilt(one, settings), tensor(one["inputs"])
        if len(inputs) < ALIGNED + AVERAGED or len(np.unique(one["sample"])) < DIRECTIONS:
            raise RecordingError(
                f"the recording keeps {len(inputs)} trials; run ablation with --kept-trials 256, for "
                f"{ALIGNED + AVERAGED} trials or more and all {DIRECTIONS} directions"
            )
        drive = inputs @ tensor(one["weights_in"]).T + tensor(one["bias_in"])
        found, separation = dynamics(core, task, drive, one["sample"].values)
    values = {name: ((), found[name], units, label) for name, (label, units) in VALUES.items()}
    values["accuracy"] = ((), accuracy, "%", "right answers")
    label = "mean distance between directions"
    values["separation"] = (("signal", "time"), separation, "1", label)
    time = ("time", (step + 1) * task.dt + task.fixation, {"units": "s", "long_name": "time"})
    return labelled_dataset(values, coords={"time": time, "signal": ["rate", "efficacy"]})


def task_of(settings: dict) -> DelayedMatch:
    """The task of a network."""
    return DelayedMatch(
        dt=settings["dt"], delay=settings["delay"], distractor=settings["task"] == "distracted"
    )


def tensor(values: xr.DataArray) -> Tensor:
    """Recorded values in float64."""
    return torch.as_tensor(values.values.astype(float))


def rebuilt(one: xr.Dataset, settings: dict) -> fw.RateNetwork:
    """The recorded network in float64, with its noise."""
    plastic = settings["plasticity"] == "presynaptic"
    synapse = mixed_synapses(settings["units"], settings["fast"], settings["slow"]) if plastic else None
    return fw.RateNetwork(
        fw.Projection(tensor(one["weights"]), synapse=synapse),
        tau=0.1,
        dt=settings["dt"],
        noise=settings["noise"],
        kernel="reference",
    ).double()


@torch.no_grad()
def dynamics(
    core: fw.RateNetwork, task: DelayedMatch, drive: Tensor, sample: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """Numbers of `VALUES`, and the separation of directions by time, `[signal, time]`."""
    system = fw.measure.NetworkMap(core)
    begun, shown = round(task.fixation / task.dt), round((task.fixation + task.shown) / task.dt)
    end = shown + round(task.delay / task.dt)
    rest = drive[:, :begun].mean((0, 1))
    mean = torch.stack([drive[torch.as_tensor(sample == k)].mean(0) for k in range(DIRECTIONS)])
    path = trajectory(system, mean)

    def delay(states: Tensor) -> Tensor:
        return system(states, rest)

    reached = fw.measure.fixed_points(delay, path[shown - 1], settle=round(SETTLED / task.dt), iterations=100)
    ends = np.unique(reached["end"].values)
    points = reached.isel(point=ends)
    passing = fw.measure.fixed_points(delay, torch.cat([path[shown - 1], path[end - 1]]), iterations=100)
    slowest = float(abs(points["eigenvalue"].values).max())
    sequence = drive[: ALIGNED + AVERAGED].flatten(0, 1)[None]
    driven = fw.measure.lyapunov_exponents(
        core, None, AVERAGED * task.length, transient=ALIGNED * task.length, drive=sequence
    )
    separation = np.stack([distance(each) for each in signals(system, path)])
    kept = separation[:, end - 1] / separation[:, shown - 1]
    return {
        "attractors": len(ends),
        "stable": float(points["stable"].mean()),
        "slow_points": int(passing["slow"].sum()),
        "slowest": np.inf if slowest >= 1 else -task.dt / np.log(slowest),
        "exponent": np.log(slowest) / task.dt,
        "conditional": float(driven["exponent"].max()),
        "kept_rate": kept[0],
        "kept_efficacy": kept[1],
    }, separation[:, begun:]


def trajectory(system: fw.measure.NetworkMap, drive: Tensor) -> Tensor:
    """States `[time, trial, unit]` from rest under a drive `[trial, time, unit]`, without noise."""
    states, found = system.rest(len(drive)), []
    for now in drive.unbind(1):
        states = system(states, now)
        found.append(states)
    return torch.stack(found)


def signals(system: fw.measure.NetworkMap, path: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Rates and efficacies `[time, trial, unit]`; without plasticity the efficacies are NaN."""
    parts = [system.composite.split(states) for states in path]
    rate = torch.stack([torch.relu(each["hidden"]) for each in parts]).numpy()
    if "u" not in parts[0]:
        return rate, np.full_like(rate, np.nan)
    return rate, torch.stack([each["u"] * each["x"] for each in parts]).numpy()


def distance(states: np.ndarray) -> np.ndarray:
    """Mean distance `[time]` between all pairs of states `[time, trial, unit]`."""
    first, second = np.triu_indices(states.shape[1], 1)
    return np.linalg.norm(states[:, first] - states[:, second], axis=-1).mean(-1)


def held_by(at: xr.Dataset) -> str:
    """The verdict on the networks of a setting."""
    attractors, stable = finite(at["attractors"]), finite(at["stable"])
    if not len(attractors):
        return "no network"
    if (attractors >= 2).all() and (stable == 1).all():
        return "attractors"
    single = (attractors == 1).all() and mean_interval(at["exponent"])[2] < 0
    return "transient" if single else "undecided"


def shown(result: xr.Dataset) -> list[tuple[dict[str, object], xr.Dataset]]:
    """Values and result of each setting; the plasticity is always among the values."""
    dims = [dim for dim in SETTINGS if dim in result.dims]
    named = {} if "plasticity" in result.dims else {"plasticity": result.attrs["plasticity"]}
    return [(named | values, at) for values, at in each_setting(result, dims)]


EXPLAINED = {
    "networks": "networks that learned the task and have no fast weights",
    "attractors": "fixed points that are reached from the eight directions, smallest and largest number of a network",
    "slow points": "slow points that the search finds from states of the delay, likewise",
    "slowest (s)": "slowest time constant at these fixed points",
    "exponent (1/s)": "largest Lyapunov exponent at these fixed points",
    "conditional exponent (1/s)": "largest exponent under a sequence of trials with noise",
    "separation kept, *": "distance between directions at the end of the delay over that at the end of the sample",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "separation": (
        "Separation of stimulus directions relative to its largest value, over time, in rates (left) "
        "and in efficacies of synapses (right); a line for each network. Grey: the stimulus."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting."""
    rows = []
    for values, at in shown(result):
        rows.append(
            {
                **values,
                "networks": f"{len(finite(at['attractors']))}",
                "attractors": extent(at["attractors"]),
                "slow points": extent(at["slow_points"]),
                "slowest (s)": formatted(mean_interval(at["slowest"])),
                "exponent (1/s)": formatted(mean_interval(at["exponent"])),
                "conditional exponent (1/s)": formatted(mean_interval(at["conditional"])),
                "separation kept, rates": formatted(mean_interval(at["kept_rate"])),
                "separation kept, efficacies": formatted(mean_interval(at["kept_efficacy"])),
                "held by": held_by(at),
            }
        )
    return rows


def extent(values: xr.DataArray) -> str:
    """Smallest and largest number."""
    found = finite(values)
    if not len(found):
        return ""
    low, high = f"{found.min():.0f}", f"{found.max():.0f}"
    return low if low == high else f"{low} to {high}"


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw how the directions come together in the delay, a panel for rates and one for efficacies."""
    made, axes = figure(1, 2, width="double", aspect=0.8)
    time = result["time"].values
    begun = 2 * time[0] - time[1]
    for axis, (signal, label) in zip(axes, (("rate", "rates"), ("efficacy", "efficacies")), strict=True):
        for (values, at), colour in zip(shown(result), cycle(COLOURS.values()), strict=False):
            separation = at["separation"].sel(signal=signal)
            curves = separation.transpose(..., "time").values.reshape(-1, len(time))
            curves = curves[np.isfinite(curves).all(-1)]
            for number, curve in enumerate(curves):
                name = str(values["plasticity"]) if number == 0 else None
                axis.semilogy(time, curve / curve.max(), color=colour, lw=0.8, label=name)
        axis.axvspan(begun, begun + 0.5, color=COLOURS["black"], alpha=0.12, lw=0)
        axis.set(xlabel="time (s)", title=label, xlim=(begun, begun + 1.5))
    axes[0].set_ylabel("separation of directions, relative (1)")
    if axes[0].get_lines():  # else nobody has learned
        axes[0].legend()
    return {"separation": made}
