"""Is the sample in activity or in synapses, what do answers depend on, and does manipulation raise activity?

Works on a run and on a sweep. At each time `fw.measure.decode` reads what is to be remembered from the rates and from
the synaptic efficacies of all units, in trials that it was not trained on. Its gain is the accuracy over that with
permuted labels, as a share of what a perfect decoder gains: 0 for chance, 1 for no error. What is kept after an
exchange between trials is the share of right answers over chance (50 %), relative to that of undisturbed trials.
Intervals have 95 % (Student's t, over networks; of differences between tasks Welch's t).

With several tests in a trial, all of this is about the delay before the second test and the answers to it, in trials
whose other tests do not tell the answer (see the experiment). In `dual` it is about the sample that the second test
asks about; the other sample is decoded as well.

What the words mean was written before the networks of docs/results/trained_silent_memory.md were trained:

**Held silently.** A sample is held silently in a task if all of these are true at the end of the delay. It is not, if
the interval of one of them lies on the other side of its bound. Otherwise it is undecided.

1. Networks have learned the task: right answers in more than 90 % (of all tests, where there are several).
2. Synapses have the sample: the gain of decoders of efficacies is above 0.5.
3. Rates do not: the gain of decoders of rates is below 0.1. This is a test of equivalence: an interval below 0.1
   excludes that a tenth of a perfect decoder's gain was missed.
4. Answers do not need the activity: more than 0.5 is kept if it is exchanged between trials.
5. Answers need the efficacies: less than 0.5 is kept if they are exchanged.

For a single network the table counts in how many the verdict of `decode` on rates at the end of the delay is
"silent". It requires that no code was found, that a gain of half the usual one (`margin`) can be excluded, and
that there is a code before and after, with a probability of error of 5 % for all times together.

**Manipulation raises activity.** It does in a task compared with `dms` if the interval of the difference of the gains
of decoders of rates at the end of the delay lies above 0, does the opposite if it lies below, and is undecided
otherwise. The mean rate in the delay is reported too, but does not count: more spikes need not carry the sample. Tasks
with several tests are not compared with `dms`, because their trials have another course.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, each_point, each_setting, figure, formatted, mean_interval

SETTINGS = (
    "task", "units", "fast", "slow", "noise", "delay", "dt", "steps", "batch", "learning_rate", "clip", "rate_cost",
    "test_trials", "repetitions", "ping",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
BY_CHANCE = 50.0  # % of answers that are right by chance
LEARNED, WRITTEN, SILENT, KEPT = 90.0, 0.5, 0.1, 0.5
"""Bounds of the criteria: right answers in %, gains in efficacies and in rates, share of answers that is kept."""
MEASURABLE = 10.0
"""Right answers over chance, in %, from which on it is said what is kept of them."""
UNDISTURBED = "dms"
"""The task without manipulation."""
SEVERAL = ("abba", "abca", "dual")
"""Tasks with several tests in a trial."""
STYLES = {"activity": ("rates", "vermillion"), "efficacy": ("efficacies", "blue")}
"""Names and colours of what is decoded."""
LABELS = {
    "decoding": ("decoding accuracy", "%"),
    "gain": ("gain of decoders", "1"),
    "found": ("whether a code is found", "1"),
    "silent": ("whether the verdict is “silent”", "1"),
    "margin": ("gain that the verdict “silent” excludes", "1"),
    "guessing": ("decoding accuracy with permuted labels", "%"),
    "other_decoding": ("decoding accuracy of the other sample", "%"),
    "other_gain": ("gain of decoders of the other sample", "1"),
    "pinged_gain": ("gain of decoders of rates at the end of a ping", "1"),
    "kept": ("share of answers over chance that is kept", "1"),
    "delay_rate": ("mean rate in the delay", "Hz"),
}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Decoding, dependence on activity and efficacies, pings: of each network."""
    result = each_point(recording, [dim for dim in SWEPT if dim in recording.dims], network)
    for name, (label, units) in LABELS.items():
        if name in result:
            result[name] = labelled(result[name], label, units)
    return result.assign_attrs(
        experiment_configuration=recording.attrs["experiment_configuration"],
        task=configuration(recording)["task"],
    )


