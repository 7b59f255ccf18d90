"""quadratic_memory: the table has mean field and both networks, and the shared one is nearer."""

import numpy as np

from fwsim import study

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
