"""The linked views: each is a figure and a function that shows a moment in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper, Range1d, Span
from bokeh.palettes import Cividis256, RdBu11, interp_palette
from bokeh.plotting import figure

from fwsim.explore.landscape import Plane, inner_states, landscape
from fwsim.explore.memory import attention, has_memory, memory_matrix
from fwsim.explore.scene import Scene
from fwsim.explore.spikes import SHOWN, Spikes

MOST = 256  # rows or columns of an image that is sent to the page
LARGEST = 512  # units of a matrix whose spectrum is computed
SIGNED = interp_palette(RdBu11, 255)
PRESENT = "#D55E00"
LINE = "#0072B2"
SYNAPTIC = ("u", "x", "release")


@dataclass(frozen=True)
class Moment:
    """What is looked at.

    Parameters
    ----------
    index
        Number of the sample, or bin.
    inner
        Iteration of the inner loop.
    unit
        Number of the unit.
    width
        Samples that the activity view shows at once.
    """

    index: int
    inner: int
    unit: int
    width: int

    def page(self, length: int) -> tuple[int, int]:
        """First and last sample of the stretch of `width` samples that this one lies in."""
        start = self.index // self.width * self.width
        return start, min(start + self.width, length)


@dataclass(frozen=True, eq=False)
class View:
    """A figure, and what shows a moment in it."""

    figure: figure
    show: Callable[[Moment], None]


def overview(scene: Scene) -> View:
    """The whole recording, in as many samples as are cheap to read, with the moment marked."""
    activity = scene.activity
    times, mean = activity.overview()
    plot = figure(
        height=150, sizing_mode="stretch_width", tools="tap,xwheel_zoom,xpan,reset", x_axis_label="time (s)",
        y_axis_label=f"mean ({activity.unit})", title=f"{activity.label}, whole recording; click to go there",
        name="overview",
    )  # fmt: skip
    plot.line(times, mean, color=LINE)
    plot.x_range = Range1d(0.0, float(activity.times[-1]))
    plot.yaxis.ticker.desired_num_ticks = 3
    now = Span(dimension="height", line_color=PRESENT, line_width=2)
    plot.add_layout(now)

    def show(moment: Moment) -> None:
        now.location = float(activity.times[moment.index])

    return View(plot, show)


def activity_view(scene: Scene) -> View:
    """States or spikes of all units in the stretch around the moment."""
    activity = scene.activity
    raster = isinstance(activity, Spikes)
    plot = _plot(f"{activity.label} of all units", "time (s)", "unit", height=260, name="activity")
    mapper = LinearColorMapper(Cividis256)
    image = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
    dots = ColumnDataSource({"time": [], "unit": []})
    if raster:
        plot.scatter("time", "unit", size=2, source=dots, color="black", line_color=None)
    else:
        plot.image("image", source=image, color_mapper=mapper)
        named = {} if activity.unit == "1" else {"title": activity.unit}
        plot.add_layout(ColorBar(color_mapper=mapper, width=10, **named), "right")
    now, row = _cross(plot)
    plot.x_range, plot.y_range = Range1d(0.0, 1.0), Range1d(-0.5, activity.units - 0.5)

    @lru_cache(maxsize=1)
    def fill(start: int, stop: int) -> None:
        begin, end = _edges(activity.times, start, stop)
        plot.x_range.update(start=begin, end=end)
        if isinstance(activity, Spikes):
            time, unit = activity.events(start, stop)
            few = slice(None, None, max(1, -(-len(time) // SHOWN)))
            dots.data = {"time": time[few], "unit": unit[few]}
            part = "" if few.step == 1 else f", every {few.step}th"
            plot.title.text = f"spikes of all units{part}"
            return
        values = smaller(activity.window(start, stop).T)
        _colour(mapper, values)
        image.data = _image(values, begin, -0.5, end - begin, activity.units)

    def show(moment: Moment) -> None:
        fill(*moment.page(len(activity.times)))
        now.location, row.location = float(activity.times[moment.index]), moment.unit

    return View(plot, show)


def unit_view(scene: Scene) -> View:
    """The chosen unit in the stretch around the moment, with its synapses where they were recorded."""
    activity = scene.activity
    plot = _plot("unit", "time (s)", f"{activity.label} ({activity.unit})", height=260, name="unit_view")
    source = ColumnDataSource({"time": [], "value": []})
    plot.line("time", "value", source=source, color=LINE)
    now, _ = _cross(plot)

    @lru_cache(maxsize=4)
    def window(start: int, stop: int) -> np.ndarray:
        return activity.window(start, stop)

    def show(moment: Moment) -> None:
        start, stop = moment.page(len(activity.times))
        source.data = {"time": activity.times[start:stop], "value": window(start, stop)[:, moment.unit]}
        value = window(start, stop)[moment.index - start, moment.unit]
        plot.title.text = (
            f"unit {moment.unit}: {value:.4g}{'' if activity.unit == '1' else ' ' + activity.unit}"
        )
        now.location = float(activity.times[moment.index])

    return View(plot, show)


def attention_view(scene: Scene) -> View:
    """What each inner iteration attends to; of networks without attention, what the present resembles."""
    if attention(scene, float(scene.activity.times[-1])) is None:
        return _likeness_view(scene)
    plot = _plot("", "past step", "inner iteration", height=300, name="attention")
    mapper = LinearColorMapper(SIGNED)
    image = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
    plot.image("image", source=image, color_mapper=mapper)
    plot.add_layout(ColorBar(color_mapper=mapper, width=10), "right")
    _, row = _cross(plot)

    def show(moment: Moment) -> None:
        found = attention(scene, float(scene.activity.times[moment.index]))
        past, weights = (np.empty(0), np.empty((1, 0))) if found is None else found
        past, weights = past[-MOST:], weights[:, -MOST:]
        row.location = moment.inner
        if not len(past):
            image.data, plot.title.text = {key: [] for key in image.data}, "no past to attend to"
            return
        _colour(mapper, weights, signed=True)
        image.data = _image(weights, past[0] - 0.5, -0.5, len(past), len(weights))
        plot.title.text = f"attention in step {past[-1] + 1}, iteration {moment.inner} marked"

    return View(plot, show)


def _likeness_view(scene: Scene) -> View:
    activity = scene.activity
    plot = _plot(
        "likeness of states (no attention)", "time (s)", "cosine with the present state", 300, "attention"
    )
    source = ColumnDataSource({"time": [], "cosine": []})
    plot.line("time", "cosine", source=source, color=LINE)
    now, _ = _cross(plot)

    def show(moment: Moment) -> None:
        start, stop = moment.page(len(activity.times))
        cosines = likeness(activity.smooth(start, stop), moment.index - start)
        source.data = {"time": activity.times[start:stop], "cosine": cosines}
        now.location = float(activity.times[moment.index])

    return View(plot, show)


def memory_view(scene: Scene) -> View:
    """The memory matrix, or the state of plastic synapses, at the moment."""
    kept = [each for each in SYNAPTIC if each in scene.run and "unit" in scene.run[each].dims]
    if not has_memory(scene):
        return _synapse_view(scene, kept)
    plot = _plot("", "pre", "post", height=300, name="memory")
    mapper = LinearColorMapper(SIGNED)
    image = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
    plot.image("image", source=image, color_mapper=mapper)
    plot.add_layout(ColorBar(color_mapper=mapper, width=10), "right")

    def show(moment: Moment) -> None:
        matrix = memory_matrix(scene, float(scene.activity.times[moment.index]))
        if matrix is None:
            image.data, plot.title.text = {key: [] for key in image.data}, "no memory yet"
            return
        values = smaller(smaller(matrix).T).T
        _colour(mapper, values, signed=True)
        image.data = _image(values, -0.5, -0.5, matrix.shape[1], matrix.shape[0])
        plot.title.text = f"memory matrix A, |A| = {np.linalg.norm(matrix):.3g}"

    return View(plot, show)


def _synapse_view(scene: Scene, kept: list[str]) -> View:
    title = "synapses of every unit" if kept else "no memory or synapses recorded"
    plot = _plot(title, "unit", "u, x, release", height=300, name="memory")
    sources = {name: ColumnDataSource({"unit": [], "value": []}) for name in kept}
    for name, colour in zip(kept, (LINE, PRESENT, "#009E73")):
        plot.scatter("unit", "value", source=sources[name], color=colour, legend_label=name, size=4)

    def show(moment: Moment) -> None:
        for name, source in sources.items():
            values = scene.at(name, float(scene.activity.times[moment.index]))
            if values is not None:
                values = values.isel({dim: 0 for dim in values.dims if dim != "unit"})
                source.data = {"unit": np.arange(values.size), "value": np.asarray(values, float)}

    return View(plot, show)


def spectrum_view(scene: Scene) -> View:
    """Eigenvalues of the memory in the complex plane; without a memory, the variance of states by component."""
    matrices = has_memory(scene)
    axes = ("real part", "imaginary part") if matrices else ("component", "share of the variance")
    plot = _plot(
        "spectrum of the memory" if matrices else "spectrum of the states in this stretch",
        *axes,
        300,
        "spectrum",
    )
    source = ColumnDataSource({"x": [], "y": []})
    plot.scatter("x", "y", source=source, color=LINE, size=5, alpha=0.7)

    def show(moment: Moment) -> None:
        activity = scene.activity
        if not matrices:
            states = activity.smooth(*moment.page(len(activity.times)))
            sizes = np.linalg.svd(states - states.mean(0), compute_uv=False)[:20] ** 2
            source.data = {"x": np.arange(1, len(sizes) + 1), "y": sizes / max(sizes.sum(), 1e-300)}
            return
        matrix = memory_matrix(scene, float(activity.times[moment.index]))
        if matrix is None or len(matrix) > LARGEST:
            plot.title.text = "no memory yet" if matrix is None else f"no spectrum beyond {LARGEST} units"
            source.data = {"x": [], "y": []}
            return
        values = np.linalg.eigvals(np.nan_to_num(matrix))
        source.data = {"x": values.real, "y": values.imag}
        plot.title.text = f"spectrum of the memory: |λ| up to {abs(values).max():.3g}"

    return View(plot, show)


def landscape_view(scene: Scene) -> View:
    """The landscape in two principal components, with the way through it around the moment."""
    activity = scene.activity
    at, states = activity.spread
    plane = Plane.of(states, inner_states(scene, activity.times[at]))
    share = plane.explained
    plot = _plot("", f"component 1 ({share[0]:.0%})", f"component 2 ({share[1]:.0%})", 300, "landscape")
    x, y = plane.grid()
    mapper = LinearColorMapper(Cividis256)
    image = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
    arrows = ColumnDataSource({"x": [], "y": [], "to_x": [], "to_y": []})
    path, inner = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
    here = ColumnDataSource({"x": [], "y": []})
    plot.image("image", source=image, color_mapper=mapper)
    plot.add_layout(ColorBar(color_mapper=mapper, width=10), "right")
    plot.segment("x", "y", "to_x", "to_y", source=arrows, color="white", alpha=0.8)
    plot.line("x", "y", source=path, color="black")
    plot.line("x", "y", source=inner, color=PRESENT, line_width=2)
    plot.scatter("x", "y", source=here, color=PRESENT, line_color="white", size=11)
    plot.x_range, plot.y_range = Range1d(x[0], x[-1]), Range1d(y[0], y[-1])

    def show(moment: Moment) -> None:
        time = float(activity.times[moment.index])
        seen = landscape(scene, plane, time)
        _colour(mapper, seen.height)
        image.data = _image(seen.height, x[0], y[0], x[-1] - x[0], y[-1] - y[0])
        arrows.data = _arrows(seen.flow, x, y)
        plot.title.text = seen.title
        start, stop = moment.page(len(activity.times))
        way = plane.project(activity.smooth(start, stop))
        path.data = {"x": way[:, 0], "y": way[:, 1]}
        loop = inner_states(scene, np.array([time]))
        steps = plane.project(loop) if loop.shape[1] == len(plane.mean) else way[moment.index - start][None]
        inner.data = {"x": steps[:, 0], "y": steps[:, 1]}
        at = steps[min(moment.inner, len(steps) - 1)]
        here.data = {"x": [at[0]], "y": [at[1]]}

    return View(plot, show)


def likeness(states: np.ndarray, index: int) -> np.ndarray:
    """Cosine of each state `[time, unit]` with that of `index`; 0 where there is no activity."""
    size = np.linalg.norm(states, axis=1)
    return (states @ states[index]) / np.maximum(size * size[index], 1e-300)


def smaller(values: np.ndarray) -> np.ndarray:
    """Rows averaged in groups, so that at most `MOST` remain."""
    group = -(-len(values) // MOST)
    if group == 1:
        return values
    starts = np.arange(0, len(values), group)
    sizes = np.minimum(group, len(values) - starts)
    return np.add.reduceat(values, starts, axis=0) / sizes[:, None]


def _plot(title: str, x: str, y: str, height: int, name: str) -> figure:
    tools = "box_zoom,wheel_zoom,pan,reset,save"
    return figure(
        title=title, x_axis_label=x, y_axis_label=y, height=height, name=name, tools=tools,
        sizing_mode="stretch_width", output_backend="canvas",
    )  # fmt: skip


def _cross(plot: figure) -> tuple[Span, Span]:
    """Marks of the moment and of the row that is chosen."""
    now = Span(dimension="height", line_color=PRESENT, line_width=1.5)
    row = Span(dimension="width", line_color=PRESENT, line_width=1, line_dash="dotted")
    plot.add_layout(now)
    plot.add_layout(row)
    return now, row


def _image(values: np.ndarray, x: float, y: float, dw: float, dh: float) -> dict[str, list]:
    return {"image": [values.astype(np.float32)], "x": [x], "y": [y], "dw": [dw], "dh": [dh]}


def _colour(mapper: LinearColorMapper, values: np.ndarray, *, signed: bool = False) -> None:
    good = values[np.isfinite(values)]
    low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 1.0)
    if signed:
        high = max(abs(low), abs(high))
        low = -high
    mapper.update(low=low, high=high if high > low else low + 1.0)


def _edges(times: np.ndarray, start: int, stop: int) -> tuple[float, float]:
    """Times in s between which samples `start` to `stop` lie, each at the end of its step."""
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    return float(times[start]) - step, float(times[stop - 1])


def _arrows(flow: np.ndarray | None, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
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