def network(one: xr.Dataset) -> xr.Dataset:
    """All of one network."""
    began, end = one["began"].sel(moment="delay").item(), one["ended"].sel(moment="delay").item()
    signals = {"activity": one["rate"], "efficacy": one["efficacy"]}
    read = [decoded(values, one["remembered"]) for values in signals.values()]
    result = xr.concat(read, "signal").assign_coords(signal=list(signals))
    if "other" in one:
        also = xr.concat([decoded(values, one["other"]) for values in signals.values()], "signal")
        result = result.assign(other_decoding=also["decoding"], other_gain=also["gain"])
    ping = one["pinged_rate"].expand_dims(time=[end])
    delay = one["rate"].sel(time=slice(began + 1e-9, end + 1e-9))
    over = one["accuracy"] - BY_CHANCE
    kept = (one["exchanged_accuracy"].mean("repetition") - BY_CHANCE) / over.where(over > MEASURABLE)
    numbers = ["accuracy", "pinged_accuracy", "began", "ended", "exchanged_accuracy", "task_accuracy"]
    return result.assign(
        pinged_gain=decoded(ping, one["remembered"])["gain"].isel(time=0, drop=True),
        kept=kept,
        delay_rate=delay.mean(),
        **one[[name for name in numbers if name in one]],
    )


def decoded(values: xr.DataArray, remembered: xr.DataArray) -> xr.Dataset:
    """What `decode` finds at each time; NaN after the end of a trial, and for a network whose training failed."""
    there = values["time"][values.notnull().all(["trial", "unit"]).values]
    if not len(there) or bool(remembered.isnull().any()):
        nothing = xr.full_like(values["time"], np.nan, dtype=float)
        several = dict.fromkeys(("decoding", "gain", "found", "silent", "guessing"), nothing)
        return xr.Dataset({**several, "margin": np.nan})
    found = fw.measure.decode(values.sel(time=there), remembered.values.astype(int))
    accuracy = ("time", np.diagonal(found["accuracy"].values))
    decoder = found[["guessing", "margin"]].assign(accuracy=accuracy)
    result = xr.Dataset(
        {
            "decoding": 100 * decoder["accuracy"],
            "guessing": 100 * decoder["guessing"],
            "gain": (decoder["accuracy"] - decoder["guessing"]) / (1 - decoder["guessing"]),
            "found": found["decodable"].astype(float),
            "silent": (found["code"] == "silent").astype(float),
            "margin": decoder["margin"],
        }
    )
    return result.reindex(time=values["time"])


def at_end(result: xr.Dataset, moment: str = "delay") -> xr.Dataset:
    """Decoders at the end of sample or delay, and what is kept if states are exchanged then."""
    time = float(result["ended"].sel(moment=moment).max())
    return result.sel(moment=moment).sel(time=time, method="nearest")


def numbers(at: xr.Dataset) -> dict[str, xr.DataArray]:
    """What the table and the verdicts are about, each number by network, at the end of the delay."""
    delay = at_end(at)
    signal, kept = delay["gain"], delay["kept"]
    found = {"right, all tests (%)": at["task_accuracy"]} if "task_accuracy" in at else {}
    found |= {"right (%)": at["accuracy"]}
    found |= {f"gain in {label}": signal.sel(signal=name) for name, (label, _) in STYLES.items()}
    if "other_gain" in delay:
        other = delay["other_gain"]
        found |= {
            f"gain in {label}, other sample": other.sel(signal=name) for name, (label, _) in STYLES.items()
        }
    return found | {
        **{f"kept, {name} exchanged": kept.sel(exchanged=name) for name in kept["exchanged"].values},
        **{
            f"kept, {name} exchanged at the sample's end": at["kept"].sel(moment="sample", exchanged=name)
            for name in ("activity", "efficacy")
        },
        "rate in the delay (Hz)": at["delay_rate"],
        "gain in rates after a ping": at["pinged_gain"],
        "right after a ping (%)": at["pinged_accuracy"],
    }


