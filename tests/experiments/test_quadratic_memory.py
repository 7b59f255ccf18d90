"""quadratic_memory: the table has mean field and both networks, and the shared one is nearer."""

import numpy as np
import pytest

from fwsim import ConfigError, study

SMALL = {
    "neurons": 500,
    "networks": 2,
    "begin": 0.12,
    "end": 0.25,
    "duration": 0.4,
    "step": 0.0005,
    "sample": 0.02,
}


def test_shared_variables_follow_the_mean_field(tmp_path):
    report = study.analyse(study.run("quadratic_memory", SMALL, seed=1, folder=tmp_path / "run"))
    result = report.result
    distance = result["x_distance"]
    assert float(distance.sel(synapse="shared")) < 0.02 < float(distance.sel(synapse="own"))
    shared = result["rate_in_span"].sel(synapse="shared").mean("network")
    np.testing.assert_allclose(shared, result["expected_rate_in_span"], atol=3.0)


def test_quick_run_has_all_spans(tmp_path):
    folder = tmp_path / "run"
    report = study.analyse(
        study.run("quadratic_memory", {"networks": 2, "step": 0.001}, quick=True, folder=folder)
    )
    spans = report.result[["rate_in_span", "expected_rate_in_span"]]
    assert np.isfinite(spans.to_array()).all()
    rate = spans["expected_rate_in_span"]
    assert float(rate.sel(span="pulse")) > 2 * float(rate.sel(span="after"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample": 0.0001}, "sample=0.0001 s is shorter than step"),
        ({"sample": 0.2}, "sample"),
        ({"end": 0.1}, "must follow each other"),
        ({"end": 0.5}, "must follow each other"),
        ({"begin": 0.0}, "must follow each other"),
    ],
)
def test_times_that_leave_a_span_empty_are_refused(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        study.run("quadratic_memory", {**SMALL, **given}, folder=tmp_path / "run")
