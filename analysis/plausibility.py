"""Which of a model's values has any synapse or neuron been measured to have?

For runs whose recording says what circuits were run (`working_memory`, `hebbian_memory`, any recording of
`fwsim.spiking.simulate`), and for a synapse that `synapse_fit` was shown: `fwsim analyse RUN --analysis plausibility`.
Each value stands beside the closest measurement, with its source; a verdict says "among the measured values", "exceeds
every tabulated value" (or below), or "no data", one for every component and quantity, never one for the whole model. A
time constant of facilitation that no facilitating synapse has is also held against augmentation, another component with
longer ones. Of a fitted synapse the ends of every interval are judged: where they disagree, the data leave the verdict
open, and it says so. Of time constants that a network learnt for each synapse (`compared_memories`), every one is
judged, for steps of several lengths, and the verdict says which part of them lies where.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

import fwsim as fw
from fwsim.errors import RecordingError
from fwsim.measure import firing_rate, isi_cv, synchrony
from fwsim.rules import AssociativeRule, PresynapticRule, described_rule
from fwsim.spiking import MEASUREMENTS, Measurement, Verdict, first_release, judge
from fwsim.study import COLOURS, figure

SWEPT = ()  # of a sweep, each point is analysed by itself

Claim = tuple[str, str, float, str]
"""Component, quantity, value, unit."""
BIN = 0.01
"""Width in s of the bins of synchrony."""
STEPS = (0.1, 1.0, 10.0)
"""Lengths in s of a network's step, for which learnt time constants are judged: tasks in steps say none."""
HELD = 2.0
"""Least rate in Hz of a pool that counts as active in the delay of `working_memory`."""


def analyse(recording: xr.Dataset, sources: Sequence[Measurement] = MEASUREMENTS) -> xr.Dataset:
    """Judge every value of every circuit; `sources` may have your own measurements, by `fwsim.spiking.measured_by`."""
    if "trained_tau" in recording:
        return as_dataset(list(learnt(recording, sources)), recording)
    if "synapse" in recording.attrs:
        return as_dataset(list(fitted(recording, sources)), recording)
    rows = []
    for model, circuit in circuits(recording).items():
        claims = [*synapses(circuit), *balance(circuit), *firing(recording, model, circuit)]
        judged = [judge(*claim, sources) for claim in dict.fromkeys(claims)]
        judged += [
            judge("augmentation", "decay", each.value, "s", sources)
            for each in judged
            if each.quantity == "tau_facil" and each.verdict == fw.spiking.measured.ABOVE
        ]
        rows += [row(model, each) for each in judged] + [dale(model, circuit)]
    return as_dataset(rows, recording)


def as_dataset(rows: Sequence[dict[str, object]], recording: xr.Dataset) -> xr.Dataset:
    """One variable a column."""
    columns = list(rows[0])
    found = {
        name: ("row", np.array([each[name] for each in rows], float if name == "value" else str))
        for name in columns
    }
    return xr.Dataset(found).assign_attrs({key: str(value) for key, value in recording.attrs.items()})


def fitted(recording: xr.Dataset, sources: Sequence[Measurement]) -> Iterator[dict[str, object]]:
    """Judge the time constants that a synapse was fitted with, and whether their intervals leave it open."""
    rule = described_rule(said(recording, "synapse"))
    for name in recording.parameter.values[recording.parameter_unit.values == "s"]:
        kind = component_of(str(name), rule)
        one = recording.sel(parameter=name)
        ends = [judge(*kind, float(end), "s", sources).verdict for end in one.interval.values]
        model, value = f"{recording.attrs['rule_shown']}, {name}", float(one.estimate)
        found = row(model, judge(*kind, value, "s", sources))
        if ends[0] != ends[1]:
            low, high = (f"{float(end):.3g}" for end in one.interval.values)
            found["verdict"] = f"open, {low} … {high} s: {ends[0]}, or {ends[1]}"
        yield found
        if kind[1] == "tau_facil" and fw.spiking.measured.ABOVE in str(found["verdict"]):
            yield row(model, judge("augmentation", "decay", value, "s", sources))


def learnt(recording: xr.Dataset, sources: Sequence[Measurement]) -> Iterator[dict[str, object]]:
    """Judge the time constants that were learnt, one for each synapse or one for all, for steps of several lengths.

    A write with a positive strength is potentiation, one with a negative strength depression. Each row has the median,
    and the parts of all synapses of this sign that lie among the measured values, above and below them.
    """
    tau, eta = (recording[name].values.ravel() for name in ("trained_tau", "trained_eta"))
    tau, eta = (each[np.isfinite(tau) & np.isfinite(eta)] for each in (tau, eta))
    for sign, component in ((1, "Hebbian potentiation"), (-1, "Hebbian depression")):
        steps = tau[np.sign(eta) == sign]
        for step in STEPS if steps.size else ():
            model = f"{steps.size} synapses, steps of {step:g} s"
            found = row(model, judge(component, "decay", float(np.median(steps) * step), "s", sources))
            verdicts = [judge(component, "decay", float(each * step), "s", sources).verdict for each in steps]
            parts = {
                each: 100 * verdicts.count(each) / len(verdicts) for each in dict.fromkeys(sorted(verdicts))
            }
            yield found | {"verdict": ", ".join(f"{part:.0f} % {each}" for each, part in parts.items())}


