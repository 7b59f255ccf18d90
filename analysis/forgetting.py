"""Which law does forgetting follow, with which time constant, and how long are items recognised and recalled?

Works on a run and on a sweep: whatever parameters were swept stay as dimensions. Shown are the strength of items
against the time since they were stored, the overlap after one iteration and that of what is recalled from a noisy
cue, with what theory expects as lines: the kernel, the noise of all other items, and the mean field of palimpsests;
for one point or for up to six along the first parameter (the first value of the others). A memory with an infinite time
constant never forgets, and has no theory here; a point that failed says so.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import COLOURS, figure, standard_error

SWEPT = ("units", "spectrum", "tau", "eta", "shortest", "longest", "items", "wrong", "iterations", "seed")
OWN = {"trial", "lag"}
SHOWN = ("strength", "recognised", "recalled")
RECOGNISED = 0.5
"""Overlap after one iteration below which an item counts as forgotten."""
LINES = [COLOURS[name] for name in ("blue", "vermillion", "green", "purple", "orange", "black")]
RECALLED = 0.9
"""Overlap of what is recalled above which an item counts as held; theory's transition jumps from 0.97 to 0."""


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Mean curves with their errors, the fitted law, the area under the curve, and the span of recognition."""
    recording = recording.load()
    over = [dim for dim in ("trial", "seed") if dim in recording.dims]
    result = xr.Dataset(coords=recording.drop_dims(over).coords)
    for name in SHOWN:
        mean, spread = recording[name].mean(over), standard_error(recording[name], over)
        result[name] = labelled(mean, recording[name].attrs["long_name"])
        result[f"{name}_error"] = labelled(spread, f"standard error of the {name} items")
    for name in ("kernel", "expected_recognised", "time_constant", "write_strength", "units"):
        values = recording[name].mean("seed") if "seed" in recording[name].dims else recording[name]
        result[name] = labelled(values, recording[name].attrs["long_name"])
    result = result.merge(laws(recording["strength"], over))
    step = float(recording["lag"][1] - recording["lag"][0])
    for name in ("strength", "kernel"):
        area = result[name].sum("lag") * step / result["kernel"].isel(lag=0)
        result[f"{name}_area"] = labelled(area, f"area under the {name} at equal total strength", "s")
    span = (result["recognised"] >= RECOGNISED).cumprod("lag").sum("lag") * step
    result["span"] = labelled(span, f"time for which one iteration keeps an overlap of {RECOGNISED}", "s")
    held = (recording["recalled"] >= RECALLED).sum("lag").where(recording["recalled"].notnull().any("lag"))
    result["held"] = labelled(held.mean(over), "items that are recalled")
    result["held_error"] = labelled(standard_error(held, over), "standard error of the items recalled")
    theory = [result["time_constant"], result["write_strength"], result["units"], step]
    result["expected_held"] = labelled(
        xr.apply_ufunc(
            expected_held, *theory, input_core_dims=[["timescale"]] * 2 + [[]] * 2, vectorize=True
        ),
        "items that can be recalled in mean field",
    )
    return result


def palimpsest(tau: np.ndarray, eta: np.ndarray, units: float, step: float) -> fw.theory.Spectrum | None:
    """What theory needs to know of a memory; time scales that nothing is written to are left out.

    None where there is no theory: the point failed, nothing is written, or something is never forgotten.
    """
    written = eta > 0
    if not (
        written.any() and np.isfinite(tau[written]).all() and (tau[written] > 0).all() and np.isfinite(units)
    ):
        return None
    return fw.theory.Spectrum.from_tau(tau[written], eta[written], int(units), step)


def expected_held(tau: np.ndarray, eta: np.ndarray, units: float, step: float) -> float:
    memory = palimpsest(tau, eta, units, step)
    return np.nan if memory is None else float(fw.theory.palimpsest_capacity(memory)) * units


def laws(strength: xr.DataArray, over: list[str]) -> xr.Dataset:
    """Time constant of one exponential, exponent of a power law, and the simplest law that streams do not reject."""
    lag = strength["lag"].values

    def fit(values: np.ndarray) -> tuple[float, float, str]:
        values = values[np.isfinite(values).all(1)]  # without points that failed
        if not len(values):
            return np.nan, np.nan, ""
        laws = fw.measure.forgetting_curve(xr.DataArray(values, {"lag": lag}, ("stream", "lag")))
        tau, exponent = laws["tau"].sel(law="exponential").isel(term=0), laws["exponent"].sel(law="power law")
        return float(tau), float(exponent), laws.attrs["best"]

    streams = strength.stack(stream=over, create_index=False).expand_dims(
        "run"
    )  # a single run has nothing to go over
    tau, exponent, best = xr.apply_ufunc(
        fit,
        streams,
        input_core_dims=[["stream", "lag"]],
        output_core_dims=[[], [], []],
        vectorize=True,
        output_dtypes=[float, float, object],
    )
    return xr.Dataset(
        {
            "tau_fitted": labelled(tau.isel(run=0), "time constant of the exponential that fits best", "s"),
            "exponent_fitted": labelled(exponent.isel(run=0), "exponent of the power law that fits best"),
            "law": labelled(best.isel(run=0).astype(str), "simplest law that is not rejected"),
        }
    )


COLUMNS = {
    "law": "simplest law",
    "tau_fitted": "fitted tau (s)",
    "exponent_fitted": "fitted exponent",
    "strength_area": "area (s)",
    "kernel_area": "in theory (s)",
    "span": "span (s)",
    "held": "held",
    "held_error": "±",
    "expected_held": "held in theory",
}


EXPLAINED = {
    "simplest law": "simplest law of forgetting that also describes streams to which it was not fitted",
    "fitted tau (s)": "time constant of the exponential that fits best, whatever the simplest law is",
    "fitted exponent": "exponent of the power law that fits best; for another simplest law it means nothing",
    "area (s)": "integral of an item's strength over time, at equal total strength",
    "in theory (s)": "the same integral of the memory's kernel",
    "span (s)": "time for which one iteration keeps an overlap of 0.5 with an item",
    "held": "items that the inner loop recalls from a noisy cue with an overlap of 0.9 or more",
    "±": "standard error of the items held, over streams",
    "held in theory": "mean field for infinitely many units; small networks hold more, with a gradual transition",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Against the time since an item was stored. Left: its strength in the memory. Middle: its "
        "overlap with the state after one iteration. Right: its overlap with what is recalled. Dots: "
        "measured; lines and ticks: theory."
    ),
}


def table(result: xr.Dataset) -> list[dict]:
    """One row a point."""
    own = ["lag", "trial", "timescale"]
    points = result[list(COLUMNS)].drop_dims(own, errors="ignore").expand_dims("run")
    points = points.to_dataframe().reset_index()
    points["law"] = points["law"].replace("", "none").mask(points["held"].isna(), "failed")
    parameters = [name for name in points if name not in (*COLUMNS, "run")]
    return points[parameters + list(COLUMNS)].rename(columns=COLUMNS).to_dict("records")


def plot(result: xr.Dataset) -> Figure:
    """Strength, recognition and recall against lag, with theory as lines, or as ticks where it is a step."""
    made, axes = figure(1, 3, width="double", aspect=1.0)
    parameters = [dim for dim in result["strength"].dims if dim not in OWN]
    first = parameters[0] if parameters else None
    rest = dict.fromkeys(parameters[1:], 0)
    places = (
        np.unique(np.linspace(0, result.sizes[first] - 1, len(LINES)).round().astype(int))
        if first
        else [None]
    )
    for place, colour in zip(places, LINES, strict=False):
        one = result.isel({**rest, first: place} if first else {}).isel(lag=slice(1, None))  # of log axes
        curve(axes[0], one, "strength", colour, one["kernel"])
        curve(axes[1], one, "recognised", colour, one["expected_recognised"])
        curve(axes[2], one, "recalled", colour, label=named(first, one))
        steps(axes[2], one, colour, alone=first is None)
    for panel, label in zip(
        axes, ("strength in the memory", "overlap after one iteration", "overlap recalled"), strict=True
    ):
        panel.set(xlabel="time since stored (s)", ylabel=label, xscale="log")
    axes[0].set_title("dots: measured; lines: theory", loc="left")
    axes[2].set_title("ticks: theory", loc="left")
    kernel = result["kernel"].where(result["kernel"] > 0)
    if bool(kernel.notnull().any()):
        axes[0].set(yscale="log", ylim=(max(float(kernel.min()) / 2, 1e-3 * float(kernel.max())), None))
    if first:
        made.legend(
            *axes[2].get_legend_handles_labels(),
            title=first,
            loc="outside lower center",
            ncols=len(places),
        )
    return made


def named(parameter: str | None, one: xr.Dataset) -> str | None:
    """Value of the first parameter, as people write it."""
    if parameter is None:
        return None
    value = one[parameter].item()
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("_", " ")


def steps(axes: Axes, one: xr.Dataset, colour: str, *, alone: bool) -> None:
    """Where recall ends in mean field: as a tick, since several steps would hide each other; one alone is drawn."""
    tau, eta, units = (one[name].values for name in ("time_constant", "write_strength", "units"))
    step = float(one["lag"][1] - one["lag"][0])
    memory, lag = palimpsest(tau, eta, units, step), one["lag"].values
    if memory is None:
        return
    if alone:
        axes.plot(lag, fw.theory.palimpsest_overlap(lag / (step * units), memory), color=colour, lw=0.8)
    end = float(fw.theory.palimpsest_capacity(memory)) * units * step
    if end > 0:
        axes.vlines(end, 1.03, 1.11, color=colour, lw=1.5)


def curve(
    axes: Axes, one: xr.Dataset, name: str, colour: str, theory: object = None, label: str | None = None
) -> None:
    """Measured values as dots with their errors, theory as a line; measured values alone are joined."""
    shown = np.unique(np.geomspace(1, one.sizes["lag"], 25).round().astype(int)) - 1  # alike on a log axis
    at = one.isel(lag=shown)
    joined = "." if theory is not None else ".-"
    axes.errorbar(
        at["lag"], at[name], at[f"{name}_error"], fmt=joined, color=colour, label=label, ms=3, lw=0.6
    )
    if theory is not None:
        axes.plot(one["lag"], theory, color=colour, lw=0.8)
