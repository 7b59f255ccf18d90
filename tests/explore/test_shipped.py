"""Every experiment that fwsim ships makes recordings that can be explored."""

from pathlib import Path

import pytest

from fwsim import study
from fwsim.explore.scene import check_explorable
from fwsim.study import experiment as experiments
from tests.explore.test_page import Page

pytest.importorskip("bokeh", reason="the explorer needs the extra 'explore'")
EXPERIMENTS = sorted(
    path.stem for path in (Path(experiments.__file__).parents[2] / "experiments").glob("[a-z]*.py")
)
NEEDS_DATA = {"glimpses": "the MNIST digits"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_can_be_explored(name, tmp_path):
    if name in NEEDS_DATA:
        pytest.skip(f"{name} needs {NEEDS_DATA[name]}")
    explore(study.run(name, quick=True, folder=tmp_path / "run").recording)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("forgetting", {"units": 30, "items": 20, "lags": 12, "trials": 2}),
        ("synapse_response", {}),
    ],
)
def test_recordings_without_activity_of_units_are_explored_as_curves(name, options, tmp_path):
    page = explore(study.run(name, options, quick=True, folder=tmp_path / "run").recording)
    assert page["curves"].visible
    assert len(page["curves"].renderers[0].data_source.data["x"])


def explore(recording):
    """Build the page, and let every choice of a variable draw."""
    check_explorable(recording)
    page = Page(recording)
    for variable in page["variable"].options if page["variable"] else ():
        page["variable"].value = variable
    return page
