"""The page of a recording without activity of units: any of its variables, as curves or as single values."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np
import xarray as xr
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, Div, Range1d, Select, Spinner
from bokeh.palettes import Cividis256

from fwsim.explore.drawing import FLOWING, TEMPLATE, plot_of
from fwsim.notebook import table
from fwsim.study import COLOURS

MOST = 12  # curves
OWN = "its mean"
"""Choice of the second axis that averages over all dimensions but the first."""


def build(document: Document, run: xr.Dataset, title: str) -> None:
    """Fill a document with a page of curves: choose the variable, the axis, and what distinguishes the curves."""
    names = curves(run)
    variable = Select(
        title="variable", value=names[0] if names else "", options=names, width=220, name="variable"
    )
    along = Select(title="against", width=160, name="along")
    by = Select(title="one curve for each", width=160, name="by")
    entries = row(name="entries", styles=FLOWING)
    lines = ColumnDataSource({"x": [], "y": [], "colour": [], "label": []})
    plot = plot_of("", "", "", 420, "curves")
    plot.multi_line("x", "y", line_color="colour", source=lines, line_width=1.5, legend_field="label")
    plot.x_range, plot.y_range = Range1d(0.0, 1.0), Range1d(0.0, 1.0)
    legend = plot.legend[0]
    legend.update(orientation="horizontal", ncols=4)
    plot.add_layout(legend, "below")
    values = Div(text=single_values(run), name="values")
    plot.visible = bool(names)

    def choose_variable() -> None:
        dims = [str(dim) for dim, size in run[variable.value].sizes.items() if size > 1]
        along.update(options=dims, value=dims[-1])
        choose_axis()

    def choose_axis() -> None:
        others = [dim for dim in along.options if dim != along.value]
        by.update(options=[OWN, *others], value=others[0] if others else OWN)
        choose_curves()

    def choose_curves() -> None:
        left = [dim for dim in along.options if dim not in (along.value, by.value)] if by.value != OWN else []
        entries.children = [_entry(run, dim, draw) for dim in left]
        draw()

    def draw() -> None:
        at = {control.name: int(control.value or 0) for control in entries.children}
        drawn = lines_of(run[variable.value].isel(at), along.value, None if by.value == OWN else by.value)
        lines.data = drawn
        found = run[variable.value]
        unit = found.attrs.get("units", "1")
        meaning = str(found.attrs.get("long_name", variable.value))
        plot.title.text = meaning
        legend.title = "" if by.value == OWN else _counted(run, by.value)
        plot.xaxis.axis_label = _named(run, along.value)
        plot.yaxis.axis_label = f"{variable.value}{'' if unit == '1' else f' ({unit})'}"
        for axis, data in ((plot.x_range, drawn["x"]), (plot.y_range, drawn["y"])):
            axis.update(**dict(zip(("start", "end"), span(data))))

    if names:
        variable.on_change("value", lambda attr, old, new: choose_variable())
        along.on_change("value", lambda attr, old, new: choose_axis())
        by.on_change("value", lambda attr, old, new: choose_curves())
        choose_variable()
    head = Div(
        text=f"<b>{escape(title)}</b>", styles={"font-size": "120%"}, margin=(22, 20, 0, 10), name="head"
    )
    top = row(head, *((variable, along, by) if names else ()), sizing_mode="stretch_width", styles=FLOWING)
    document.add_root(column(top, entries, plot, values, sizing_mode="stretch_width", name="page"))
    document.title, document.template = f"fwsim: {title}", TEMPLATE


def curves(run: xr.Dataset) -> list[str]:
    """Names of the numeric variables with a dimension of two or more values; the largest first."""
    found = [
        str(name) for name, values in run.data_vars.items()
        if values.dtype.kind in "biuf" and max(values.shape, default=0) > 1 and not str(name).startswith("final_")
    ]  # fmt: skip
    return sorted(found, key=lambda name: -run[name].size)


def lines_of(values: xr.DataArray, along: str, by: str | None) -> dict[str, list]:
    """Curves of a variable along a dimension, at most `MOST` of those along another; the rest is averaged."""
    places = [None] if by is None else shown(values.sizes[by])
    if by is not None:  # before anything is read
        values = values.isel({by: places})
    averaged = [dim for dim in values.dims if dim not in (along, by)]
    values = values.astype(float).mean(averaged)
    x = _positions(values, along)
    shades = [
        Cividis256[k] for k in np.linspace(0, 220, len(places)).astype(int)
    ]  # later yellows are too pale
    colours = list(COLOURS.values()) if len(places) <= len(COLOURS) else shades
    drawn: dict[str, list] = {"x": [], "y": [], "colour": [], "label": []}
    for number, (place, colour) in enumerate(zip(places, colours, strict=False)):
        one = values if place is None else values.isel({by: number})
        drawn["x"].append(x)
        drawn["y"].append(np.asarray(one.load(), float))
        drawn["colour"].append(colour)
        drawn["label"].append("mean" if place is None else _text(values, str(by), number, int(place)))
    return drawn


def shown(size: int) -> np.ndarray:
    """Indices of the curves that are drawn, of so many: all, or `MOST` from the first to the last."""
    return np.unique(np.linspace(0, size - 1, MOST).astype(int))


def single_values(run: xr.Dataset) -> str:
    """Table of the variables that are single numbers or texts."""
    rows = [
        (
            str(name),
            values.values.reshape(-1)[0],
            values.attrs.get("units", ""),
            values.attrs.get("long_name", ""),
        )
        for name, values in run.data_vars.items()
        if values.size == 1
    ]
    return table(("variable", "value", "unit", "meaning"), rows) if rows else ""


def span(data: list[np.ndarray]) -> tuple[float, float]:
    """Range that contains all finite values, with some room."""
    every = np.concatenate(data)
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    room = 0.03 * (high - low) or 0.5
    return low - room, high + room


def _positions(values: xr.DataArray, dim: str) -> np.ndarray:
    """The coordinate of a dimension if it is numeric, otherwise indices."""
    numeric = dim in values.coords and values[dim].dtype.kind in "iuf"
    return np.asarray(values[dim].values, float) if numeric else np.arange(float(values.sizes[dim]))


def _named(run: xr.Dataset, dim: str) -> str:
    unit = run[dim].attrs.get("units", "1") if dim in run.coords else "1"
    return dim if unit == "1" else f"{dim} ({unit})"


def _counted(run: xr.Dataset, dim: str) -> str:
    """Name of the dimension along which curves differ, and how many of them are drawn if these are not all."""
    size, drawn = run.sizes[dim], len(shown(run.sizes[dim]))
    return _named(run, dim) if drawn == size else f"{_named(run, dim)}: {drawn} of {size}"


def _text(values: xr.DataArray, dim: str, number: int, place: int) -> str:
    value = values[dim].values[number] if dim in values.coords else place
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _entry(run: xr.Dataset, dim: str, draw: Callable[[], None]) -> Spinner:
    """Control that chooses an index of a further dimension."""
    control = Spinner(
        title=f"{dim} (0 … {run.sizes[dim] - 1})",
        value=0,
        low=0,
        high=run.sizes[dim] - 1,
        width=130,
        name=dim,
    )
    control.on_change("value", lambda attr, old, new: draw())
    return control
