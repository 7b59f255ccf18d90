"""When does an old value come back, and which memory suffers from what was stored before?

Shown are, over the delay after a key was stored with a new value, how often the new and the old value are answered,
with the weights κ that theory gives them; and the right answers against the similarity of keys and against the number
of other pairs before and after the one asked for.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.recording import labelled
from fwsim.study import COLOURS, figure, formatted, standard_error

SWEPT = ()  # of a sweep, each point is analysed by itself

COLOUR_OF = dict(
    zip(("short", "long", "two", "power law"), ("blue", "vermillion", "green", "purple"), strict=True)
)


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Fractions of answers with their standard errors, mean overlaps, and the crossing that theory expects."""
    recording = recording.load()
    answer = recording["reuse_answer"]
    fractions = {
        "answers_new": (answer == 0, "new value answered"),
        "answers_old": (answer == 1, "old value answered"),
        **{
            name: (recording[name], recording[name].attrs["long_name"])
            for name in ("similar_right", "proactive_right", "retroactive_right")
        },
    }
    result = xr.Dataset()
    for name, (values, label) in fractions.items():
        result[name] = labelled(values.mean("trial"), label)
        result[f"{name}_error"] = labelled(standard_error(values, "trial"), f"standard error: {label}")
    for name in ("new", "old"):
        result[name] = labelled(recording[name].mean("trial"), recording[name].attrs["long_name"])
        result[f"expected_{name}"] = recording[f"expected_{name}"]
    result["crossing"] = crossing(result["old"] - result["new"], "delay at which the old value comes back")
    result["expected_crossing"] = crossing(
        result["expected_old"] - result["expected_new"], "the same in theory"
    )
    return result


def crossing(lead: xr.DataArray, name: str) -> xr.DataArray:
    """Delay at which the lead of the old value turns positive, interpolated; NaN if it never does, 0 if at once."""
    delay = lead["delay"].values.astype(float)

    def first(values: np.ndarray) -> float:
        above = np.flatnonzero(values > 0)
        if np.isnan(values).any() or len(above) == 0:
            return np.nan
        if above[0] == 0:
            return 0.0
        low, high = above[0] - 1, above[0]
        part = -values[low] / (values[high] - values[low])
        return float(delay[low] + part * (delay[high] - delay[low]))

    found = xr.apply_ufunc(first, lead, input_core_dims=[["delay"]], vectorize=True)
    return labelled(found, name, "s")


EXPLAINED = {
    "old at once (%)": "answers with the old value of a re-used key, directly after the new one was stored",
    "old after * (%)": "the same after a delay without input",
    "comes back (s)": "delay from which on the old value is answered",
    "in theory (s)": "the same from the kernel: where κ of the new value falls below Σ κ of the old one",
    "right at ρ = * (%)": "right answers with keys of this similarity",
    "* before (%)": "right answers with so many unrelated pairs stored before",
    "* after (%)": "right answers with so many unrelated pairs stored after",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Above: how often the old value of a re-used key is answered, against the delay after the new "
        "value (left), and right answers against the similarity of keys (right). Below: right answers "
        "against the number of pairs stored before (left) and after (right). Dashed: delta rule."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each memory."""
    rows = []
    percent = partial(formatted, form=".1f", scale=100)
    last = {"delay": -1, "correlation": -1, "distractors": -1}
    for memory in result.memory.values:
        at = result.sel(memory=memory)
        end = at.isel(last)
        rows.append(
            {
                "memory": memory,
                "old at once (%)": percent(at.answers_old.isel(delay=0)),
                f"old after {int(end.delay)} s (%)": percent(end.answers_old),
                "comes back (s)": formatted(at.crossing, ".1f", missing="never"),
                "in theory (s)": formatted(at.expected_crossing, ".1f", missing="never"),
                f"right at ρ = {float(end.correlation):g} (%)": percent(end.similar_right),
                f"{int(end.distractors)} before (%)": percent(end.proactive_right),
                f"{int(end.distractors)} after (%)": percent(end.retroactive_right),
            }
        )
    return rows


def plot(result: xr.Dataset) -> Figure:
    """Old values over the delay; right answers against similarity, and against pairs before and after."""
    made, axes = figure(2, 2, width="double", aspect=0.7)
    (reuse, similar), (before, after) = axes
    for memory in result.memory.values:
        at = result.sel(memory=memory)
        name = str(memory)
        style = {"color": COLOURS[COLOUR_OF[name.removeprefix("delta, ")]], "ms": 3}
        style |= {"ls": "--", "marker": "s"} if name.startswith("delta") else {"ls": "-", "marker": "o"}
        reuse.plot(at.delay, at.answers_old, label=name, **style)
        similar.plot(at.correlation, at.similar_right, **style)
        before.plot(at.distractors, at.proactive_right, **style)
        after.plot(at.distractors, at.retroactive_right, **style)
    reuse.set(xlabel="delay after the new value (s)", ylabel="old value answered", xscale="symlog")
    similar.set(xlabel="correlation ρ of the keys", ylabel="right answers")
    before.set(xlabel="pairs stored before", ylabel="right answers", xscale="symlog")
    after.set(xlabel="pairs stored after", ylabel="right answers", xscale="symlog")
    for panel in (reuse, similar, before, after):
        panel.set_ylim(-0.03, 1.03)
    made.legend(*reuse.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return made
