"""Which law does forgetting follow, with which time constant, and how long are items recognised?

Works on a run and on a sweep: whatever parameters were swept stay as dimensions. Shown are the strength and the
overlap of items against the time since they were stored, with the kernel and the recognition that theory expects
as lines, for one point or for up to six along the first parameter (the first value of the others).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.study import COLOURS, figure

OWN = {"trial", "lag"}
SHOWN = ("strength", "recognised", "recalled")
RECOGNISED = 0.5
"""Overlap after one iteration below which an item counts as forgotten."""


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Mean curves with their errors, the fitted law, the area under the curve, and the span of recognition."""
    recording = recording.load()
    over = [dim for dim in ("trial", "seed") if dim in recording.dims]
    count = np.prod([recording.sizes[dim] for dim in over])
    result = xr.Dataset(coords=recording.drop_dims(over).coords)
    for name in SHOWN:
        mean, spread = recording[name].mean(over), recording[name].std(over, ddof=1) / count**0.5
        result[name] = described(mean, recording[name].attrs["long_name"])
        result[f"{name}_error"] = described(spread, f"standard error of the {name} items")
    for name in ("kernel", "expected_recognised"):
        values = recording[name].mean("seed") if "seed" in recording.dims else recording[name]
        result[name] = described(values, recording[name].attrs["long_name"])
    result = result.merge(laws(result["strength"]))
    step = float(recording["lag"][1] - recording["lag"][0])
    area = result["strength"].sum("lag") * step / result["strength"].isel(lag=0)
    result["area"] = described(area, "area under the curve at equal strength of a write", "s")
    span = (result["recognised"] >= RECOGNISED).cumprod("lag").sum("lag") * step
    result["span"] = described(span, f"time for which one iteration keeps an overlap of {RECOGNISED}", "s")
    return result


def laws(strength: xr.DataArray) -> xr.Dataset:
    """Time constant of one exponential, and the law that the curve supports best, at every point."""
    lag = strength["lag"].values

    def fit(values: np.ndarray) -> tuple[float, str]:
        if not np.isfinite(values).all():
            return np.nan, ""  # a point that failed
        laws = fw.measure.forgetting_curve(values, lag)
        return float(laws["tau"].sel(law="exponential").isel(term=0)), laws.attrs["best"]

    curves = strength.expand_dims("run")  # a single run has no dimension to go over
    tau, best = xr.apply_ufunc(
        fit,
        curves,
        input_core_dims=[["lag"]],
        output_core_dims=[[], []],
        vectorize=True,
        output_dtypes=[float, object],
    )
    return xr.Dataset(
        {
            "tau_fitted": described(tau.isel(run=0), "time constant of the exponential that fits best", "s"),
            "law": described(best.isel(run=0).astype(str), "law with the most support"),
        }
    )


def table(result: xr.Dataset) -> list[dict]:
    """One row a point."""
    quantities = ["tau_fitted", "law", "area", "span"]
    units = {"tau_fitted": "fitted tau (s)", "law": "law", "area": "area (s)", "span": "span (s)"}
    points = result[quantities].drop_dims(["lag", "trial"], errors="ignore").expand_dims("run")
    points = points.to_dataframe().reset_index()
    parameters = [name for name in points if name not in (*quantities, "run")]
    return points[parameters + quantities].rename(columns=units).to_dict("records")


def plot(result: xr.Dataset) -> Figure:
    """Strength and recognition against lag, theory as lines."""
    made, axes = figure(1, 2, width="double")
    parameters = [dim for dim in result["strength"].dims if dim not in OWN]
    first = parameters[0] if parameters else None
    rest = dict.fromkeys(parameters[1:], 0)
    places = np.unique(np.linspace(0, result.sizes[first] - 1, 6).round().astype(int)) if first else [None]
    for place, colour in zip(places, COLOURS.values(), strict=False):
        one = result.isel({**rest, first: place} if first else {})
        label = f"{first} {one[first].item():.3g}" if first and one[first].dtype.kind == "f" else None
        curve(axes[0], one, "strength", "kernel", colour, label)
        curve(axes[1], one, "recognised", "expected_recognised", colour, label)
    axes[0].set(xlabel="time since the item was stored (s)", ylabel="strength in the memory")
    axes[1].set(xlabel="time since the item was stored (s)", ylabel="overlap after one iteration")
    if first:
        axes[0].set_ylim(top=1.4 * axes[0].get_ylim()[1])  # room for the legend
        axes[0].legend(title=result[first].attrs.get("long_name", first), ncols=2, loc="upper right")
    return made


def curve(axes: Axes, one: xr.Dataset, name: str, theory: str, colour: str, label: str | None) -> None:
    axes.errorbar(
        one["lag"], one[name], one[f"{name}_error"], fmt=".", color=colour, label=label, ms=3, lw=0.6
    )
    axes.plot(one["lag"], one[theory], color=colour)


def described(values: xr.DataArray, name: str, unit: str = "1") -> xr.DataArray:
    return values.assign_attrs(units=unit, long_name=name)
