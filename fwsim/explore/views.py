"""The linked views: each is a figure, and a function that shows one time in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from bokeh.models import ColumnDataSource, Range1d, Span
from bokeh.plotting import figure

from fwsim.explore.drawing import LINE, MOST, PRESENT, Picture, arrow_data, cross, edges, plot_of, smaller
from fwsim.explore.landscape import Plane, inner_states, landscape
from fwsim.explore.matrix import attention, has_memory, memory_matrix
from fwsim.explore.scene import Scene
from fwsim.explore.spikes import SHOWN, Spikes

LARGEST = 512  # largest number of units for which a spectrum is computed
SYNAPTIC = ("u", "x", "release")


@dataclass(frozen=True)
class Selection:
    """The chosen time, iteration and unit.

    Parameters
    ----------
    index
        Index of the sample or bin.
    inner
        Iteration of the inner loop.
    unit
        Index of the unit.
    width
        Number of samples in the activity view.
    """

    index: int
    inner: int
    unit: int
    width: int

    def page(self, length: int) -> tuple[int, int]:
        """First and last sample of the window of `width` samples that contains this one."""
        start = self.index // self.width * self.width
        return start, min(start + self.width, length)


@dataclass(frozen=True, eq=False)
class View:
    """A figure, the function that shows a time in it, and what a click into it chooses.

    Parameters
    ----------
    figure, show
        The figure; the function of what is chosen.
    axes
        For the axes `"x"` and `"y"` that choose something: `"time"`, `"unit"` or `"inner"`.
    """

    figure: figure
    show: Callable[[Selection], None]
    axes: Mapping[str, str] = field(default_factory=dict)


def overview(scene: Scene) -> View:
    """The whole recording, with as many samples as are cheap to read, and a mark at the present time."""
    activity = scene.activity
    times, mean = activity.overview()
    plot = figure(
        height=150, sizing_mode="stretch_width", tools="tap,xwheel_zoom,xpan,reset", x_axis_label="time (s)",
        y_axis_label=f"mean ({activity.unit})", title=f"{activity.label}, whole recording",
        name="overview",
    )  # fmt: skip
    plot.line(times, mean, color=LINE)
    plot.x_range = Range1d(0.0, float(activity.times[-1]))
    plot.yaxis.ticker.desired_num_ticks = 3
    now = Span(dimension="height", line_color=PRESENT, line_width=2)
    plot.add_layout(now)

    def show(moment: Selection) -> None:
        now.location = float(activity.times[moment.index])

    return View(plot, show, {"x": "time"})


def activity_view(scene: Scene) -> View:
    """States or spikes of all units in the window around the present time."""
    activity = scene.activity
    plot = plot_of(f"{activity.label} of all units", "time (s)", "unit", height=260, name="activity")
    dots = ColumnDataSource({"time": [], "unit": []})
    if isinstance(activity, Spikes):
        plot.scatter("time", "unit", size=2, source=dots, color="black", line_color=None)
    else:
        picture = Picture.on(plot, unit=activity.unit)
    now, row = cross(plot)
    plot.x_range, plot.y_range = Range1d(0.0, 1.0), Range1d(-0.5, activity.units - 0.5)

    @lru_cache(maxsize=1)
    def fill(start: int, stop: int) -> None:
        begin, end = edges(activity.times, start, stop)
        plot.x_range.update(start=begin, end=end)
        if isinstance(activity, Spikes):
            time, unit = activity.events(start, stop)
            few = slice(None, None, max(1, -(-len(time) // SHOWN)))
            dots.data = {"time": time[few], "unit": unit[few]}
            part = "" if few.step == 1 else f", every {few.step}th"
            plot.title.text = f"spikes of all units{part}"
            return
        values = smaller(activity.window(start, stop).T)
        picture.show(values, begin, -0.5, end - begin, activity.units)

    def show(moment: Selection) -> None:
        fill(*moment.page(len(activity.times)))
        now.location, row.location = float(activity.times[moment.index]), moment.unit

    return View(plot, show, {"x": "time", "y": "unit"})


def unit_view(scene: Scene) -> View:
    """The chosen unit in the window around the present time, with its synapses if they were recorded."""
    activity = scene.activity
    plot = plot_of("unit", "time (s)", f"{activity.label} ({activity.unit})", height=260, name="unit_view")
    source = ColumnDataSource({"time": [], "value": []})
    plot.line("time", "value", source=source, color=LINE)
    now, _ = cross(plot)

    @lru_cache(maxsize=4)
    def window(start: int, stop: int) -> np.ndarray:
        return activity.window(start, stop)

    def show(moment: Selection) -> None:
        start, stop = moment.page(len(activity.times))
        source.data = {"time": activity.times[start:stop], "value": window(start, stop)[:, moment.unit]}
        value = window(start, stop)[moment.index - start, moment.unit]
        plot.title.text = (
            f"unit {moment.unit}: {value:.4g}{'' if activity.unit == '1' else ' ' + activity.unit}"
        )
        now.location = float(activity.times[moment.index])

    return View(plot, show, {"x": "time"})


def attention_view(scene: Scene) -> View:
    """Attention of each inner iteration; for networks without attention, similarity of past states with the present."""
    if attention(scene, float(scene.activity.times[-1])) is None:
        return _similarity_view(scene)
    plot = plot_of("", "past step", "inner iteration", height=300, name="attention")
    plot.yaxis.ticker.min_interval = 1
    picture = Picture.on(plot, signed=True)
    _, row = cross(plot)

    def show(moment: Selection) -> None:
        found = attention(scene, float(scene.activity.times[moment.index]))
        past, weights = (np.empty(0), np.empty((1, 0))) if found is None else found
        past, weights = past[-MOST:], weights[:, -MOST:]
        row.location = moment.inner
        if not len(past):
            picture.clear()
            plot.title.text = "no past to attend to"
            return
        picture.show(weights, past[0] - 0.5, -0.5, len(past), len(weights))
        plot.title.text = f"attention in step {past[-1] + 1}, iteration {moment.inner} marked"

    return View(plot, show, {"y": "inner"})


def _similarity_view(scene: Scene) -> View:
    activity = scene.activity
    plot = plot_of(
        "similarity of states (no attention)", "time (s)", "cosine with the present state", 300, "attention"
    )
    source = ColumnDataSource({"time": [], "cosine": []})
    plot.line("time", "cosine", source=source, color=LINE)
    now, _ = cross(plot)

    def show(moment: Selection) -> None:
        start, stop = moment.page(len(activity.times))
        cosines = cosine_similarity(activity.smooth(start, stop), moment.index - start)
        source.data = {"time": activity.times[start:stop], "cosine": cosines}
        now.location = float(activity.times[moment.index])

    return View(plot, show, {"x": "time"})


def memory_view(scene: Scene) -> View:
    """The memory matrix, or the state of plastic synapses, at the present time."""
    kept = [each for each in SYNAPTIC if each in scene.run and "unit" in scene.run[each].dims]
    if not has_memory(scene):
        return _synapse_view(scene, kept)
    plot = plot_of("", "pre", "post", height=300, name="memory")
    picture = Picture.on(plot, signed=True)

    def show(moment: Selection) -> None:
        matrix = memory_matrix(scene, float(scene.activity.times[moment.index]))
        if matrix is None:
            picture.clear()
            plot.title.text = "no memory at this time"
            return
        picture.show(smaller(smaller(matrix).T).T, -0.5, -0.5, matrix.shape[1], matrix.shape[0])
        plot.title.text = f"memory matrix A, |A| = {np.linalg.norm(matrix):.3g}"

    return View(plot, show, {"y": "unit"})


def _synapse_view(scene: Scene, kept: list[str]) -> View:
    title = "synapses of every unit" if kept else "no memory or synapses recorded"
    plot = plot_of(title, "unit", "u, x, release", height=300, name="memory")
    sources = {name: ColumnDataSource({"unit": [], "value": []}) for name in kept}
    for name, colour in zip(kept, (LINE, PRESENT, "#009E73")):
        plot.scatter("unit", "value", source=sources[name], color=colour, legend_label=name, size=4)
    if kept:
        plot.legend.orientation = "horizontal"
        plot.add_layout(plot.legend[0], "above")  # values lie everywhere between 0 and 1

    def show(moment: Selection) -> None:
        for name, source in sources.items():
            values = scene.at(name, float(scene.activity.times[moment.index]))
            if values is not None:
                values = values.isel({dim: 0 for dim in values.dims if dim != "unit"})
                source.data = {"unit": np.arange(values.size), "value": np.asarray(values, float)}

    return View(plot, show, {"x": "unit"})


def spectrum_view(scene: Scene) -> View:
    """Eigenvalues of the memory in the complex plane; without a memory, the variance of states by component."""
    matrices = has_memory(scene)
    axes = ("real part", "imaginary part") if matrices else ("component", "share of the variance")
    plot = plot_of(
        "spectrum of the memory" if matrices else "spectrum of the states in this stretch",
        *axes,
        300,
        "spectrum",
    )
    source = ColumnDataSource({"x": [], "y": []})
    plot.scatter("x", "y", source=source, color=LINE, size=5, alpha=0.7)

    def show(moment: Selection) -> None:
        activity = scene.activity
        if not matrices:
            states = activity.smooth(*moment.page(len(activity.times)))
            sizes = np.linalg.svd(states - states.mean(0), compute_uv=False)[:20] ** 2
            source.data = {"x": np.arange(1, len(sizes) + 1), "y": sizes / max(sizes.sum(), 1e-300)}
            return
        matrix = memory_matrix(scene, float(activity.times[moment.index]))
        if matrix is None or len(matrix) > LARGEST:
            plot.title.text = (
                "no memory at this time" if matrix is None else f"no spectrum beyond {LARGEST} units"
            )
            source.data = {"x": [], "y": []}
            return
        matrix = np.nan_to_num(matrix)
        symmetric = np.allclose(matrix, matrix.T)
        values = np.linalg.eigvalsh(matrix) if symmetric else np.linalg.eigvals(matrix)
        source.data = {"x": values.real, "y": values.imag}
        plot.title.text = f"spectrum of the memory: |λ| up to {abs(values).max():.3g}"

    return View(plot, show)


def landscape_view(scene: Scene) -> View:
    """The landscape in two principal components, with the trajectory around the present time."""
    activity = scene.activity
    at, states = activity.spread
    plane = Plane.of(states, inner_states(scene, activity.times[at]))
    share = plane.explained
    plot = plot_of("", f"component 1 ({share[0]:.0%})", f"component 2 ({share[1]:.0%})", 300, "landscape")
    x, y = plane.grid()
    picture = Picture.on(plot)
    arrows = ColumnDataSource({"x": [], "y": [], "to_x": [], "to_y": []})
    path, inner = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
    here = ColumnDataSource({"x": [], "y": []})
    plot.segment("x", "y", "to_x", "to_y", source=arrows, color="white", alpha=0.8)
    plot.line("x", "y", source=path, color="black")
    plot.line("x", "y", source=inner, color=PRESENT, line_width=2)
    plot.scatter("x", "y", source=here, color=PRESENT, line_color="white", size=11)
    plot.x_range, plot.y_range = Range1d(x[0], x[-1]), Range1d(y[0], y[-1])

    def show(moment: Selection) -> None:
        time = float(activity.times[moment.index])
        seen = landscape(scene, plane, time)
        picture.show(seen.height, x[0], y[0], x[-1] - x[0], y[-1] - y[0])
        arrows.data = arrow_data(seen.flow, x, y)
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


def cosine_similarity(states: np.ndarray, index: int) -> np.ndarray:
    """Cosine of each state `[time, unit]` with that of `index`; 0 where there is no activity."""
    size = np.linalg.norm(states, axis=1)
    return (states @ states[index]) / np.maximum(size * size[index], 1e-300)