def side(interval: np.ndarray, bound: float) -> float:
    """1 if an interval lies above a bound, −1 if below, 0 if it contains it or there is none."""
    _, low, high = interval
    return float(low > bound) - float(high < bound)


def held_silently(at: xr.Dataset) -> str:
    """The verdict on a task: "yes", "no" or "undecided"."""
    found = {name: mean_interval(values) for name, values in numbers(at).items()}
    learned = found.get("right, all tests (%)", found["right (%)"])
    criteria = [
        side(learned, LEARNED),
        side(found["gain in efficacies"], WRITTEN),
        -side(found["gain in rates"], SILENT),
        side(found["kept, activity exchanged"], KEPT),
        -side(found["kept, efficacy exchanged"], KEPT),
    ]
    return "no" if min(criteria) < 0 else "yes" if min(criteria) > 0 else "undecided"


def raises_activity(change: np.ndarray) -> str:
    """The verdict on a manipulation, from the interval of the difference of gains in rates to the task without."""
    return {1.0: "yes", -1.0: "the opposite", 0.0: "undecided"}[side(change, 0.0)]


def shown(result: xr.Dataset) -> list[tuple[dict[str, object], xr.Dataset]]:
    """Values and result of each setting; the task is always among the values."""
    dims = [dim for dim in SETTINGS if dim in result.dims]
    return [({"task": result.attrs["task"], **values}, at) for values, at in each_setting(result, dims)]


