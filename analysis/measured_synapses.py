"""Which rules are told apart by what was left out, and do their intervals contain it?

A rule that is within two standard errors of the best one cannot be told apart from it. Shown are the differences of log
predictive density from each rule that was fitted to each pair alone, with standard errors over pairs, and the share of
single responses inside their predictive intervals, with its standard error over pairs.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.recording import labelled_dataset
from fwsim.study import COLOURS, configuration, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself
ALONE = ", each pair alone"
ERRORS = 2.0  # standard errors that tell two rules apart


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Differences from the rules fitted to each pair alone, or else from the best rule, and coverage."""
    result = recording.load()
    result = result.isel(rule=np.argsort(-result.log_predictive_density.fillna(-np.inf).values))
    used = result.sel(cell=result.predicted.max("rule") > 0)
    against = sorted(str(rule) for rule in used.rule.values if str(rule).endswith(ALONE))
    against = against or [str(used.rule.values[0])]
    off = xr.concat(
        [used.density - used.density.sel(rule=name, drop=True) for name in against],
        xr.DataArray(np.array(against, dtype=object), dims="against", name="against"),
    )
    pairs = used.sizes["cell"]
    share = used.inside.sum("cell") / used.predicted.sum("cell")
    rest = used.inside - share * used.predicted  # of a ratio of two sums over pairs
    error = np.sqrt(pairs) * rest.std("cell", ddof=1) / used.predicted.sum("cell")
    sums = {"gain": off.sum("cell"), "gain_error": np.sqrt(pairs) * off.std("cell", ddof=1)}
    sums |= {"gain_median": off.median("cell"), "gain_better": (off > 0).mean("cell")}
    text = {
        "gain": "difference of log predictive density, in nats",
        "gain_error": "its standard error over pairs",
        "gain_median": "its median over pairs, in nats",
        "gain_better": "share of pairs that it predicts better",
    }
    order = ("rule", "against")
    made = labelled_dataset({
        **{name: (order, sums[name].transpose(*order).values, "1", text[name]) for name in text},
        "covered": ("rule", share.values, "1", "share of responses left out inside their interval"),
        "covered_error": ("rule", error.values, "1", "its standard error over pairs"),
        "pairs": ((), pairs, "1", "pairs of which something was left out"),
    }, {"rule": used.rule.values, "against": np.array(against, dtype=object)})  # fmt: skip
    return result.merge(made).assign_attrs(recording.attrs)


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make a row for each rule."""
    rows: list[dict[str, object]] = []
    for rule in result.rule.values:
        one = result.sel(rule=rule)
        row: dict[str, object] = {"left out": result.attrs["left_out"], "rule": str(rule)}
        row["log predictive density (nats)"] = formatted(one.log_predictive_density, ".0f")
        for name in result.against.values:
            part, short = one.sel(against=name), f"over {str(name).replace(ALONE, ' alone')}"
            row[f"{short} (nats)"] = formatted(part.gain, "+.0f")
            row[f"{short}: error"] = formatted(part.gain_error, ".0f")
            row[f"{short}: median pair"] = formatted(part.gain_median, "+.2f")
            row[f"{short}: pairs better (%)"] = formatted(100 * part.gain_better, ".0f")
        row["inside the interval (%)"] = formatted(100 * one.covered, ".1f")
        row["inside: error"] = formatted(100 * one.covered_error, ".1f")
        row["R̂"] = formatted(one.disagreement, ".2f")
        rows.append(row)
    return rows


EXPLAINED = {
    "log predictive density*": "of what was left out, summed over pairs",
    "over *(nats)": "difference from this rule; beside it its standard error over pairs",
    "over *median pair": "the same for the median pair, in nats",
    "over *pairs better*": "share of pairs that the rule predicts better",
    "inside*": "share of single responses left out inside their predictive interval, and its standard error over pairs",
    "R̂": "largest potential scale reduction of means and spreads of classes; 1 if chains agree",
}
CAPTIONS = {
    "rules": (
        "Log predictive density of responses that the fit has not seen: gain over the rule named "
        "below. Left: sum over all pairs with two standard errors. Right: median, "
        "quartiles, and 5 to 95 % of single pairs."
    ),
    "coverage": (
        "Share of single responses inside their predictive intervals, with two standard errors over "
        "pairs. Shaded: the target, two per cent to both sides of the nominal share."
    ),
}


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the differences between rules, and the coverage of their intervals."""
    return {"rules": plot_rules(result), "coverage": plot_coverage(result)}


def plot_rules(result: xr.Dataset) -> Figure:
    """Draw the difference of each rule from those of each pair alone: all pairs with two errors, and every pair."""
    count = result.sizes["against"]
    made, axes = figure(count, 2, width="double", aspect=0.5, squeeze=False, sharey=True)
    rows = np.arange(result.sizes["rule"])
    used = result.sel(cell=result.predicted.max("rule") > 0)
    for k, name in enumerate(result.against.values):
        total, single = axes[k]
        one = result.sel(against=name)
        total.errorbar(
            one.gain, rows, xerr=ERRORS * one.gain_error, fmt="o", color=COLOURS["blue"], capsize=2
        )
        off = (used.density - used.density.sel(rule=name, drop=True)).transpose("rule", "cell")
        ends = [np.quantile(off.values, q, axis=1) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
        single.hlines(rows, ends[0], ends[4], color=COLOURS["orange"], lw=1)
        single.hlines(rows, ends[1], ends[3], color=COLOURS["orange"], lw=4)
        single.plot(ends[2], rows, "|", color=COLOURS["black"])
        total.set(xlabel=f"gain over {name},\nsum of all pairs (nats)")
        single.set(xlabel=f"gain over {name},\nsingle pairs (nats)")
        for axis in (total, single):
            axis.axvline(0, color=COLOURS["black"], lw=0.5)
    axes[0, 0].set_yticks(rows, [str(rule).replace(", ", ",\n") for rule in result.rule.values])
    return made


def plot_coverage(result: xr.Dataset) -> Figure:
    """Draw the share of responses inside their intervals, with two errors, and the band of the target."""
    made, axis = figure(width="single", aspect=0.9)
    rows = np.arange(result.sizes["rule"])
    level = configuration(result)["level"]
    axis.axvspan(100 * level - 2, 100 * level + 2, color=COLOURS["sky"], alpha=0.3, lw=0)
    axis.errorbar(
        100 * result.covered,
        rows,
        xerr=ERRORS * 100 * result.covered_error,
        fmt="o",
        color=COLOURS["blue"],
        capsize=2,
    )
    axis.axvline(100 * level, color=COLOURS["black"], lw=0.5)
    axis.set_yticks(rows, [str(rule).replace(", ", ",\n") for rule in result.rule.values])
    axis.set(xlabel=f"responses inside {100 * level:.0f} % intervals (%)")
    return made
