"""Display of a recording in a notebook: `run.fwsim`, beside xarray's display of `run`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from fwsim import notebook

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES, SPIKES = 400, 5000  # that the figure reads at most
ACTIVITY = ("hidden", "rate", "potential")


@xr.register_dataset_accessor("fwsim")
class Recording:
    """Contents of the recording: network, sizes and units, with a figure of its beginning."""

    def __init__(self, run: xr.Dataset) -> None:
        self._run = run

    def _repr_html_(self) -> str:
        run = self._run
        configuration = configured(run)
        variables = [
            (name, ", ".join(f"{dim} {size}" for dim, size in v.sizes.items()), v.attrs.get("units", ""),
             v.attrs.get("long_name", ""))
            for name, v in run.variables.items()
            if v.dims != (name,) and not str(name).startswith("final_")
        ]  # fmt: skip
        facts = ("steps", "valid_steps", "dt", "seed", "device", "dtype", "wall_time")
        units = {"dt": "s", "wall_time": "s"}
        rows = [(name, run.attrs[name], units.get(name, "")) for name in facts if name in run.attrs]
        plain = [
            (name, value if isinstance(value, str) else json.dumps(value))
            for name, value in configuration.items()
        ]
        panels = [draw for draw in (activity(run), spikes(run), memory(run)) if draw is not None]
        return notebook.card(
            self,
            notebook.table(("variable", "dimensions", "unit", "meaning"), variables),
            notebook.table(("", "value", "unit"), rows),
            notebook.panels(*panels) if panels else "",
            notebook.details("configuration", notebook.table(("", "value"), plain)) if plain else "",
        )


def configured(run: xr.Dataset) -> dict[str, Any]:
    """The configuration of the run, from its attribute; empty if that is no JSON object."""
    try:
        found = json.loads(run.attrs.get("configuration", "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def activity(run: xr.Dataset) -> notebook.Panel | None:
    """First samples of the units' activity."""
    name = next((name for name in ACTIVITY if name in run and "unit" in run[name].dims), None)
    if name is None:
        return None
    values = first(run[name], "unit")
    time = next((str(dim) for dim in values.dims if dim != "unit"), None)
    if time is None:
        return None
    label = f"{values.attrs.get('long_name', name)} ({values.attrs.get('units', '1')})"
    values = values.transpose("unit", time).load()
    seconds = values[time].values if time in values.coords else None

    def draw(axes: Axes) -> None:
        matrix = np.asarray(values, float)
        signed = bool((matrix < 0).any())
        top = float(np.nanmax(np.abs(matrix), initial=0.0)) or 1.0
        span = (0.0, float(len(matrix[0]))) if seconds is None else edges(seconds)
        image = axes.imshow(
            matrix, aspect="auto", origin="lower", extent=(*span, -0.5, len(matrix) - 0.5),
            cmap="RdBu_r" if signed else "cividis", vmin=-top if signed else 0.0, vmax=top,
        )  # fmt: skip
        axes.figure.colorbar(image, ax=axes)
        axes.set(title=label, xlabel="sample" if seconds is None else "time (s)")
        name_units(axes, values)

    return draw


def edges(times: np.ndarray) -> tuple[float, float]:
    """Times in s that enclose samples, each of which is at the end of its step."""
    if not len(times):
        return 0.0, 1.0
    step = float(times[1] - times[0]) if len(times) > 1 else float(times[0]) or 1.0
    return float(times[0]) - step, float(times[-1])


def name_units(axes: Axes, units: xr.DataArray | xr.Dataset) -> None:
    """Names of populations beside the middle of their units, or the axis of units."""
    if "population" not in units.coords:
        axes.set(ylabel="unit")
        return
    names = np.atleast_1d(units["population"].values).astype(str)
    shown = dict.fromkeys(names)
    axes.set_yticks([float(np.flatnonzero(names == name).mean()) for name in shown], list(shown))
    axes.set(ylabel="population")


def spikes(run: xr.Dataset) -> notebook.Panel | None:
    """First spikes of the first trial."""
    if "spike_time" not in run or "spike_unit" not in run:
        return None
    begin = run[["spike_time", "spike_unit", *(["spike_trial"] if "spike_trial" in run else [])]]
    begin = begin.isel(spike=slice(SPIKES)).load()
    kept = begin.isel(spike=(begin["spike_trial"] == 0).values) if "spike_trial" in begin else begin

    def draw(axes: Axes) -> None:
        axes.plot(kept["spike_time"], kept["spike_unit"], ",", color="black")
        axes.set(title="spikes, trial 0", xlabel="time (s)")
        name_units(axes, run)

    return draw


def memory(run: xr.Dataset) -> notebook.Panel | None:
    """The last memory matrix of the first trial."""
    name = next((name for name in ("memory", "final_memory") if name in run), None)
    if name is None or run[name].size == 0:
        return None
    values = run[name].isel({dim: -1 for dim in run[name].dims if str(dim).endswith("time")})
    values = values.sum("timescale") if "timescale" in values.dims else values
    others = {dim: 0 for dim in values.dims if dim not in ("post", "pre")}
    return notebook.heat(values.isel(others).values, "last memory, trial 0", "pre", "post")


def first(values: xr.DataArray, kept: str) -> xr.DataArray:
    """First samples along time, and index 0 of every other dimension except `kept`."""
    time = next((dim for dim in values.dims if str(dim).endswith("time")), None)
    others: dict = {dim: 0 for dim in values.dims if dim not in (kept, time)}
    return values.isel(others | ({time: slice(SAMPLES)} if time is not None else {}))
