"""Which networks keep more of a working memory if connections are removed?

Works on a run and on a sweep. What is kept is the share of right answers over chance (50 %) after an ablation, relative
to that of the whole network: the mean over draws, for each network. Intervals have 95 % (Student's t, over networks; of
differences between kinds of plasticity Welch's t).

What the words mean was written before the networks of docs/results/ablation.md were trained:

**Learned.** Networks with right answers in less than 80 % have not learned the task and are left out, since there is
nothing to keep.

**More robust.** Robustness is what is kept, averaged over the shares that are removed. One kind of plasticity is more
robust than another if the interval of the difference lies above 0, less robust if it lies below, and the comparison is
undecided otherwise. Kozachkov et al. 2022 expect anti-Hebbian above presynaptic above none.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, cycle

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
    "plasticity", "task", "units", "fast", "slow", "noise", "delay", "dt", "steps", "batch", "learning_rate", "clip",
    "rate_cost", "test_trials", "draws",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
BY_CHANCE, LEARNED = 50.0, 80.0
"""Right answers in % by chance, and from which on a network has learned its task."""
NAMES = {"presynaptic": "presynaptic", "anti_hebbian": "anti-Hebbian", "none": "no plasticity"}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """What every network keeps, and how robust it is."""
    over = recording["accuracy"].load() - BY_CHANCE
    ablated = recording["ablated_accuracy"].load().mean("draw") - BY_CHANCE
    kept = ablated / over.where(over >= LEARNED - BY_CHANCE)
    values = {
        "accuracy": (recording["accuracy"], "right answers", "%"),
        "kept": (kept, "share of right answers over chance that is kept", "1"),
        "robustness": (kept.mean("removed"), "what is kept, mean over shares removed", "1"),
        "eta": (recording["eta"].load(), "strength of fast weights", "1/s"),
    }
    result = xr.Dataset(
        {name: labelled(value, label, units) for name, (value, label, units) in values.items()}
    )
    return result.assign_attrs(
        experiment_configuration=recording.attrs["experiment_configuration"],
        plasticity=configuration(recording)["plasticity"],
    )


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Results of several runs as one, by plasticity and seed."""
    return join_runs(recordings, analyse, ["plasticity"])


def shown(result: xr.Dataset) -> list[tuple[dict[str, object], xr.Dataset]]:
    """Values and result of each setting; the plasticity is always among the values."""
    dims = [dim for dim in SETTINGS if dim in result.dims]
    named = {} if "plasticity" in result.dims else {"plasticity": result.attrs["plasticity"]}
    return [(named | values, at) for values, at in each_setting(result, dims)]


def verdict(change: np.ndarray) -> str:
    """The verdict on a difference of robustness."""
    _, low, high = change
    return "more robust" if low > 0 else "less robust" if high < 0 else "undecided"


EXPLAINED = {
    "networks": "networks that were trained",
    "learned": "networks that learned the task; all numbers after it are of these",
    "right (%)": "right answers of whole networks that learned; 50 % is chance",
    "kept, * removed": "share of right answers over chance that is left when so many connections are removed",
    "robustness": "mean of what is kept over all shares that are removed",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "ablation": (
        "Right answers over chance that are kept after connections between units were removed at "
        "random. Thin lines: networks; dots: means with 95 % intervals."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting, and one for each difference between two kinds of plasticity."""
    settings, rows = shown(result), []
    for values, at in settings:
        learned = at["robustness"].notnull()
        rows.append(
            {
                **values,
                "networks": f"{at['accuracy'].notnull().sum().item()}",
                "learned": f"{learned.sum().item()}",
                "right (%)": formatted(mean_interval(at["accuracy"].where(learned)), ".1f"),
                **{
                    f"kept, {share:.0%} removed": formatted(mean_interval(at["kept"].sel(removed=share)))
                    for share in at["removed"].values
                },
                "robustness": formatted(mean_interval(at["robustness"])),
                "verdict": "",
            }
        )
    for (values, at), (others, other) in combinations(settings, 2):
        if {**values, "plasticity": ""} != {**others, "plasticity": ""}:
            continue
        change = fw.measure.welch(at["robustness"], other["robustness"])
        rows.append(
            {
                **values,
                "plasticity": f"{values['plasticity']} − {others['plasticity']}",
                **{
                    f"kept, {share:.0%} removed": formatted(
                        fw.measure.welch(at["kept"].sel(removed=share), other["kept"].sel(removed=share)),
                        "+.2f",
                    )
                    for share in at["removed"].values
                },
                "robustness": formatted(change, "+.2f"),
                "verdict": verdict(change),
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw what is kept by the share of connections removed; a thin line for each network."""
    made, axis = figure(width="single", aspect=0.8)
    removed = np.concatenate([[0.0], result["removed"].values])
    for (values, at), colour in zip(shown(result), cycle(COLOURS.values()), strict=False):
        if not len(finite(at["robustness"])):  # nobody has learned
            continue
        middle, low, high = np.transpose(
            [mean_interval(at["kept"].sel(removed=share)) for share in removed[1:]]
        )
        for network in at["kept"].transpose(..., "removed").values.reshape(-1, len(removed) - 1):
            axis.plot(100 * removed, [1, *network], color=colour, lw=0.5, alpha=0.4)
        name = ", ".join(NAMES.get(str(value), str(value)) for value in values.values())
        axis.errorbar(
            100 * removed[1:], middle, [middle - low, high - middle], fmt="o-", ms=3, color=colour, label=name
        )
    axis.axhline(0, color=COLOURS["black"], lw=0.7, ls=":")
    axis.set(xlabel="connections removed (%)", ylabel="performance kept (1)")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right")
    return {"ablation": made}
