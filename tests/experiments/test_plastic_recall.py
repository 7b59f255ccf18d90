"""plastic_recall: small networks recall beyond the critical load with Hebbian plasticity only, as in mean field."""

import numpy as np
import pytest

from fwsim import ConfigError, study

SMALL = {
    "units": 300, "networks": 2, "load": (0.05, 0.3), "plasticity": (-0.5, 1.0), "slow": (2.0,),
    "cue": 1.0, "duration": 6.0,
}  # fmt: skip


def test_recall_is_near_mean_field(tmp_path):
    report = study.analyse(study.run("plastic_recall", SMALL, seed=3, folder=tmp_path / "run"))
    result = report.result
    end = result["overlap"].mean("network").isel(time=-1)
    assert end.sel(load=0.05, plasticity=1.0) > 0.98
    assert end.sel(load=0.3, plasticity=1.0) > 0.85
    assert end.sel(load=0.3, plasticity=-0.5) < 0.5
    expected = result["expected_overlap"].isel(time=-1).mean("sample")
    np.testing.assert_allclose(end.sel(plasticity=1.0), expected.sel(plasticity=1.0), atol=0.1)
    assert abs(end - expected).max() < 0.35  # small networks that lose their pattern differ
    assert len(report.table) == 5
    assert report.table["critical α"].tolist()[-1] == "–"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"load": (0.001,)}, "a load of 0.001 is less than two patterns of 300 units; give at least 0.00666"),
        ({"duration": 0.5}, "duration=0.5 s is too short for overlaps every 0.5 s; give at least 1"),
        ({"gain": 1.0}, "gain"),
    ],
)
def test_what_cannot_be_recalled_is_refused(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        study.run("plastic_recall", {**SMALL, **given}, folder=tmp_path / "run")
