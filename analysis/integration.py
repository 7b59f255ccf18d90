"""Do networks integrate evidence, and do they keep it in their activity or in their synapses?

Works on a run and on a sweep over `model`. Shown are right answers at the length of training and at twice this length,
and the parts of the variance of activity, and of M, that the last input and the evidence so far explain.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.study import COLOURS, configuration, figure, formatted, mean_interval

SWEPT = ("model", "seed")
LABELS = {
    "mpn": "MPN",
    "mpn_pre": "MPN, η by pre",
    "mpn_post": "MPN, η by post",
    "mpn_synapse": "MPN, η by synapse",
    "recurrent": "recurrent",
    "static": "no plasticity",
}
SHARES = {
    "hidden_input": ("input in activity", "blue"),
    "hidden_evidence": ("evidence in activity", "vermillion"),
    "memory_input": ("input in M", "sky"),
    "memory_evidence": ("evidence in M", "orange"),
}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Right answers, parts of the variance and constants by network and seed."""
    config = configuration(recording)
    result = recording.load()
    if "model" not in result.dims:
        result = result.expand_dims(model=[config["model"]])
    result = result if "seed" in result.dims else result.expand_dims("seed")
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    return result


EXPLAINED = {
    "right, * steps (%)": "right answers in trials of this length: mean over networks and 95 % interval (Student's t)",
    "input in * (%)": "part of the variance of activity or of M, before the question, that the last input explains",
    "evidence in * (%)": "part of that variance which the evidence so far explains",
    "τ (steps)": "median time constant of M after training, mean over networks",
    "η > 0 (%)": "strengths that are positive after training, mean over networks",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "integration": (
        "Left: right answers at the length of training (filled) and at twice this length (open), one dot a "
        "network; dotted: chance. Right: parts of the variance of activity and of M, just before the "
        "question, that the last input and the evidence so far explain; means over networks, lines are 95 % "
        "intervals (Student's t)."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each network."""
    rows = []
    for model in result["model"].values:
        one = result.sel(model=model)
        rows.append(
            {
                "network": LABELS[str(model)],
                **{
                    f"right, {int(length)} steps (%)": spread(one["right"].sel(length=length))
                    for length in one["length"]
                },
                **{f"{said} (%)": spread(one[name]) for name, (said, _) in SHARES.items() if name in one},
                "τ (steps)": spread(one["trained_tau"], most=np.inf) if "trained_tau" in one else "",
                "η > 0 (%)": spread(one["positive"], interval=False) if "positive" in one else "",
            }
        )
    return rows


def spread(values: xr.DataArray, *, most: float = 100, interval: bool = True) -> str:
    """Mean over networks, with Student's t interval from 0 to `most` where there are several; empty without any."""
    found = np.clip(mean_interval(values), 0, most)
    return formatted(found if interval else found[0], ".1f")


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Right answers, and where the evidence is."""
    made, (answers, shares) = figure(1, 2, width="double", aspect=0.9)
    places = np.arange(result.sizes["model"])
    for place in places:
        right = result["right"].isel(model=place)
        for offset, filled, length in ((-0.12, True, 0), (0.12, False, 1)):
            answers.plot(
                place + offset + np.linspace(-0.06, 0.06, right.sizes["seed"]),
                right.isel(length=length),
                "o",
                ms=4,
                color=COLOURS["blue"],
                mfc=COLOURS["blue"] if filled else "none",
            )
    for number, (name, (said, colour)) in enumerate(SHARES.items()):
        for place in places:
            found = result[name].isel(model=place).dropna("seed").values
            if found.size:
                mean, low, high = fw.measure.bootstrap(found)
                at = place + 0.2 * (number - 1.5)
                shares.bar(at, mean, 0.2, color=COLOURS[colour], label=said)
                shares.vlines(at, low, high, color=COLOURS["black"])
    answers.axhline(50, color=COLOURS["black"], ls=":")
    answers.set(ylabel="right answers (%)", ylim=(40, 102))
    shares.set(ylabel="explained variance (%)", ylim=(0, 100))
    for axis in (answers, shares):
        axis.set_xticks(
            places, [LABELS[str(each)] for each in result["model"].values], rotation=35, ha="right"
        )
    handles, labels = shares.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    made.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4)
    return {"integration": made}
