"""Which rule predicts a protocol that it was not fitted to, and which time scales does that give the synapse?

Shown are the errors of every rule on each protocol left out, beside those of the published models, the floor
that different cells set, and the share that a wrong gain makes; the data with predictions and bands; the
residuals; and the time constants with their uncertainty.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from fwsim.fitting import choose
from fwsim.recording import labelled, labelled_dataset
from fwsim.study import COLOURS, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

# Rossbroich et al. 2021, fitted to the other protocols of a set of seven: mean squared error of the one left out.
PUBLISHED = {
    "Tsodyks–Markram, published": {
        "20Hz": 0.429, "100Hz": 1.346, "20Hz_then_100Hz": 0.499, "100Hz_then_20Hz": 0.385, "200Hz": 0.622,
    },
    "linear–nonlinear, published": {
        "20Hz": 0.200, "100Hz": 1.508, "20Hz_then_100Hz": 0.077, "100Hz_then_20Hz": 0.462, "200Hz": 0.565,
    },
}  # fmt: skip
CHOSEN_FROM = ("gamma", "gamma, few cells")
"Variants in which all rules are compared."
FORM = ".3f"
SHORT = {
    "20Hz_then_100Hz": "20→100",
    "100Hz_then_20Hz": "100→20",
    "20Hz": "20 Hz",
    "100Hz": "100 Hz",
    "200Hz": "200 Hz",
}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Add the published errors, and what share of each error the gain makes."""
    result = recording.load()
    known = [[values.get(str(p), np.nan) for p in result.protocol.values] for values in PUBLISHED.values()]
    if result.attrs["simulated"]:
        known = np.full((len(PUBLISHED), result.sizes["protocol"]), np.nan)
    errors = (("model", "protocol"), np.array(known), "1", "mean squared error, published")
    result = result.merge(labelled_dataset({"published_error": errors}, {"model": list(PUBLISHED)}))
    result["averaged_error"] = labelled(
        squared(result.averaged, result), "mean squared error, prediction averaged over the bootstrap"
    )
    share = 1 - result.held_out_shape_error / result.held_out_error
    result["gain_share"] = labelled(share, "share of the error that a better gain removes")
    return result


def squared(predicted: xr.DataArray, result: xr.Dataset) -> xr.DataArray:
    """Mean squared error over pulses."""
    return ((predicted - result.measured) ** 2).mean("pulse")


