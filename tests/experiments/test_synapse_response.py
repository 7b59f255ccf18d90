"""synapse_response reproduces the tabulated releases, preferred and limiting rates."""

import numpy as np
import pytest

import fwsim as fw
from fwsim import study

RATES = tuple(float(rate) for rate in np.geomspace(0.5, 160.0, 31))


@pytest.fixture
def answer(tmp_path):
    """Run with a configuration, return what the analysis finds; figures are drawn only to see that they can be."""

    def ask(draw=False, **config):
        run = study.run("synapse_response", config, folder=tmp_path / "run")
        if draw:
            return study.analyse(run).result
        return study.files.load(run.analysis, ("analyse",)).analyse(run.recording)

    return ask


def test_conventions_side_by_side(answer):
    """Releases at 10 Hz in six digits, and the mean field's preferred rate."""
    result = answer(draw=True, rates=(*RATES, 10.0))
    regular = result["release"].sel(train="regular", rate=10.0)
    np.testing.assert_allclose(regular.sel(setting=["maass2002", "tm1998"]), 0.357211, atol=1e-6)
    assert float(regular.sel(setting="mongillo2008")) == pytest.approx(0.365264, abs=1e-6)
    np.testing.assert_allclose(result["first"], [0.2, 0.2, 0.36])
    mean_field = result.sel(train="mean_field", setting="maass2002")
    assert float(mean_field["closed_preferred"]) == pytest.approx(2.98, abs=0.01)
    assert float(mean_field["preferred"]) == pytest.approx(2.98, abs=0.1)
    assert float(result["release_error"].max()) < 1e-6


def test_a_depressing_synapse_has_a_limiting_rate_and_no_preferred_one(answer):
    parameters = {"U": "0.5", "tau_facil": "0"}
    result = answer(
        parameters=parameters, vary="tau_rec", values=("200 ms", "0.8"), rates=(*RATES, 2000.0, 3000.0)
    )
    assert bool(result["preferred"].isnull().all())
    np.testing.assert_allclose(result["closed_limiting"], [10.0, 2.5])
    np.testing.assert_allclose(result["limiting"].sel(train="mean_field"), [10.0, 2.5], rtol=0.02)
    assert bool((result["pair_ratio"][:, :10] < 1).all())


def test_spikes_and_rate_form_step_together(answer):
    """The rate form ends where its own steady state is, and follows the spikes."""
    result = answer(during=4.0, rates=(2.0, 20.0), intervals=(0.1,)).sel(setting="maass2002")
    settled = result["mean_response"].sel(moment=6.9, method="nearest")
    assert float(settled) == pytest.approx(
        float(result["release"].sel(train="mean_field", rate=20.0)), rel=1e-3
    )
    spike = result["train_response"].where(result["spike_time"] < 6.9, drop=True)[-1]
    assert float(spike) == pytest.approx(float(result["release"].sel(train="regular", rate=20.0)), rel=1e-2)


@pytest.mark.parametrize(
    ("rule", "vary", "values"), [("varela", "f", ("0", "0.917")), ("hebbian_traces", "tau", ("0.5", "2"))]
)
def test_any_rule(answer, rule, vary, values):
    result = answer(rule=rule, vary=vary, values=values, rates=(1.0, 5.0), intervals=(0.01, 0.1))
    assert bool(result["release"].notnull().all())
    assert float(result["release"].isel(setting=1, rate=1, train=0)) > float(
        result["release"].isel(setting=0, rate=1, train=0)
    )


def test_unknown_parameters_are_refused(tmp_path):
    with pytest.raises(fw.ConfigError, match="tau_facil"):
        study.run("synapse_response", {"vary": "tauf", "values": ("1",)}, folder=tmp_path / "run")
