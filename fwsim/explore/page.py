"""The page: what to look at, controls, keys, and the linked views."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np
import xarray as xr
from bokeh.document import Document
from bokeh.events import Tap
from bokeh.layouts import column, row
from bokeh.models import CustomJS, Div, LayoutDOM, Select, Slider, Spinner

from fwsim.errors import FwsimError
from fwsim.explore import views
from fwsim.explore.scene import Scene, activities, open_scene, others

WIDTHS = (50, 100, 200, 500, 1000, 2000)
FIRST_WIDTH = 200
MOST_OPTIONS = 100  # of a menu
HELP = (
    "<b>Keys</b>: ← → step, with Shift a stretch, Home and End; ↑ ↓ inner iteration; , . unit. "
    "Click into the topmost view to go to a time."
)
KEYS = """
const moves = {
  ArrowRight: ["step", 1], ArrowLeft: ["step", -1], Home: ["step", -Infinity], End: ["step", Infinity],
  ArrowUp: ["inner", 1], ArrowDown: ["inner", -1], ".": ["unit", 1], ",": ["unit", -1],
}
const find = (name) => Bokeh.documents[0].get_model_by_name(name)  // controls are new with every scene
document.addEventListener("keydown", (event) => {
  const at = event.composedPath()[0]
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName) || at.classList?.contains("noUi-handle")
  if (typing || event.ctrlKey || event.altKey || event.metaKey || !(event.key in moves)) return
  const [name, direction] = moves[event.key]
  const control = find(name)
  const by = direction * (event.shiftKey && name === "step" ? Number(find("width").value) : 1)
  const [low, high] = name === "unit" ? [control.low, control.high] : [control.start, control.end]
  if (!control.disabled) control.value = Math.min(high, Math.max(low, control.value + by))
  event.preventDefault()
})
"""


def build(document: Document, run: xr.Dataset, title: str) -> None:
    """Fill a document with the page of a recording."""
    names = activities(run)
    body = column(sizing_mode="stretch_width")
    activity = Select(title="activity", value=names[0] if names else "", options=names, width=180)
    entries = row()

    def choose() -> None:
        chosen = {control.name: int(control.value or 0) for control in entries.children}
        body.children = [_views(document, open_scene(run, activity.value or None, chosen))]

    def choose_activity() -> None:
        dims = others(run, activity.value)
        entries.children = [_entry(run, dim, size, choose) for dim, size in dims.items() if size > 1]
        choose()

    activity.on_change("value", lambda attr, old, new: choose_activity())
    choose_activity()
    head = Div(
        text=f"<b>{escape(title)}</b>", styles={"font-size": "120%"}, margin=(22, 20, 0, 10), name="head"
    )
    document.add_root(column(row(head, activity, entries), body, sizing_mode="stretch_width", name="page"))
    document.js_on_event("document_ready", CustomJS(code=KEYS))
    document.title = f"fwsim: {title}"


def _entry(run: xr.Dataset, dim: str, size: int, choose: Callable[[], None]) -> Spinner | Select:
    """Control that chooses an entry of a dimension, by its coordinate if it has one that says more than a number."""
    control: Spinner | Select
    if dim in run.coords and dim != "trial" and size <= MOST_OPTIONS:
        options = [(str(number), f"{value}") for number, value in enumerate(run[dim].values.tolist())]
        control = Select(title=dim, value="0", options=options, width=120, name=dim)
    else:
        control = Spinner(title=f"{dim} (0 … {size - 1})", value=0, low=0, high=size - 1, width=110, name=dim)
    control.on_change("value", lambda attr, old, new: choose())
    return control


def _views(document: Document, scene: Scene) -> LayoutDOM:
    """Controls and views of one scene."""
    length, last = len(scene.activity.times), max(1, len(scene.activity.times) - 1)
    iterations = scene.run.sizes.get("inner", 1)
    step = Slider(
        start=0, end=last, value=0, step=1, title="sample", sizing_mode="stretch_width", name="step"
    )
    inner = Slider(
        start=0, end=max(1, iterations - 1), value=iterations - 1, step=1, title="inner iteration", width=180,
        disabled=iterations == 1, visible=iterations > 1, margin=(5, 5, 5, 25), name="inner",
    )  # fmt: skip
    unit = Spinner(
        title="unit", value=0, low=0, high=max(0, scene.activity.units - 1), step=1, width=90, name="unit"
    )
    width = Select(
        title="stretch (samples)",
        value=str(FIRST_WIDTH),
        options=[str(n) for n in WIDTHS],
        width=120,
        name="width",
    )
    clock, status = Div(width=120, margin=(22, 10, 0, 10), name="clock"), Div(name="status")
    makers = (
        views.overview, views.activity_view, views.unit_view, views.attention_view, views.memory_view,
        views.spectrum_view, views.landscape_view,
    )  # fmt: skip
    shown = [make(scene) for make in makers]
    pending: list[bool] = []

    def refresh() -> None:
        pending.clear()
        moment = views.Moment(
            min(int(step.value), length - 1),
            int(inner.value) if iterations > 1 else 0,
            min(max(int(unit.value or 0), 0), scene.activity.units - 1),
            int(width.value),
        )
        clock.text = f"<b>t = {scene.activity.times[moment.index]:.6g} s</b>"
        try:
            for view in shown:
                view.show(moment)
            status.visible = False
        except FwsimError as error:
            status.text, status.visible = f"<b>{escape(str(error))}</b>", True

    def changed(attr: str, old: object, new: object) -> None:
        if not pending:  # keys that repeat faster than views are drawn are drawn once
            pending.append(True)
            document.add_next_tick_callback(refresh)

    for control in (step, inner, unit, width):
        control.on_change("value", changed)
    overview, activity, one, *below = (view.figure for view in shown)

    def go(event: Tap) -> None:
        step.value = int(np.clip(np.searchsorted(scene.activity.times, event.x), 0, length - 1))

    overview.on_event(Tap, go)
    refresh()
    return column(
        row(clock, step, inner, unit, width, sizing_mode="stretch_width"),
        Div(text=HELP), status, overview,
        row(activity, one, sizing_mode="stretch_width"),
        row(*below, sizing_mode="stretch_width"),
        sizing_mode="stretch_width",
    )  # fmt: skip
