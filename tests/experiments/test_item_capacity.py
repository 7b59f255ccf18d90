"""item_capacity: items take turns, periods do not depend on the step, capacity falls with τ."""

import numpy as np
import pytest

from analysis.item_capacity import spikes
from fwsim import study

SMALL = {
    "step": 0.0004,
    "tolerance": 1e-7,
    "loads": (1, 3, 5),
    "interval": 0.1,
    "delay": 1.6,
    "watch": 0.8,
    "survey_loads": (5,),
    "survey_tau_rec": (0.3,),
    "survey_tau_facil": (1.5,),
    "survey_tau": (0.008, 0.016),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return study.analyse(study.run("item_capacity", SMALL, folder=tmp_path_factory.mktemp("items") / "run"))


def test_one_to_five_items_persist_at_any_step(report):
    result = report.result
    np.testing.assert_array_equal(result["survivors"], [[1, 3, 5]] * 2)
    assert float(result["period_change"].max()) < 0.01
    assert bool((result["period"].isel(step=1).diff("load") > 0).all())
    assert bool((result["peak"].isel(step=1).diff("load") > 0).all())
    assert float(result["period_spread"].max()) < 0.02 * float(result["period"].min())
    assert [row["survive"] for row in report.table.to_dict("records")[:3]] == [1, 3, 5]


def test_the_survey_counts_survivors(report):
    np.testing.assert_array_equal(report.result["capacity_tau_rec"].isel(step=1), [5])
    assert int(report.result["capacity_tau"].sel(value_tau=0.016).isel(step=1)) < 5


def test_items_take_turns(report):
    """At any moment at most one item of three is in its population spike, and they come in a fixed order."""
    rate = report.result["example"].sel(load=3)
    late = rate.sel(time=slice(float(rate.time[-1]) - 1.0, None)).transpose("time", "unit").values[:, :3]
    assert int((late > 40).sum(1).max()) == 1
    firing = late.argmax(1)[late.max(1) > 40]
    order = firing[np.flatnonzero(np.diff(firing, prepend=-1))]
    assert len(order) > 6
    np.testing.assert_array_equal(order[3:], order[:-3])


@pytest.mark.slow
def test_published_parameters(tmp_path):
    """All loads, and capacity as a function of τ_rec/τ, from the configuration of the results page."""
    result = study.analyse(study.run("item_capacity", {}, folder=tmp_path / "run")).result
    fine = result.isel(step=1)
    np.testing.assert_array_equal(fine["survivors"].sel(load=[1, 2, 3, 4, 5]), [1, 2, 3, 4, 5])
    assert float(result["period_change"].sel(load=[1, 2, 3, 4, 5]).max()) < 0.01
    for tau_rec, tau in ((0.1, 0.024), (0.15, 0.016), (0.2, 0.012)):  # the same τ_rec/τ
        here = (
            int(fine["capacity_tau_rec"].sel(value_tau_rec=tau_rec)),
            int(fine["capacity_tau"].sel(value_tau=tau)),
        )
        assert abs(here[0] - here[1]) <= 1


def test_peaks_lie_between_samples():
    """Of two parabolas with a height of 30 and 10; the second one is below threshold."""
    time = np.linspace(0.0, 1.0, 101)
    trace = np.maximum(30 - 1e3 * (time - 0.203) ** 2, 10 - 1e3 * (time - 0.6) ** 2)
    np.testing.assert_allclose(spikes(trace, time, 20.0), [0.203], rtol=1e-9)
