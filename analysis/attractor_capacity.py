"""How many learnt items does a memory hold as attractors, and how long does an attractor outlive its item?

For runs and sweeps of `attractor_memory`: `fwsim analyse RUN --analysis attractor_capacity`. An item is what a trained
network wrote for one pair: the states of its letter and of its digit. Memories of any load are made of items from
test sequences, written one after the other with the network's own decay and strength, and the inner loop goes on
without input from every digit's state. An item is kept if the loop ends at an answer of its own digit, and nearer to
its own state than to that of any other item (cosines after the mean of all states is subtracted). The capacity is the
mean number of kept items at the load at which it is largest. At the largest load, the share that is kept by age says
for how many later items an attractor lasts.

In another search nothing is written any more, and a memory with as many items as in training only decays. Layer
normalisation divides by the size of the field, so that attractors stay until the field is as small as its ε. The time
until half of them are lost is measured in time constants, the slowest one if there are several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import layer_norm, normalize

from fwsim.engine.cell import EPSILON
from fwsim.errors import RecordingError
from fwsim.recording import labelled_dataset
from fwsim.study import COLOURS, configuration, each_point, figure, formatted, mean_interval

SETTINGS = (
    "schedule", "most", "after", "units", "pairs", "tau", "eta", "embedding", "epochs", "training_sequences",
    "learning_rate", "weight_decay",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
SHOWN = ("pairs", "units", "tau", "eta")
"""Settings by which networks are told apart."""
LOADS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Items in a memory."""
MEMORIES = 50
"""Memories of each load."""
ITERATIONS = 300
WAITS = tuple(float(wait) for wait in range(25))
"""Times without writing, in time constants."""


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """What every network of a run or of a sweep keeps, `[network, ...]`, with its settings."""
    dims = [dim for dim in SWEPT if dim in recording.dims]
    settings = configuration(recording)

    def point(one: xr.Dataset) -> xr.Dataset:
        return network(one, settings | {name: one[name].values for name in SHOWN if name in one.coords})

    result = each_point(recording, dims, point)
    result = result.drop_vars([name for name in SWEPT if name in result.coords])
    return result.stack(network=dims, create_index=False) if dims else result.expand_dims("network")


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Networks of several runs or sweeps, one after the other."""
    return xr.concat([analyse(each) for each in recordings], "network", combine_attrs="drop")


@dataclass(frozen=True, eq=False)
class Items:
    """What a trained network wrote, and how its loop and its answers are made.

    `written [item, 2, unit]` has the states of letter and digit, `digit [item]`; `centre [unit]` is the mean of all
    states; `tau` and `eta` are those of the memory, with 1 s a write.
    """

    written: Tensor
    digit: Tensor
    centre: Tensor
    tau: np.ndarray
    eta: np.ndarray
    parameters: dict[str, Tensor]

    @classmethod
    def of(cls, one: xr.Dataset, tau: np.ndarray, eta: np.ndarray) -> Items:
        """Those of one network's recording."""
        past = tensor(one["past"])
        written = past[:, : 2 * one.sizes["stored"]].unflatten(1, (-1, 2)).flatten(0, 1)
        names = ("gain", "bias", "readout_in", "readout_bias", "class_in", "class_bias")
        digit = torch.as_tensor(one["digits"].values.astype(int)).flatten()
        return cls(written, digit, past.mean((0, 1)), tau, eta, {name: tensor(one[name]) for name in names})

    def kept(self, drawn: Tensor, wait: float = 0.0) -> Tensor:
        """Which of the items `drawn [memory, item]`, written in this order, are attractors after a time, alike."""
        stored = self.written[drawn]
        writes = stored.flatten(1, 2)
        age = np.arange(writes.shape[1])[::-1] + wait
        strength = (self.eta * np.exp(-age[:, None] / self.tau)).sum(-1)
        matrix = torch.einsum("w,mwi,mwj->mij", torch.as_tensor(strength), writes, writes)
        state, gain, bias = stored[:, :, 1], self.parameters["gain"], self.parameters["bias"]
        for _ in range(ITERATIONS):
            state = torch.relu(layer_norm(state @ matrix, gain.shape, gain, bias, EPSILON))
        ends, targets = (normalize(each - self.centre, dim=-1) for each in (state, stored[:, :, 1]))
        nearest = (ends @ targets.mT).argmax(-1) == torch.arange(drawn.shape[1])
        return nearest & (self.answer(state) == self.digit[drawn])

    def answer(self, states: Tensor) -> Tensor:
        """Digits that the readout makes of states `[..., unit]`."""
        of = self.parameters
        layer = torch.relu(states @ of["readout_in"].T + of["readout_bias"])
        return (layer @ of["class_in"].T + of["class_bias"]).argmax(-1)