EXPLAINED = {
    "rule": "the fitted rule, or how a rule was chosen without the protocol that is left out",
    "20 Hz": "mean squared error of predicting this protocol by a fit to the others (first response = 1)",
    "100 Hz": "the same for this protocol",
    "200 Hz": "the same for this protocol",
    "*→*": "the same for the train that changes its rate",
    "mean": "mean over protocols",
    "own gain": "mean error with the best gain for each protocol; in rows on the same stimulus, what sampling explains",
    "ΔTIC": "Takeuchi's information criterion of the fit to all protocols, above that of the best rule",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "predictions": (
        "Each protocol of stimulation, measured (dots with standard errors) and predicted by rules that "
        "were fitted to the other protocols (lines). Dark band: interval of the mean; light band: "
        "interval of single responses."
    ),
    "errors": (
        "Mean squared error on each protocol that was left out of the fit. Filled: rules fitted here; "
        "open: published models; dotted: error of other cells with the same stimulus."
    ),
    "residuals": (
        "Residuals of the fit to all protocols, pulse by pulse, in standard errors. Shaded: two "
        "standard errors."
    ),
    "time_constants": (
        "Distribution of each time constant from the bootstrap (filled) and from the posterior "
        "(outlines). Vertical line: estimate."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal: squared errors of protocols left out, and TIC of the fit to all."""
    rows = []
    for variant in result.variant.values:
        part = result.sel(variant=variant)
        main = variant == result.variant.values[0]
        again = ["Tsodyks–Markram", result.rule_shown, *result.rule.values[~result.times_fitted.values]]
        for rule in result.rule.values if main else again:
            one = part.sel(rule=rule)
            if one.held_out_error.isnull().all():
                continue
            text = rule if main else f"{rule}, {variant}"
            row = errors(text, one.held_out_error, one.held_out_shape_error)
            rows.append(row | {"ΔTIC": f"{float(one.tic - part.tic.min()):.0f}"})
        if variant in CHOSEN_FROM:
            listed = part.isel(rule=part.times_fitted.values)  # as the design says that was fixed beforehand
            rows += choices(listed, f"any rule, {variant}")
            rows += choices(listed.isel(rule=listed.probability.values), f"release at most 1, {variant}")
    rows.append(errors(f"{result.rule_shown}, averaged over its bootstrap", result.averaged_error))
    if not result.attrs["simulated"]:
        rows += [errors(str(model), result.published_error.sel(model=model)) for model in result.model.values]
    for pair in result.pair.values:
        one = result.sel(pair=pair)
        text = f"same stimulus: {pair} (own gain: sampling)"
        rows.append(
            {
                "rule": text,
                "mean": formatted(one.floor, FORM),
                "own gain": formatted(one.floor_sampling, FORM),
            }
        )
    blank = dict.fromkeys(max(rows, key=len), "")
    return [blank | row for row in rows]


def choices(part: xr.Dataset, candidates: str) -> list[dict[str, object]]:
    """Make the rows of what is chosen among candidates without the protocol, and of an average weighted by TIC."""
    found = choose(part)
    rows = []
    for criterion in found.criterion.values:
        one = found.sel(criterion=criterion)
        rows.append(errors(f"chosen by {criterion}: {candidates}", one.chosen_error, one.chosen_shape_error))
    weight = np.exp(-0.5 * (part.inner_tic - part.inner_tic.min("rule")))
    averaged = (weight * part.prediction).sum("rule", min_count=1) / weight.sum("rule")
    return [*rows, errors(f"averaged by TIC: {candidates}", squared(averaged, part))]


def errors(name: str, error: xr.DataArray, shape: xr.DataArray | None = None) -> dict[str, object]:
    """Make one row."""
    values = {SHORT.get(str(p), str(p)): error.sel(protocol=p) for p in error.protocol.values}
    values |= {"mean": error.mean()} | ({} if shape is None else {"own gain": shape.mean()})
    return {"rule": name} | {key: formatted(value, FORM, missing="nan") for key, value in values.items()}


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw predictions, errors, residuals and time constants."""
    return {
        "predictions": plot_predictions(result),
        "errors": plot_errors(result),
        "residuals": plot_residuals(result),
        "time_constants": plot_time_constants(result),
    }


def plot_predictions(result: xr.Dataset) -> Figure:
    """Draw each protocol with what the rule, fitted to the others, predicts of it."""
    protocols = result.protocol.values
    made, axes = figure(1, len(protocols), width="double", aspect=1.6, sharey=True)
    main = result.sel(variant="gamma")
    for axis, protocol in zip(axes, protocols):
        one = main.sel(protocol=protocol).dropna("pulse", subset=["time"])
        time = 1e3 * one.time
        axis.fill_between(time, one.response_low, one.response_high, color=COLOURS["blue"], alpha=0.08, lw=0)
        axis.fill_between(time, one.mean_low, one.mean_high, color=COLOURS["blue"], alpha=0.3, lw=0)
        for rule, colour in ((result.rule_shown, "blue"), ("Tsodyks–Markram", "vermillion")):
            axis.plot(time, one.prediction.sel(rule=rule), "-", color=COLOURS[colour], label=rule)
        axis.errorbar(
            time, one.measured, one.standard_error, fmt="o", ms=2.5, color=COLOURS["black"], label="measured"
        )
        axis.set(xlabel="time (ms)", title=SHORT.get(protocol, protocol))
    axes[0].set(ylabel="response (first = 1)", ylim=(0, 1.15 * float(main.response_high.max())))
    axes[0].legend(fontsize="x-small")
    return made


def plot_errors(result: xr.Dataset) -> Figure:
    """Draw the error on each protocol left out, rule by rule."""
    main = result.sel(variant="gamma")
    made, axis = figure(width="double", aspect=0.55)
    rows = np.arange(main.sizes["rule"])
    for k, protocol in enumerate(main.protocol.values):
        colour = list(COLOURS.values())[k]
        axis.plot(
            main.held_out_error.sel(protocol=protocol),
            rows,
            "o",
            color=colour,
            label=SHORT.get(protocol, protocol),
        )
        for j, model in enumerate(result.model.values):
            value = result.published_error.sel(model=model, protocol=protocol)
            axis.plot(value, len(rows) + j, "D", color=colour, mfc="none")
    axis.axvline(
        float(result.floor.max()), color=COLOURS["black"], ls=":", label="other cells, same stimulus"
    )
    axis.set_yticks(np.arange(len(rows) + result.sizes["model"]), [*main.rule.values, *result.model.values])
    axis.set(xscale="log", xlabel="mean squared error of the protocol left out")
    axis.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
    return made


def plot_residuals(result: xr.Dataset) -> Figure:
    """Draw the residuals of the fit to all protocols."""
    made, axis = figure(width="single")
    for protocol in result.protocol.values:
        axis.plot(
            result.pulse, result.residual.sel(protocol=protocol), "o-", label=SHORT.get(protocol, protocol)
        )
    axis.axhspan(-2, 2, color=COLOURS["black"], alpha=0.08, lw=0)
    axis.set(xlabel="pulse", ylabel="residual (standard errors)", title=result.rule_shown)
    axis.legend(fontsize="x-small")
    return made


def plot_time_constants(result: xr.Dataset) -> Figure:
    """Draw bootstrap and posterior of every time constant."""
    times = result.parameter.values[result.parameter_unit.values == "s"]
    made, axes = figure(1, len(times), width="double", aspect=0.6, squeeze=False)
    for axis, name in zip(axes[0], times):
        one = result.sel(parameter=name)
        both = np.log10(1e3 * np.concatenate([one.bootstrap, one.posterior]))
        bins = np.logspace(both.min(), both.max(), 40)
        axis.hist(1e3 * one.bootstrap, bins, density=True, alpha=0.5, label="bootstrap")
        axis.hist(
            1e3 * one.posterior, bins, density=True, histtype="step", color=COLOURS["black"], label="Laplace"
        )
        if "sampled" in one:
            axis.hist(
                1e3 * one.sampled, bins, density=True, histtype="step", color=COLOURS["blue"], label="MCMC"
            )
        axis.axvline(1e3 * one.estimate, color=COLOURS["vermillion"])
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        open_end = "" if bool(one.determined) else ", not determined"
        axis.set(xlabel=f"{name} (ms){open_end}", ylabel="density (1/ms)")
    axes[0, 0].legend(fontsize="x-small")
    return made
