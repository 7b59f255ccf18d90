"""Do networks with measured synapses bind what they have seen once, and do these synapses help at all?

Works on a run and on a sweep. Intervals have 95 % (Student's t, over networks; of differences Welch's t).

What the words mean was written before any network that is to be published was trained. Networks
**bind** if the interval of their test error lies below the binding plateau, the error of who knows which digits
occurred, but not with which letter. They do **not bind** if it lies above, and it is **undecided** if it contains the
plateau. Synapses **help** if the interval of the difference to synapses that do not change lies below 0, **harm** if it
lies above, and it is **undecided** otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import (
    COLOURS,
    configuration,
    each_setting,
    figure,
    finite,
    formatted,
    join_runs,
    mean_interval,
)

SETTINGS = (
    "synapses", "units", "pairs", "token", "dt", "tau", "tau_fast_weights", "eta_fast_weights", "epochs",
    "training_sequences", "batch", "learning_rate", "validation_sequences", "test_sequences",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
STILL = "static"
"""Synapses that do not change."""


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Test error, the course of training, and the plateau."""
    settings = configuration(recording)
    pairs = recording["pairs"] if "pairs" in recording.coords else settings["pairs"]
    plateau = 100 * (1 - np.vectorize(fw.theory.binding_plateau)(pairs))
    dims = ("pairs",) if "pairs" in recording.dims else ()
    result = xr.Dataset(
        {
            "error": labelled(recording["test_error"].load(), "test error", "%"),
            "validation": labelled(100 * recording["validation"].load(), "validation error", "%"),
            "plateau": labelled(xr.DataArray(plateau, dims=dims), "error without binding", "%"),
        }
    )
    return result.assign_attrs(
        experiment_configuration=recording.attrs["experiment_configuration"], synapses=settings["synapses"]
    )


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Results of several runs as one, by synapses and seed."""
    return join_runs(recordings, analyse, ["synapses"])


def binds(error: np.ndarray, plateau: float) -> str:
    """The verdict on test errors, from their interval."""
    _, low, high = error
    return "yes" if high < plateau else "no" if low > plateau else "undecided"


def helps(change: np.ndarray) -> str:
    """The verdict on synapses, from the interval of the difference of errors to synapses that do not change."""
    _, low, high = change
    return "help" if high < 0 else "harm" if low > 0 else "undecided"


def shown(result: xr.Dataset) -> list[tuple[dict[str, object], xr.Dataset]]:
    """Values and result of each setting; the synapses are always among the values."""
    dims = [dim for dim in SETTINGS if dim in result.dims]
    named = {} if "synapses" in result.dims else {"synapses": result.attrs["synapses"]}
    return [(named | values, at) for values, at in each_setting(result, dims)]


EXPLAINED = {
    "error (%)": "test error",
    "plateau (%)": "error of who knows which digits occurred, but not with which letter; chance is 90 %",
    "binds": "whether the interval of the error lies below the plateau",
    "to static (%)": "difference of the test error to that of networks whose synapses do not change",
    "synapses that change": "whether that difference lies below 0",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "learning": (
        "Error on the validation sequences during training, a line for each network. Dotted: without "
        "binding letters to digits."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting."""
    rows, settings = [], shown(result)
    for values, at in settings:
        error, plateau = mean_interval(at["error"]), float(at["plateau"].mean())
        still = next((each for other, each in settings if other == {**values, "synapses": STILL}), None)
        row = {
            **values,
            "networks": f"{len(finite(at['error']))}",
            "error (%)": formatted(error, ".1f"),
            "plateau (%)": f"{plateau:.1f}",
            "binds": binds(error, plateau),
            "to static (%)": "",
            "synapses that change": "",
        }
        if still is not None and values["synapses"] != STILL:
            change = fw.measure.welch(at["error"], still["error"])
            row |= {"to static (%)": formatted(change, "+.1f"), "synapses that change": helps(change)}
        rows.append(row)
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the validation error by epoch; a line for each network."""
    made, axis = figure(width="single", aspect=0.8)
    epochs = result["epoch"].values if "epoch" in result.coords else np.arange(1, result.sizes["epoch"] + 1)
    for (values, at), colour in zip(shown(result), cycle(COLOURS.values()), strict=False):
        for number, line in enumerate(
            at["validation"].transpose(..., "epoch").values.reshape(-1, len(epochs))
        ):
            name = ", ".join(str(value) for value in values.values()).replace("_", " ")
            axis.plot(epochs, line, color=colour, lw=0.8, label=name if number == 0 else None)
        axis.axhline(float(at["plateau"].mean()), color=COLOURS["black"], lw=0.7, ls=":")
    axis.set(xlabel="epoch", ylabel="validation error (%)", ylim=(0, 100))
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend()
    return {"learning": made}