def component_of(name: str, rule: PresynapticRule) -> tuple[str, str]:
    """What a time constant of a rule is called in the table of measurements; a trace that adds facilitates."""
    if name.startswith("tau_augmentation"):
        return "augmentation", "decay"
    amount = (
        rule.parameters().get(name.replace("tau_trace", "a"), 0.0) if name.startswith("tau_trace") else 0.0
    )
    facilitates = name.startswith(("tau_facil", "tau_F")) or amount > 0
    recovers = name.startswith(("tau_rec", "tau_D", "tau_depression"))
    return "excitatory synapse", "tau_facil" if facilitates else "tau_rec" if recovers else name


def said(recording: xr.Dataset, attribute: str) -> dict[str, Any]:
    """What an attribute of the recording says in JSON."""
    try:
        found = json.loads(recording.attrs.get(attribute, "{}"))
    except (TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RecordingError(f"the recording's attribute {attribute!r} is no JSON object; it is damaged")
    return found


def circuits(recording: xr.Dataset) -> dict[str, dict[str, Any]]:
    """The circuits that were run, by model."""
    if "circuits" in recording.attrs:
        return said(recording, "circuits")
    described = said(recording, "configuration")
    if described.get("network") != "Circuit":
        raise RecordingError(
            "the recording does not say what circuit was run; analyse a run of working_memory, hebbian_memory or "
            "synapse_fit, or a recording of fwsim.spiking.simulate"
        )
    return {"circuit": described}


def synapses(circuit: dict[str, Any]) -> Iterator[Claim]:
    """What its synapses assume."""
    for each in circuit["connections"]:
        excites = not is_inhibitory(each["efficacy"])
        component = "excitatory synapse" if excites else "inhibitory synapse"
        strength = abs(each["efficacy"]) if isinstance(each["efficacy"], (int, float)) else np.nan
        given = each["synapse"]
        if given is None:
            yield component, "potential", strength, "V"
            continue
        rule = described_rule(given)
        if isinstance(rule, PresynapticRule):
            yield component, "first release", first_release(rule), "1"
            yield component, "potential", strength * first_release(rule), "V"
            for name in ("tau_rec", "tau_facil"):
                if hasattr(rule, name):
                    yield component, name, float(getattr(rule, name)), "s"
        elif isinstance(rule, AssociativeRule):
            for tau in np.atleast_1d(getattr(rule, "tau", getattr(rule, "tau_p", np.nan))):
                yield "Hebbian potentiation", "decay", float(tau), "s"
            if hasattr(rule, "w_max"):
                limit = np.inf if rule.w_max is None else float(np.sum(rule.w_max))
                yield component, "potential", strength * limit, "V"


def is_inhibitory(efficacy: Any) -> bool:
    return isinstance(efficacy, (int, float)) and efficacy < 0


def balance(circuit: dict[str, Any]) -> Iterator[Claim]:
    """Inhibition over excitation: sums of static efficacies onto one neuron of the first population."""
    sizes = {each["name"]: each["size"] for each in circuit["populations"]}
    first = circuit["populations"][0]["name"]
    total = {True: 0.0, False: 0.0}
    for each in circuit["connections"]:
        if each["post"] == first and isinstance(each["efficacy"], (int, float)):
            total[is_inhibitory(each["efficacy"])] += (
                abs(each["efficacy"]) * each["probability"] * sizes[each["pre"]]
            )
    if total[False]:
        yield "network", "inhibition over excitation", total[True] / total[False], "1"


def firing(recording: xr.Dataset, model: str, circuit: dict[str, Any]) -> Iterator[Claim]:
    """How its neurons fire, where the recording shows it."""
    if "regime_rate" in recording:
        late = recording["regime_rate"].sel(model=model).isel(unit=0, time=slice(-100, None)).mean("time")
        rates = late.mean("network").values
        if (rates > HELD).any():
            yield "firing", "rate while active", float(rates[rates > HELD].mean()), "Hz"
    if "recalled" in recording:
        taken_part = recording["cued"] | recording["completed"]
        yield (
            "firing",
            "rate while active",
            float(recording["recalled"].sel(memory=model).where(taken_part).mean()),
            "Hz",
        )
    kept = "memory" not in recording.dims or str(recording["memory"].values[0]) == model
    if "spike_time" in recording and kept:
        neurons = sum(
            each["size"]
            for each in circuit["populations"]
            if not any(
                is_inhibitory(link["efficacy"])
                for link in circuit["connections"]
                if link["pre"] == each["name"]
            )
        )
        trains = recording[["spike_time", "spike_unit", "spike_trial"]].load()
        trains = excitatory(trains, neurons)
        trains.attrs["duration"] = recording.attrs.get("duration", float(trains["spike_time"].max()))
        rate = firing_rate(trains)
        yield "firing", "median rate", float(rate.median()), "Hz"
        yield "firing", "skewness of rates", float((((rate - rate.mean()) / rate.std()) ** 3).mean()), "1"
        yield "firing", "ISI CV", float(isi_cv(trains).mean()), "1"
        yield "firing", "synchrony", float(synchrony(trains, BIN).mean()), "1"


def excitatory(trains: xr.Dataset, neurons: int) -> xr.Dataset:
    """Spikes of the first neurons."""
    kept = trains.isel(spike=np.flatnonzero(trains["spike_unit"].values < neurons))
    return kept.assign_coords(unit=np.arange(neurons))


def dale(model: str, circuit: dict[str, Any]) -> dict[str, object]:
    """Say whether every population only excites or only inhibits."""
    signs: dict[str, set[bool]] = {}
    for each in circuit["connections"]:
        signs.setdefault(each["pre"], set()).add(is_inhibitory(each["efficacy"]))
        if each["synapse"] is not None and each["synapse"]["rule"] == "BCPNN":
            signs[each["pre"]] |= {True, False}  # log odds have both signs
    both = [name for name, found in signs.items() if len(found) > 1]
    return {
        "model": model,
        "component": "network",
        "quantity": "Dale's law",
        "value": np.nan,
        "units": "",
        "verdict": f"violated by {', '.join(both)}" if both else "holds",
        "nearest": "",
        "source": "",
    }


def row(model: str, each: Verdict) -> dict[str, object]:
    """One verdict as text."""
    nearest = each.nearest
    measured = (
        ""
        if nearest is None
        else f"{nearest.low:g}" + ("" if nearest.low == nearest.high else f" … {nearest.high:g}")
    )
    return {
        "model": model,
        "component": each.component,
        "quantity": each.quantity,
        "value": each.value,
        "units": each.units,
        "verdict": each.verdict,
        "nearest": measured if nearest is None else f"{measured} ({nearest.preparation})",
        "source": "" if nearest is None else nearest.source,
    }


EXPLAINED = {
    "component": "part of the model that the quantity describes",
    "value": "value in the model, in the unit beside it",
    "verdict": "whether the value lies within what has been measured",
    "nearest": "the nearest measured value or range, and its preparation",
    "source": "the paper that reports the measurement",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": "Every value of the model that was judged (dots) beside measurements of the same quantity (black).",
}


def table(result: xr.Dataset) -> pd.DataFrame:
    """Make the rows: one a model, component and quantity."""
    return pd.DataFrame({name: result[name].values for name in result.data_vars})


def plot(result: xr.Dataset) -> Figure:
    """Draw every judged value among the measurements of its quantity."""
    shown = table(result)
    shown = shown[np.isfinite(shown["value"]) & (shown["value"] > 0) & (shown["nearest"] != "")]
    kinds = list(dict.fromkeys(zip(shown["component"], shown["quantity"], shown["units"])))
    made, axes = figure(1, 1, width="double", aspect=0.12 * max(3, len(kinds)) / 2)
    models = list(dict.fromkeys(shown["model"]))
    for place, (component, quantity, _) in enumerate(kinds):
        for each in MEASUREMENTS:
            if (each.component, each.quantity) == (component, quantity):
                ends = [max(each.low, 1e-4), min(each.high, 1e4)]
                axes.plot(ends, [place, place], "|-", color=COLOURS["black"], ms=8, lw=2)
        for model, colour in zip(models, COLOURS.values()):
            one = shown[
                (shown["model"] == model)
                & (shown["component"] == component)
                & (shown["quantity"] == quantity)
            ]
            axes.plot(one["value"], [place + 0.25] * len(one), "o", ms=4, color=colour)
    for model, colour in zip(models, COLOURS.values()):
        axes.plot([], [], "o", ms=4, color=colour, label=model)
    axes.plot([], [], "|", color=COLOURS["black"], ms=8, label="measured")
    axes.set_yticks(
        range(len(kinds)), [f"{component}: {quantity} ({units})" for component, quantity, units in kinds]
    )
    axes.set(xscale="log", xlabel="value in the unit of its row", ylim=(-0.5, len(kinds) - 0.3))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(fontsize="xx-small", loc="upper left", bbox_to_anchor=(1, 1))
    return made
