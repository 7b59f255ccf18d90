"""The page without a browser: views follow the controls."""

import numpy as np
import pytest
import xarray as xr

from tests.explore import recordings

bokeh = pytest.importorskip("bokeh", reason="the explorer needs the extra 'explore'")


class Page:
    """A page in a document that no server holds."""

    def __init__(self, run):
        from bokeh.document import Document

        from fwsim.explore.page import build

        self.document, self.run = Document(), run
        build(self.document, run, "run <b>")

    def __getitem__(self, name):
        return self.document.get_model_by_name(name)

    def set(self, **values):
        """Change controls, and let the page answer."""
        for name, value in values.items():
            self[name].value = value
        for callback in list(self.document.session_callbacks):
            callback.callback()

    def shown_lines(self, name):
        """Data of the first marks of a view."""
        return list(self[name].renderers[0].data_source.data.values())

    def shown(self, name):
        """All data of a view."""
        return [np.asarray(v).ravel() for r in self[name].renderers for v in r.data_source.data.values()]


@pytest.fixture(params=["fast_weights", "rates", "spikes"])
def page(request):
    return Page(getattr(recordings, request.param)())


VIEWS = ("activity", "unit_view", "attention", "memory", "spectrum", "landscape")


def test_every_view_shows_another_moment(page):
    # Spikes have as many moments as bins, and the first stretch has too few to fill another.
    last = page["step"].end
    before = {name: page.shown(name) for name in VIEWS}
    page.set(step=0 if page["step"].value == last else last)
    assert "t = " in page["clock"].text
    same = {
        name for name in VIEWS if before[name] and all(map(np.array_equal, before[name], page.shown(name)))
    }
    assert same <= {"activity", "unit_view", "spectrum"}  # stretches that hold both moments


def test_the_unit_and_the_inner_iteration_are_marked():
    run = recordings.fast_weights()
    page = Page(run)
    page.set(step=10, unit=4, inner=0)
    np.testing.assert_allclose(page.shown("unit_view")[1], run["hidden"].isel(trial=0, unit=4))
    assert f"unit 4: {float(run['hidden'][0, 10, 4]):.4g}" == page["unit_view"].title.text
    attention = page.shown("attention")[0].reshape(3, 10)
    np.testing.assert_allclose(attention, run["attention"].isel(trial=0, time=10, past=slice(10)), rtol=1e-6)
    memory = run["memory"].isel(trial=0, time=10).sum("timescale")
    np.testing.assert_allclose(page.shown("memory")[0].reshape(6, 6), memory, rtol=1e-5)


def test_another_trial_and_another_activity():
    run = recordings.rates()
    page = Page(run)
    page.set(trial=1)
    np.testing.assert_allclose(page.shown("unit_view")[1], run["rate"].isel(trial=1, unit=0), rtol=1e-6)


def test_what_is_written_in_a_path_is_no_markup():
    page = Page(recordings.rates())
    assert not any("run <b>" in model.text for model in page.document.select({"name": "head"}))
    assert "run &lt;b&gt;" in page["head"].text


def tap(page, view, **at):
    """Click into a view."""
    from bokeh.events import Tap

    for callback in page[view]._event_callbacks["tap"]:
        callback(Tap(page[view], **{"sx": 0, "sy": 0, "x": 0.0, "y": 0.0} | at))
    page.set()


def test_a_page_begins_where_there_is_something_to_see(page):
    """Memories at their last sample, activity where its mean is largest."""
    step, run = page["step"], page.run
    if "attention" in run:
        assert step.value == step.end
        assert page.shown("attention")[0].any()
    elif "rate" in run:
        busiest = run["rate"].isel(trial=0).mean("unit")
        assert step.value == int(busiest.argmax("time"))
    else:
        counts, _ = np.histogram(run["spike_time"], np.arange(501) * 1e-3)
        assert counts[max(0, step.value - 3) : step.value + 1].max() > counts.mean()


def test_clicks_choose_time_unit_and_iteration():
    page = Page(recordings.fast_weights())
    tap(page, "activity", x=7.0, y=3.4)
    assert (page["step"].value, page["unit"].value) == (6, 3)
    tap(page, "overview", x=1e9, y=2.0)
    assert (page["step"].value, page["unit"].value) == (page["step"].end, 3)
    tap(page, "attention", x=2.0, y=0.9)
    assert (page["step"].value, page["inner"].value) == (page["step"].end, 1)
    tap(page, "memory", x=0.0, y=99.0)
    assert page["unit"].value == 5
    tap(page, "landscape", x=1.0, y=1.0)
    assert (page["step"].value, page["unit"].value, page["inner"].value) == (page["step"].end, 5, 1)
    rates = Page(recordings.rates())
    tap(rates, "memory", x=2.0, y=0.5)
    assert rates["unit"].value == 2


def test_a_recording_is_played_to_its_end_and_then_again_from_the_start():
    page = Page(recordings.rates(steps=20))
    page.set(step=17)
    page.set()
    assert page["step"].value == 17  # not playing
    page["play"].active = True
    assert "pause" in page["play"].label
    page.set()
    page.set()
    assert page["step"].value == 19
    page.set()
    assert not page["play"].active
    assert "play" in page["play"].label
    page["play"].active = True
    assert page["step"].value == 0


def test_only_keys_that_do_something_are_named(page):
    assert ("inner iteration" in page["help"].text) == ("iteration" in page.run.sizes)


def test_a_recording_without_activity_is_shown_as_curves():
    strength = np.linspace(1.0, 0.0, 5) * np.arange(1.0, 4.0)[:, None]
    run = xr.Dataset(
        {"strength": (("trial", "lag"), strength, {"units": "V"}), "error": ((), 0.25)},
        {"lag": ("lag", np.arange(5) * 2.0, {"units": "s"})},
    )
    page = Page(run)
    x, y, *_ = page.shown_lines("curves")
    np.testing.assert_array_equal(x, [run["lag"].values] * 3)
    np.testing.assert_allclose(y, strength)
    assert page["curves"].xaxis.axis_label == "lag (s)"
    assert page["curves"].yaxis.axis_label == "strength (V)"
    page["by"].value = "its mean"
    np.testing.assert_allclose(page.shown_lines("curves")[1], [strength.mean(0)])
    page["along"].value = "trial"
    np.testing.assert_allclose(page.shown_lines("curves")[1], strength.T)
    assert "0.25" in page["values"].text


def test_some_of_many_curves_are_drawn_and_counted():
    strength = np.arange(40.0)[:, None] + np.zeros(3)
    coords = {"trial": ("trial", 100 + np.arange(40), {"units": "1"})}
    page = Page(xr.Dataset({"strength": (("trial", "lag"), strength, {"units": "V"})}, coords))
    _, y, _, label = page.shown_lines("curves")
    assert label == [str(100 + int(line[0])) for line in y]
    assert (len(y), label[0], label[-1]) == (12, "100", "139")
    assert page["curves"].legend[0].title == "trial: 12 of 40"


def test_single_values_alone_are_a_table():
    page = Page(xr.Dataset({"test_error": ((), 0.5)}))
    assert "test_error" in page["values"].text
    assert not page["curves"].visible
