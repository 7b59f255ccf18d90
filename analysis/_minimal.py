"""Compares the strength of items with the kernel of the memory, exp(−lag/τ)."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.study import COLOURS, configuration, figure

SWEPT = ()  # one run at a time: a sweep is analysed point by point
EXPLAINED = {"lag (s)": "time since an item was stored", "expected": "exp(−lag/τ)"}
CAPTIONS = {"*": "Strength of each item against the time since it was stored (dots), and exp(−lag/τ) (line)."}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Strength of the latest items beside what theory expects."""
    tau = configuration(recording)["tau"]
    return recording.load().assign(expected=np.exp(-recording["lag"] / tau))


def table(result: xr.Dataset) -> list[dict[str, float]]:
    """One row for each of three lags."""
    rows = [result.sel(lag=lag) for lag in (1, 10, 20)]
    return [
        {"lag (s)": float(at.lag), "strength": float(at.strength), "expected": float(at.expected)}
        for at in rows
    ]


def plot(result: xr.Dataset) -> Figure:
    """Dots: measured; line: expected."""
    made, axes = figure()
    axes.plot(result.lag, result.strength, ".", color=COLOURS["blue"])
    axes.plot(result.lag, result.expected, color=COLOURS["vermillion"])
    axes.set(xlabel="time since stored (s)", ylabel="strength in the memory")
    return made
