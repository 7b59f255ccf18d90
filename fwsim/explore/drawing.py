"""Drawing of the views: figures, marks, images and colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper, Span
from bokeh.palettes import Cividis256, RdBu11, interp_palette
from bokeh.plotting import figure

MOST = 256  # largest number of rows or columns of an image
NARROWEST = 300  # width of a view in pixels below which views stand one below the other, as on a phone
FLOWING = {"flex-wrap": "wrap"}
"""Style of rows whose parts stand one below the other where there is little room."""
TEMPLATE = """
{% block preamble %}<meta name="viewport" content="width=device-width, initial-scale=1">{% endblock %}
"""
"""Phones show a page without this line as if they were 980 pixels wide."""
SIGNED = interp_palette(RdBu11, 255)
PRESENT = "#D55E00"
LINE = "#0072B2"


def smaller(values: np.ndarray) -> np.ndarray:
    """Rows averaged in groups, so that at most `MOST` remain."""
    group = -(-len(values) // MOST)
    if group == 1:
        return values
    starts = np.arange(0, len(values), group)
    sizes = np.minimum(group, len(values) - starts)
    return np.add.reduceat(values, starts, axis=0) / sizes[:, None]


def plot_of(title: str, x: str, y: str, height: int, name: str) -> figure:
    """Empty plot with labelled axes."""
    tools = "tap,box_zoom,wheel_zoom,pan,reset,save"
    return figure(
        title=title, x_axis_label=x, y_axis_label=y, height=height, name=name, tools=tools,
        sizing_mode="stretch_width", min_width=NARROWEST, output_backend="canvas",
    )  # fmt: skip


def cross(plot: figure) -> tuple[Span, Span]:
    """Marks of the present time and of the chosen row."""
    now = Span(dimension="height", line_color=PRESENT, line_width=1.5)
    row = Span(dimension="width", line_color=PRESENT, line_width=1, line_dash="dotted")
    plot.add_layout(now)
    plot.add_layout(row)
    return now, row


@dataclass(frozen=True, eq=False)
class Picture:
    """An image on a plot, with the colours of its values."""

    source: ColumnDataSource
    mapper: LinearColorMapper
    signed: bool

    @classmethod
    def on(cls, plot: figure, *, unit: str = "1", signed: bool = False) -> Picture:
        """Empty image with its colour bar; for signed values colours are symmetric about 0."""
        mapper = LinearColorMapper(SIGNED if signed else Cividis256)
        source = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        plot.image("image", source=source, color_mapper=mapper)
        bar = (
            ColorBar(color_mapper=mapper, width=10)
            if unit == "1"
            else ColorBar(color_mapper=mapper, width=10, title=unit)
        )
        plot.add_layout(bar, "right")
        return cls(source, mapper, signed)

    def show(self, values: np.ndarray, x: float, y: float, width: float, height: float) -> None:
        """Show values `[row, column]` over a rectangle of the plot, whose lower left corner is given."""
        good = values[np.isfinite(values)]
        low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 1.0)
        if self.signed:
            high = max(abs(low), abs(high))
            low = -high
        self.mapper.update(low=low, high=high if high > low else low + 1.0)
        self.source.data = {
            "image": [values.astype(np.float32)],
            "x": [x],
            "y": [y],
            "dw": [width],
            "dh": [height],
        }

    def clear(self) -> None:
        """Show nothing."""
        self.source.data = {name: [] for name in self.source.data}


def edges(times: np.ndarray, start: int, stop: int) -> tuple[float, float]:
    """Times in s that enclose samples `start` to `stop`, each of which is at the end of its step."""
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    return float(times[start]) - step, float(times[stop - 1])


def arrow_data(flow: np.ndarray | None, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Every second displacement of a flow `[y, x, 2]`, at the scale of the grid."""
    if flow is None:
        return {name: np.empty(0) for name in ("x", "y", "to_x", "to_y")}
    at = np.stack(np.meshgrid(x, y), -1)[::2, ::2].reshape(-1, 2)
    moved = flow[::2, ::2].reshape(-1, 2)
    cell = 2 * min(x[1] - x[0], y[1] - y[0])
    moved = moved * cell / max(np.quantile(np.linalg.norm(moved, axis=1), 0.9), 1e-300)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    to = at + moved * np.minimum(1.0, cell / np.maximum(length, 1e-300))
    return {"x": at[:, 0], "y": at[:, 1], "to_x": to[:, 0], "to_y": to[:, 1]}