EXPLAINED = {
    "right, all tests (%)": "right answers to all tests of the task",
    "right (%)": "right answers of undisturbed trials (with several tests: to the second); 50 % is chance",
    "gain in *": "gain of decoders at the end of the delay: 0 for chance, 1 for no error",
    "gain in *, other sample": "gain of decoders of the sample that the first test asked about",
    "kept, * exchanged": "share of right answers over chance that is left after an exchange at the end of the delay",
    "kept, * exchanged at the sample's end": "the same after an exchange at the end of the sample",
    "gain in rates after a ping": "gain of decoders of rates at the end of a ping",
    "silent networks": "networks of which `decode` says that the rates are silent at the end of the delay",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "decoding": (
        "Decoding of the sample from rates and from efficacies of synapses through the trial: means "
        "with intervals over networks. Grey: sample and tests; dotted: chance; dashed: the sample that "
        "the first of two tests asks about."
    ),
    "exchange": (
        "Right answers without exchange, and after rates or efficacies were exchanged between trials at "
        "the end of sample and delay: means with intervals; a dot for each network. Dotted: chance."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting, and one for its difference to the same setting of the task without manipulation."""
    rows = []
    settings = shown(result)
    for values, at in settings:
        silent = at_end(at)["silent"].sel(signal="activity")
        rows.append(
            {
                **values,
                "networks": f"{at['accuracy'].notnull().sum().item()}",
                **{name: formatted(mean_interval(each)) for name, each in numbers(at).items()},
                "silent networks": f"{silent.sum().item():.0f}",
                "verdict": f"held silently: {held_silently(at)}",
            }
        )
    for values, at in settings:
        same = {**values, "task": UNDISTURBED}
        other = next((each for setting, each in settings if setting == same), None)
        if values["task"] in (UNDISTURBED, *SEVERAL) or other is None:
            continue
        before = numbers(other)
        change = {name: fw.measure.welch(each, before[name]) for name, each in numbers(at).items()}
        rows.append(
            {
                **values,
                "task": f"{values['task']} − {UNDISTURBED}",
                "networks": "",
                **{name: formatted(each, "+.2f") for name, each in change.items()},
                "silent networks": "",
                "verdict": f"raises activity: {raises_activity(change['gain in rates'])}",
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw decoding by time, and answers after exchanges."""
    return {"decoding": plot_decoding(result), "exchange": plot_exchange(result)}


def name_of(values: dict[str, object]) -> str:
    return ", ".join(str(value) if key == "task" else f"{key} {value}" for key, value in values.items())


def plot_decoding(result: xr.Dataset) -> Figure:
    """Accuracy of decoders of rates and of efficacies through the trial with intervals, a panel for each setting."""
    settings = shown(result)
    width = "single" if len(settings) == 1 else "double"
    aspect = 0.8 if len(settings) < 3 else 1.4
    made, axes = figure(1, len(settings), width=width, aspect=aspect, sharey=True, squeeze=False)
    for axis, (values, at) in zip(axes[0], settings, strict=True):
        for begin, end in stimuli(at):
            axis.axvspan(begin, end, color=COLOURS["black"], alpha=0.12, lw=0)
        for signal, (label, colour) in STYLES.items():
            draw(axis, at["decoding"].sel(signal=signal), COLOURS[colour], label)
            if "other_decoding" in at:
                other = at["other_decoding"].sel(signal=signal)
                draw(axis, other, COLOURS[colour], f"{label}, other sample", ls="--")
        axis.axhline(float(at["guessing"].mean()), color=COLOURS["black"], lw=0.7, ls=":", label="chance")
        axis.set(title=name_of(values), xlabel="time (s)", ylim=(0, 103))
    axes[0, 0].set_ylabel("decoding of the sample (%)")
    known = {label: line for axis in axes[0] for line, label in zip(*axis.get_legend_handles_labels())}
    made.legend(known.values(), known.keys(), loc="outside lower center", ncols=3)
    return made


def stimuli(at: xr.Dataset) -> list[tuple[float, float]]:
    """Begin and end of sample and tests, in s; all are shown equally long."""
    began, ended = (
        {moment: float(at[name].sel(moment=moment).max()) for moment in ("sample", "delay")}
        for name in ("began", "ended")
    )
    shown = ended["sample"] - began["sample"]
    ends = {
        ended["sample"],
        began["delay"],
        ended["delay"] + shown,
    }  # the first two differ if there are two tests
    return [(end - shown, end) for end in sorted(ends)]


def draw(axis: Axes, accuracy: xr.DataArray, colour: str, label: str, **style: Any) -> None:
    """Mean and interval over networks by time."""
    accuracy = accuracy.isel(
        time=accuracy.notnull().any([dim for dim in accuracy.dims if dim != "time"]).values
    )
    if not accuracy.sizes["time"]:
        return
    middle, low, high = np.transpose(
        [mean_interval(accuracy.isel(time=t)) for t in range(accuracy.sizes["time"])]
    )
    axis.fill_between(accuracy["time"], low, high, color=colour, alpha=0.2, lw=0)
    axis.plot(accuracy["time"], middle, color=colour, label=label, **style)


def plot_exchange(result: xr.Dataset) -> Figure:
    """Right answers without and with an exchange at the end of sample and delay; a dot for each network."""
    settings = shown(result)
    made, axes = figure(1, 2, width="double", aspect=0.8, sharey=True)
    kinds = list(result["exchanged"].values)
    for axis, moment in zip(axes, result["moment"].values, strict=True):
        for number, ((values, at), colour) in enumerate(zip(settings, cycle(COLOURS.values()), strict=False)):
            places = np.arange(1 + len(kinds)) + 0.12 * (number - (len(settings) - 1) / 2)
            right = at["exchanged_accuracy"].sel(moment=moment).mean("repetition")
            columns = [at["accuracy"], *(right.sel(exchanged=kind) for kind in kinds)]
            middle, low, high = np.transpose([mean_interval(each) for each in columns])
            axis.errorbar(
                places, middle, [middle - low, high - middle], fmt="_", color=colour, label=name_of(values)
            )
            for place, each in zip(places, columns, strict=True):
                dots = np.atleast_1d(each.values)
                axis.plot(np.full(len(dots), place), dots, "o", ms=3, color=colour, alpha=0.5)
        axis.axhline(BY_CHANCE, color=COLOURS["black"], lw=0.7, ls=":")
        axis.set(title=f"at the end of the {moment}", ylim=(40, 103))
        axis.set_xticks(np.arange(1 + len(kinds)), ["none", *kinds])
        axis.set_xlabel("exchanged between trials")
    axes[0].set_ylabel("right answers (%)")
    axes[1].legend(loc="upper right")
    return made
