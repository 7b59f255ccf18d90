"""Does a settled state survive in continuous time and in spikes, and for how long?

For runs and sweeps of `attractor_spikes`. A trial keeps its state at a time if the circuit gives the answer that the
map gives at its end, and if its rates are nearest to the same stored state as that end (cosines, after the mean of
all stored states is subtracted). With two pairs a state at random is nearest to the same one in half of the trials.

What the words mean was written before the networks of docs/results/attractor_spikes.md were trained. Networks whose
map has more than 5 % error after 64 iterations are left out. The settled state **survives** if the interval of the
share of trials that keep it, 1 s (ten synaptic time constants) after the query's input has gone, lies above 75 %, is
**lost** if it lies below 60 %, and survives **in part** otherwise; the same is asked at the end. Intervals have 95 %
(Student's t, over networks).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.recording import labelled_dataset
from fwsim.study import (
    COLOURS,
    configuration,
    each_point,
    each_setting,
    figure,
    formatted,
    join_runs,
    mean_interval,
    verdict,
)

SETTINGS = (
    "units", "pairs", "tau", "eta", "division", "floor", "most", "after", "epochs", "training_sequences",
    "learning_rate", "weight_decay", "shown", "held",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
LEARNED = 5.0  # % error after 64 iterations
LATER = 1.0  # s after the query
LOST, SURVIVES = 60.0, 75.0  # % of trials: bounds of the verdict


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Right answers and kept states by time, for every network."""
    settings = configuration(recording)
    return each_point(
        recording,
        [dim for dim in SWEPT if dim in recording.dims],
        lambda one: network(
            one, settings | {name: one[name].item() for name in SETTINGS if name in one.coords}
        ),
    )


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Results of several runs as one, by seed."""
    return join_runs(recordings, analyse, ["pairs"])


def network(one: xr.Dataset, settings: dict) -> xr.Dataset:
    """Of one network; NaN if it has not learned."""
    learned = float(one["error"].sel(iteration=64)) < LEARNED
    right = (one["answer"] == one["target"]).mean("trial")
    same = (one["answer"] == one["settled_answer"]) & (
        nearest(one, one["state"]) == nearest(one, one["settled"])
    )
    kept, query = same.mean("trial"), float(settings["shown"])
    after = one["time"].values - query
    values = {
        "right": (right.dims, 100 * right.where(learned).values, "%", "right answers"),
        "kept": (kept.dims, 100 * kept.where(learned).values, "%", "trials that keep the settled state"),
        "map_right": (
            (),
            100 * float((one["settled_answer"] == one["target"]).mean()) if learned else np.nan,
            "%",
            "right answers, map",
        ),
        "chosen": (one["scale"].dims, one["scale"].values, "Hz", "λ"),
        "map_error": ("iteration", one["error"].values, "%", "wrong answers of the map"),
    }
    coords = {
        "version": one["version"].values,
        "time": ("time", after.round(9), {"units": "s", "long_name": "time after the query"}),
        "iteration": one["iteration"].values,
    }
    return labelled_dataset(values, coords)


def nearest(one: xr.Dataset, states: xr.DataArray) -> xr.DataArray:
    """Pair whose stored state is nearest to states `[..., unit]`."""
    centre = one["stored"].mean(["trial", "stored"])
    centred, stored = states - centre, one["stored"] - centre
    size = np.sqrt((stored**2).sum("unit"))
    return (xr.dot(centred, stored, dim="unit") / size).argmax("stored")


EXPLAINED = {
    "version": "the iterated map, units in continuous time, or so many neurons for each unit",
    "λ (Hz)": "rate of a neuron for a rate of 1 of its unit, chosen for each network; smallest and largest",
    "right at the query's end (%)": "right answers when the query's input goes; of the map: where it ends",
    "kept * (%)": "trials with the answer and the nearest stored state that the map ends at, so long after the query",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "survival": (
        "Left: right answers over time; right: trials that keep the settled state. Lines: means over networks; "
        "bands: their range; grey: the query's input acts."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for the map, and one for each version in continuous time."""
    rows: list[dict[str, object]] = []
    for values, at in each_setting(result, [dim for dim in SETTINGS if dim in result.dims]):
        learned = np.isfinite(np.atleast_1d(at["kept"].isel(version=0, time=0).values))
        networks = {**values, "networks": int(learned.sum())}
        rows.append(
            {
                **networks,
                "version": "map",
                "right at the query's end (%)": formatted(mean_interval(at["map_right"])),
            }
        )
        end = float(at["time"].max())
        for version in at["version"].values:
            here = at.sel(version=version)
            scales = np.atleast_1d(here["chosen"].values)[learned]
            row: dict[str, object] = {**networks, "version": version}
            if version != "rates" and len(scales):
                row["λ (Hz)"] = f"{scales.min():g} to {scales.max():g}"
            last = here["right"].sel(time=0.0, method="nearest")
            row["right at the query's end (%)"] = formatted(mean_interval(last))
            for time in dict.fromkeys((min(LATER, end), end)):
                found = mean_interval(here["kept"].sel(time=time, method="nearest"))
                row[f"kept after {time:g} s (%)"] = formatted(found)
                row[f"after {time:g} s"] = verdict(found, LOST, SURVIVES)
            rows.append(row)
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw right answers and kept states over time."""
    made, axes = figure(1, 2, width="double", aspect=0.8, sharey=True)
    for axis, name, label in zip(
        axes, ("right", "kept"), ("right answers (%)", "state kept (%)"), strict=True
    ):
        for version, colour in zip(result["version"].values, cycle(COLOURS.values()), strict=False):
            values = result[name].sel(version=version)
            others = [dim for dim in values.dims if dim != "time"]
            values = values.stack(network=others) if others else values.expand_dims("network")
            low, high = values.min("network"), values.max("network")
            axis.fill_between(values["time"], low, high, color=colour, alpha=0.15, lw=0)
            axis.plot(values["time"], values.mean("network"), color=colour, label=str(version))
        axis.axvspan(float(result["time"].min()), 0, color="0.9", zorder=0)
        axis.set(xlabel="time after the query (s)", ylabel=label, ylim=(0, 105))
    axes[0].legend(loc="lower left")
    return {"survival": made}
