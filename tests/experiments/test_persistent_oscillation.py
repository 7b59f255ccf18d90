"""persistent_oscillation: a small network that follows its input goes on oscillating as in mean field."""

import pytest

from fwsim import ConfigError, study

SMALL = {"units": 400, "networks": 2, "drive": (1.0,), "cycles": 6, "after": 20.0}


def test_the_oscillation_is_near_mean_field(tmp_path):
    report = study.analyse(study.run("persistent_oscillation", SMALL, seed=3, folder=tmp_path / "run"))
    result = report.result.mean("network").isel(drive=0)
    for name, error in {
        "driven_square": 0.05, "outlier_real": 0.12, "outlier_imaginary": 0.12, "frequency": 0.02,
        "late_square": 0.06, "share": 0.15,
    }.items():  # fmt: skip
        assert float(result[name]) == pytest.approx(float(result[f"expected_{name}"]), abs=error)
    assert float(result["plastic_share"]) < float(result["share"])
    assert len(report.table) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"after": 5.0}, "after=5 s is shorter than a period; give at least 10"),
        ({"plasticity": 0.0}, "plasticity"),
    ],
)
def test_what_cannot_be_watched_is_refused(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        study.run("persistent_oscillation", {**SMALL, **given}, folder=tmp_path / "run")