def network(one: xr.Dataset, settings: dict) -> xr.Dataset:
    """Numbers of one network; time constants and strengths as text, since there may be several."""
    tau, eta = (np.atleast_1d(np.asarray(settings[name], float)) for name in ("tau", "eta"))
    items, generator = Items.of(one, tau, eta), torch.Generator().manual_seed(0)
    if len(items.digit) < max(LOADS):
        least = -(-max(LOADS) // one.sizes["stored"])
        raise RecordingError(
            f"the recording has {len(items.digit)} items, and memories have up to {max(LOADS)}; run attractor_memory "
            f"with --recorded {least} or more"
        )
    kept = {}
    for load in LOADS:
        order = [torch.randperm(len(items.digit), generator=generator)[:load] for _ in range(MEMORIES)]
        kept[load] = items.kept(torch.stack(order)).double()
    pairs = one.sizes["stored"]
    own = torch.arange(len(items.digit)).view(-1, pairs)[:MEMORIES]  # the items of a sequence
    fresh = items.kept(own)
    left = [float((fresh & items.kept(own, wait * tau.max())).sum()) for wait in WAITS]
    values = {
        "kept": ("load", [float(each.sum(1).mean()) for each in kept.values()], "1", "items kept"),
        "by_age": ("age", kept[max(LOADS)].mean(0).flip(0).numpy(), "1", f"share kept of {max(LOADS)} items"),
        "left": ("wait", np.array(left) / max(1.0, float(fresh.sum())), "1", "share of attractors left"),
        "error": ("iteration", one["error"].sel(iteration=[1, 64]).values, "%", "wrong answers"),
    }
    coords = {
        "load": ("load", list(LOADS), {"units": "1", "long_name": "items in the memory"}),
        "age": ("age", np.arange(max(LOADS)), {"units": "1", "long_name": "later items"}),
        "wait": ("wait", list(WAITS), {"units": "1", "long_name": "time without writing / τ"}),
        "iteration": ("iteration", [1, 64], {"units": "1", "long_name": "inner iterations"}),
    }
    text = {name: ", ".join(f"{v:g}" for v in values) for name, values in (("tau", tau), ("eta", eta))}
    return labelled_dataset(values, coords).assign(pairs=pairs, units=one.sizes["unit"], **text)


def tensor(values: xr.DataArray) -> Tensor:
    """Recorded values in double precision."""
    return torch.as_tensor(values.values, dtype=torch.float64)


def settings_of(result: xr.Dataset) -> Iterator[tuple[dict[str, object], xr.Dataset]]:
    """Every setting and its networks, in the order in which they come."""
    names = list(zip(*(result[name].values.tolist() for name in SHOWN), strict=True))
    for values in dict.fromkeys(names):
        yield dict(zip(SHOWN, values, strict=True)), result.isel(network=[each == values for each in names])


def half_time(left: xr.DataArray) -> xr.DataArray:
    """First time at which half of the attractors are lost, `[network]`; NaN if it is later than all."""
    lost = left < 0.5
    return left["wait"].isel(wait=lost.argmax("wait")).where(lost.any("wait"))


EXPLAINED = {
    "tau": "time constants of the memory, in writes",
    "error after * (%)": "wrong answers after so many iterations, with the 95 % interval over networks",
    "capacity": "mean number of items kept at the load at which it is largest",
    "at load": "this load, that of the mean over networks",
    "kept of *": "items kept of so many that were written one after the other",
    "lasts (τ)": "time without writing until half of the attractors are lost, in the slowest time constant",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "capacity": (
        "Items kept as attractors against the items in a memory, for networks trained with other numbers of pairs, "
        "units, time constants and strengths. Lines: means over networks; bands: their range; dashed: all are kept."
    ),
    "lifetime": (
        "Share of items that are still attractors. Left: against the number of items written later. Right: against "
        "the time without writing."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting: errors, and what memories keep."""
    rows = []
    for values, at in settings_of(result):
        best = at["kept"].mean("network").idxmax("load")
        row: dict[str, object] = {**values, "networks": at.sizes["network"]}
        for count in (1, 64):
            row[f"error after {count} (%)"] = formatted(mean_interval(at["error"].sel(iteration=count)))
        row["capacity"] = formatted(mean_interval(at["kept"].max("load")))
        row["at load"] = int(best)
        row[f"kept of {max(LOADS)}"] = formatted(mean_interval(at["kept"].sel(load=max(LOADS))))
        row["lasts (τ)"] = formatted(mean_interval(half_time(at["left"])), ".1f", missing=f"> {WAITS[-1]:g}")
        rows.append(row)
    return rows


TITLES = {
    "pairs": "pairs in training",
    "units": "units",
    "tau": "time constants (writes)",
    "eta": "strength of a write",
}


def panels(result: xr.Dataset) -> list[tuple[str, list[tuple[str, xr.Dataset]]]]:
    """Settings that differ in one field from the commonest ones, by this field; all together if nothing differs."""
    settings = list(settings_of(result))
    common = {name: max(of := [values[name] for values, _ in settings], key=of.count) for name in SHOWN}
    found = []
    for name in SHOWN:
        rows = [(str(values[name]), at) for values, at in settings if _only(name, values, common)]
        if len(rows) > 1:
            found.append((name, sorted(rows, key=lambda row: [float(each) for each in row[0].split(",")])))
    return found or [("units", [(str(values["units"]), at) for values, at in settings])]


def _only(name: str, values: dict[str, object], common: dict[str, object]) -> bool:
    """Whether nothing else differs; several time constants share the strength of one."""
    several = name == "tau" and "," in str(values["tau"])
    others = [other for other in SHOWN if other != name and not (several and other == "eta")]
    return all(values[other] == common[other] for other in others)


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw what is kept by load, by age and by time."""
    return {"capacity": plot_capacity(result), "lifetime": plot_lifetime(result)}


def plot_capacity(result: xr.Dataset) -> Figure:
    """Items kept against items in the memory, a panel for each setting that was varied."""
    shown = panels(result)
    rows = -(-len(shown) // 2)
    made, axes = figure(rows, min(2, len(shown)), width="double", aspect=0.75, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, (name, lines) in zip(axes.flat, shown, strict=False):
        axis.plot(LOADS, LOADS, color=COLOURS["black"], lw=0.7, ls="--")
        draw(axis, lines, "kept", "load")
        axis.set(xlabel="items in the memory", ylabel="items kept", ylim=(0, None))
        axis.legend(title=TITLES[name], ncols=2)
    return made


def plot_lifetime(result: xr.Dataset) -> Figure:
    """What is kept by the number of later items, and by time without writing, for the time constants."""
    made, (first, second) = figure(1, 2, width="double", aspect=0.8)
    shown = dict(panels(result))
    lines = shown.get("tau") or next(iter(shown.values()))
    draw(first, lines, "by_age", "age")
    draw(second, lines, "left", "wait")
    first.set(xlabel="items written later", ylabel="share kept", ylim=(0, 1.05))
    second.set(xlabel="time without writing / slowest τ", ylabel="share of attractors left", ylim=(0, 1.05))
    second.legend(title=TITLES["tau"] if "tau" in shown else None)
    return made


def draw(axis: Axes, lines: list[tuple[str, xr.Dataset]], name: str, dim: str) -> None:
    """Means and ranges over networks."""
    for (label, at), colour in zip(lines, cycle(COLOURS.values()), strict=False):
        values = at[name].transpose("network", dim)
        axis.fill_between(
            values[dim], values.min("network"), values.max("network"), color=colour, alpha=0.15, lw=0
        )
        axis.plot(values[dim], values.mean("network"), "o-", ms=2.5, color=colour, label=label)
