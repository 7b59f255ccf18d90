"""Which rules are told apart by what was left out, and what are typical synapses of each class?

A rule that is within two standard errors of the best one cannot be told apart from it. Shown are the differences of log
predictive density, with standard errors over pairs, and the typical time constants of the classes with their intervals.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.study import COLOURS, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Sort rules by what they predict, and classes by their number of pairs."""
    result = recording.load()
    result = result.isel(rule=np.argsort(-result.log_predictive_density.fillna(-np.inf).values))
    return result.isel({"class": np.argsort(-result.cells.isel(parameter=0).values)})


EXPLAINED = {
    "of": "a rule, or a class of pairs with their number",
    "value": "difference from the best rule (0: the best), share of responses, or typical parameter of the class",
    "error or interval": "standard error of a difference, or the 95 % interval of a parameter",
    "verdict": "a rule is worse than the best if its difference exceeds two standard errors",
}
"""What the columns of the table mean."""


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal: rules, then classes."""
    rows: list[dict[str, object]] = []
    for rule in result.rule.values:
        one = result.sel(rule=rule)
        best = float(one.difference) == 0
        verdict = "best" if best else "worse" if bool(one.told_apart) else "cannot be told apart"
        rows.append(
            {
                "of": str(rule),
                "what": "log predictive density, difference from the best (nats)",
                "value": formatted(one.difference, ".0f"),
                "error or interval": formatted(one.difference_error, ".0f"),
                "verdict": verdict,
            }
        )
    share = f"of {int(result.predicted)} responses left out"
    rows.append(
        {
            "of": result.rule_shown,
            "what": "share inside the interval of a single response",
            "value": formatted(result.covered, ".3f"),
            "error or interval": "",
            "verdict": share,
        }
    )
    for name in result["class"].values:
        for parameter in result.parameter.values:
            one = result.sel({"class": name, "parameter": parameter})
            rows.append(
                {
                    "of": f"{name} ({int(one.cells)} pairs)",
                    "what": f"typical {parameter}",
                    "value": formatted(one.typical, ".3g"),
                    "error or interval": f"{float(one.typical_low):.3g} … {float(one.typical_high):.3g}",
                    "verdict": "",
                }
            )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the differences between rules, and the time constants of classes."""
    return {"rules": plot_rules(result), "time_constants": plot_times(result)}


def plot_rules(result: xr.Dataset) -> Figure:
    """Draw the difference of each rule from the best, with two standard errors."""
    made, axis = figure(width="double", aspect=0.4)
    rows = np.arange(result.sizes["rule"])
    axis.errorbar(
        result.difference, rows, xerr=2 * result.difference_error, fmt="o", color=COLOURS["blue"], capsize=2
    )
    axis.axvline(0, color=COLOURS["black"], lw=0.5)
    axis.set_yticks(rows, result.rule.values)
    axis.set(xlabel="difference of log predictive density (nats, ± 2 standard errors)")
    return made


def plot_times(result: xr.Dataset) -> Figure:
    """Draw the typical time constants of each class with their intervals."""
    times = [name for name in result.parameter.values if str(name).startswith("tau")]
    made, axes = figure(1, len(times), width="double", aspect=1.2, squeeze=False, sharey=True)
    rows = np.arange(result.sizes["class"])
    for axis, name in zip(axes[0], times):
        one = result.sel(parameter=name)
        ends = [one.typical - one.typical_low, one.typical_high - one.typical]
        axis.errorbar(
            1e3 * one.typical, rows, xerr=1e3 * np.array(ends), fmt="o", ms=3, color=COLOURS["blue"]
        )
        axis.set(xscale="log", xlabel=f"{name} (ms)")
    axes[0, 0].set_yticks(rows, result["class"].values)
    return made
