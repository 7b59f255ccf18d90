"""Comparing two versions: errors and intervals of made-up ones, and of a synapse in Brian2."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim import study
from fwsim.study import Versions
from fwsim.study.agreement import agreement, plot, table


def test_a_shifted_version_disagrees_by_its_shift():
    random = np.random.default_rng(0)
    tensor = xr.DataArray(np.full((30, 2), 3.0), dims=("seed", "age"))
    spiking = tensor + np.array([0.0, 1.0]) + 0.1 * random.normal(size=(30, 2))
    rows = agreement([Versions("rate", "rate", spiking, tensor, "Hz", "seed")])
    assert rows["setting"].values.tolist() == ["age 0", "age 1"]
    estimate, low, high = rows["difference"].values.T
    assert estimate == pytest.approx([0, 1], abs=0.08)
    assert (low < estimate).all()
    assert (high > estimate).all()
    np.testing.assert_allclose(high - low, 2 * 1.96 * 0.1 / np.sqrt(30), rtol=0.35)
    assert table(rows)["agrees"].tolist()[1] == "no"
    assert table(rows)["quantity"].tolist() == ["rate (Hz)"] * 2


def test_a_trajectory_gives_its_relative_error():
    tensor = xr.DataArray(np.ones((4, 10)), dims=("model", "time"))
    rows = agreement([Versions("course", "trajectory", 1.1 * tensor, tensor)])
    np.testing.assert_allclose(rows["difference"].sel(interval="estimate"), 0.1, rtol=1e-9)
    assert "error" in table(rows)


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((1, -1, 3), "yes"),
        ((1, 0, 2), "yes"),
        ((-1, -2, 0), "yes"),
        ((1, 0.1, 2), "no"),
        ((-1, -2, -0.1), "no"),
        ((1, np.nan, np.nan), ""),
        ((1, 1, 1), ""),
    ],
)
def test_versions_agree_if_the_interval_of_their_difference_contains_0(interval, word):
    value = xr.DataArray([[1.0]], dims=("seed", "age"))
    rows = agreement([Versions("rate", "rate", value, value, "Hz", "seed")])
    rows["difference"] = (("row", "interval"), [interval])
    assert table(rows)["agrees"].tolist() == [word]


def test_kinds_are_checked():
    with pytest.raises(fw.ConfigError, match="kind"):
        Versions("x", "speed", xr.DataArray(1.0), xr.DataArray(1.0))


def test_a_synapse_is_compared_with_brian2(tmp_path):
    train = {"low": 10.0, "before": 0.4, "high": 40.0, "during": 0.3, "after": 0.4}
    config = {"rates": (1.0, 5.0), "intervals": (0.1,), **train}
    run = study.run("synapse_response", config, folder=tmp_path / "run")
    report = study.compare(run)
    assert len(report.table) == 3  # conventions
    assert (report.table["error"].astype(float) < 1e-10).all()
    assert {path.name for path in report.files} >= {"result.nc", "table.csv", "agreement.png"}


def test_a_model_with_one_version_is_refused(tmp_path):
    run = study.run("forgetting", {"units": 10, "items": 20, "lags": 8, "trials": 1}, folder=tmp_path / "run")
    with pytest.raises(fw.ConfigError, match="defines no versions"):
        study.compare(run)


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_the_line_of_agreement_is_seen_at_a_single_point(value):
    """And reaches beyond it."""
    given = xr.DataArray([[value]], dims=("seed", "age"))
    rows = agreement([Versions("recall", "recall", given, given, "1", "seed")])
    axes = plot(rows).axes[0]
    assert any(min(line.get_xdata()) < value < max(line.get_xdata()) for line in axes.lines)
