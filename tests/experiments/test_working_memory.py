"""working_memory runs end to end, small: the cue is held at a high background and not at a low one."""

import numpy as np
import pytest

from fwsim import study

SMALL = {
    "models": ("mongillo2008",),
    "backgrounds": (0.0225, 0.0242),
    "parts": ("regimes", "pings"),
    "networks": 1,
    "settle": 0.3,
    "cue": 0.3,
    "delay": 1.1,
    "silence": 0.1,
    "ping_delays": (0.3,),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, numpy_target):
    return study.run("working_memory", SMALL, folder=tmp_path_factory.mktemp("memory") / "run")


def test_forgets_below_and_holds_above(run):
    report = study.analyse(run)
    regime = report.result["regime"].sel(model="mongillo2008").isel(network=0)
    np.testing.assert_array_equal(regime, [0, 1])
    pinged = report.result["selectivity"].sel(model="mongillo2008", ping_delay=0.3, interval="estimate")
    assert float(pinged) > 0.5
    assert {path.name for path in report.files} >= {"memory.png", "comparison.png", "table.csv"}


def test_both_versions_are_compared(run):
    table = study.compare(run).table
    spontaneous = table[table["quantity"].str.startswith("spontaneous")]
    assert len(spontaneous) == 2
    assert set(table["quantity"]) >= {"rate of the cued pool (Hz)", "selectivity of a ping"}
    # A fifth of the network fires at half the rate (docs/results/working_memory.md).
    assert (spontaneous["difference"].str.split().str[0].astype(float).abs() < 1).all()
