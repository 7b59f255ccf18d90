"""The page: choice of the activity, controls, keys, and the linked views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape

import numpy as np
import xarray as xr
from bokeh.document import Document
from bokeh.events import Tap
from bokeh.layouts import column, row
from bokeh.models import CustomJS, Div, LayoutDOM, Select, Slider, Spinner, Toggle

from fwsim.errors import FwsimError
from fwsim.explore import curves, views
from fwsim.explore.drawing import FLOWING, TEMPLATE
from fwsim.explore.scene import Scene, activities, open_scene, others

WIDTHS = (50, 100, 200, 500, 1000, 2000)
FIRST_WIDTH = 200
MOST_OPTIONS = 100  # largest number of options of a menu
VIEWS = (
    views.overview, views.activity_view, views.unit_view, views.attention_view, views.memory_view,
    views.spectrum_view, views.landscape_view,
)  # fmt: skip
INTERVAL = 150  # ms between two samples when the recording is played
KBD = "<kbd style='border:1px solid #888;border-radius:3px;padding:0 .3em'>{}</kbd>".format
KEYS = """
const moves = {
  ArrowRight: [step, 1], ArrowLeft: [step, -1], Home: [step, -Infinity], End: [step, Infinity],
  ArrowUp: [inner, 1], ArrowDown: [inner, -1], ".": [unit, 1], ",": [unit, -1],
}
document.addEventListener("keydown", (event) => {
  const at = event.composedPath()[0]
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName) || at.classList?.contains("noUi-handle")
  if (typing || event.ctrlKey || event.altKey || event.metaKey) return
  if (event.key === " " && at.tagName !== "BUTTON") {
    play.active = !play.active
    event.preventDefault()
  }
  if (!(event.key in moves)) return
  const [control, direction] = moves[event.key]
  const by = direction * (event.shiftKey && control === step ? Number(width.value) : 1)
  const [low, high] = control === unit ? [unit.low, unit.high] : [control.start, control.end]
  if (!control.disabled) control.value = Math.min(high, Math.max(low, control.value + by))
  event.preventDefault()
})
"""


@dataclass(frozen=True, eq=False)
class Controls:
    """Controls that choose the time, unit and iteration. The same for all scenes, so that keys find them."""

    play: Toggle
    step: Slider
    inner: Slider
    unit: Spinner
    width: Select
    clock: Div
    status: Div
    help: Div

    @classmethod
    def new(cls) -> Controls:
        """Controls without a scene."""
        widths = [str(number) for number in WIDTHS]
        slider = {"start": 0, "end": 1, "value": 0, "step": 1}
        return cls(
            Toggle(label="▶ play", width=80, margin=(19, 10, 0, 10), name="play"),
            Slider(
                **slider,
                title="sample",
                sizing_mode="stretch_width",
                min_width=200,
                margin=(5, 15),
                name="step",
            ),
            Slider(**slider, title="inner iteration", width=180, margin=(5, 15), name="inner"),
            Spinner(title="unit", value=0, low=0, high=0, step=1, width=90, name="unit"),
            Select(title="stretch (samples)", value=str(FIRST_WIDTH), options=widths, width=120),
            Div(width=120, margin=(22, 10, 0, 10), name="clock"),
            Div(name="status", visible=False),
            Div(name="help"),
        )

    def fit(self, scene: Scene) -> None:
        """Take the ranges of a scene, and begin where there is something to see."""
        iterations = scene.run.sizes.get("iteration", 1)
        self.play.active = False
        self.step.update(value=scene.beginning, end=max(1, len(scene.activity.times) - 1))
        self.inner.update(value=iterations - 1, end=max(1, iterations - 1), disabled=iterations == 1)
        self.inner.visible = iterations > 1
        self.unit.update(value=0, high=max(0, scene.activity.units - 1))
        self.help.text = guidance(iterations > 1)

    def moment(self, scene: Scene) -> views.Selection:
        """Values of the controls, within the scene."""
        return views.Selection(
            min(int(self.step.value), len(scene.activity.times) - 1),
            0 if self.inner.disabled else int(self.inner.value),
            min(max(int(self.unit.value or 0), 0), scene.activity.units - 1),
            int(self.width.value),
        )

    def choose(self, scene: Scene, what: str, at: float) -> None:
        """Take what was clicked: `"time"` in s, `"unit"` or `"inner"`; of times, the sample whose step holds it."""
        if what == "time":
            times = scene.activity.times
            self.step.value = int(np.clip(np.searchsorted(times, at), 0, len(times) - 1))
        elif what == "unit":
            self.unit.value = int(np.clip(round(at), 0, scene.activity.units - 1))
        elif not self.inner.disabled:
            self.inner.value = int(np.clip(round(at), 0, self.inner.end))

    def advance(self) -> None:
        """One sample later while playing, until the end; after the end from the start."""
        if not self.play.active:
            return
        if self.step.value >= self.step.end:
            self.play.active = False
            return
        self.step.value += 1


def guidance(iterations: bool) -> str:
    """Keys and clicks that have an effect."""
    inner = f"{KBD('↑')} {KBD('↓')} inner iteration; " if iterations else ""
    row = ", of attention chooses the inner iteration" if iterations else ""
    return (
        f"<b>Keys</b>: {KBD('space')} play; {KBD('←')} {KBD('→')} sample, with {KBD('Shift')} a stretch, "
        f"{KBD('Home')} {KBD('End')}; {inner}{KBD(',')} previous and {KBD('.')} next unit. "
        f"<b>Clicks</b>: a click into a plot over time goes to that time, into a plot over units to that unit{row}."
    )


def build(document: Document, run: xr.Dataset, title: str) -> None:
    """Fill a document with the page of a recording; of one without activity of units, its variables as curves."""
    names = activities(run)
    if not names:
        curves.build(document, run, title)
        return
    activity = Select(title="activity", value=names[0] if names else "", options=names, width=180)
    entries, body, controls = row(), column(sizing_mode="stretch_width"), Controls.new()
    now: list[tuple[Scene, list[views.View]]] = []
    pending: list[bool] = []

    def choose() -> None:
        chosen = {control.name: int(control.value or 0) for control in entries.children}
        scene = open_scene(run, activity.value or None, chosen)
        now[:] = [(scene, [make(scene) for make in VIEWS])]
        controls.fit(scene)
        refresh()
        body.children = [_layout(scene, now[0][1], controls)]

    def choose_activity() -> None:
        dims = others(run, activity.value)
        entries.children = [_entry(run, dim, size, choose) for dim, size in dims.items() if size > 1]
        choose()

    def refresh() -> None:
        pending.clear()
        scene, shown = now[0]
        _show(scene, shown, controls)

    def changed(attr: str, old: object, new: object) -> None:
        if not pending:  # keys that repeat faster than the views are drawn cause one drawing
            pending.append(True)
            document.add_next_tick_callback(refresh)

    def played(attr: str, old: object, new: bool) -> None:
        controls.play.label = "❚❚ pause" if new else "▶ play"
        if new and controls.step.value >= controls.step.end:
            controls.step.value = 0

    activity.on_change("value", lambda attr, old, new: choose_activity())
    choose_activity()
    moving = {"step": controls.step, "inner": controls.inner, "unit": controls.unit, "width": controls.width}
    for control in moving.values():
        control.on_change("value", changed)
    controls.play.on_change("active", played)
    document.add_periodic_callback(controls.advance, INTERVAL)
    document.js_on_event("document_ready", CustomJS(args={**moving, "play": controls.play}, code=KEYS))
    head = Div(
        text=f"<b>{escape(title)}</b>", styles={"font-size": "120%"}, margin=(22, 20, 0, 10), name="head"
    )
    wide = {"sizing_mode": "stretch_width", "styles": FLOWING}
    top = row(controls.play, controls.clock, *moving.values(), **wide)
    parts = (row(head, activity, entries, **wide), top, controls.help, controls.status, body)
    document.add_root(column(*parts, sizing_mode="stretch_width", name="page"))
    document.title, document.template = f"fwsim: {title}", TEMPLATE


def _entry(run: xr.Dataset, dim: str, size: int, choose: Callable[[], None]) -> Spinner | Select:
    """Control that chooses an index of a dimension, by its coordinate if it has a meaningful one."""
    control: Spinner | Select
    if dim in run.coords and dim != "trial" and size <= MOST_OPTIONS:
        options = [(str(number), f"{value}") for number, value in enumerate(run[dim].values.tolist())]
        control = Select(title=dim, value="0", options=options, width=120, name=dim)
    else:
        control = Spinner(title=f"{dim} (0 … {size - 1})", value=0, low=0, high=size - 1, width=110, name=dim)
    control.on_change("value", lambda attr, old, new: choose())
    return control


def _show(scene: Scene, shown: list[views.View], controls: Controls) -> None:
    """Show the chosen time in all views; errors of the recording appear on the page."""
    moment = controls.moment(scene)
    controls.clock.text = f"<b>t = {scene.activity.times[moment.index]:.6g} s</b>"
    try:
        for view in shown:
            view.show(moment)
        controls.status.visible = False
    except FwsimError as error:
        controls.status.update(text=f"<b>{escape(str(error))}</b>", visible=True)


def _layout(scene: Scene, shown: list[views.View], controls: Controls) -> LayoutDOM:
    """The views of a scene; a click chooses what is under it."""
    for view in shown:
        view.figure.on_event(Tap, partial(_clicked, scene, view, controls))
    overview, activity, one, *below = [view.figure for view in shown]
    wide = {"sizing_mode": "stretch_width"}
    return column(
        overview, row(activity, one, styles=FLOWING, **wide), row(*below, styles=FLOWING, **wide), **wide
    )


def _clicked(scene: Scene, view: views.View, controls: Controls, event: Tap) -> None:
    for axis, what in view.axes.items():
        controls.choose(scene, what, getattr(event, axis))
