"""Reads the time constant off the trace."""

import numpy as np
import xarray as xr

from fwsim.study import figure


def analyse(recording):
    """Slope of the logarithm."""
    slope = np.polyfit(recording.time, np.log(recording.trace), 1)[0]
    fitted = ((), -1 / slope, {"units": "s", "long_name": "time constant"})
    return xr.Dataset({"tau": fitted, "trace": recording.trace})


def table(result):
    """One row."""
    return [{"quantity": "time constant (s)", "value": float(result.tau)}]


def plot(result):
    """The trace."""
    made, axes = figure()
    axes.plot(result.time, result.trace)
    axes.set(xlabel="time (s)", ylabel="trace")
    return made
