"""The page without a browser: views follow the controls."""

import numpy as np
import pytest

from tests.explore import recordings

bokeh = pytest.importorskip("bokeh", reason="the explorer needs the extra 'explore'")


class Page:
    """A page in a document that no server holds."""

    def __init__(self, run):
        from bokeh.document import Document

        from fwsim.explore.page import build

        self.document = Document()
        build(self.document, run, "run <b>")

    def __getitem__(self, name):
        return self.document.get_model_by_name(name)

    def set(self, **values):
        """Change controls, and let the page answer."""
        for name, value in values.items():
            self[name].value = value
        for callback in list(self.document.session_callbacks):
            callback.callback()

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
    page.set(step=last)
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
