"""Training makes a memory anti-Hebbian; streams repeat patterns as they say."""

import numpy as np
import pytest
import torch

from fwsim import study
from fwsim.study import files, load_experiment

NAME = "familiarity"


def test_training_turns_the_sign(tmp_path):
    """Bands, set before the run: η negative, 9 of 10 repeats of the last pattern recognised, 5 % false alarms."""
    folder = study.run(NAME, {"steps": 100}, quick=True, folder=tmp_path / "run", device="cpu")
    result = study.analyse(folder).result.squeeze()
    assert float(result.trained_eta) < 0
    assert float(result.hits.sel(interval=1)) > 90
    assert float(result.false_alarms.max()) < 5
    assert float(result.familiar_activity.sel(interval=1)) < float(result.new_activity.sel(interval=1))
    assert result.sizes["interval"] == 5
    assert 1 <= float(result.reach) <= 16


def test_streams_repeat_what_they_say():
    x, familiar = load_experiment(NAME).run.__globals__["stream"](
        50, 40, 25, (2, 5), torch.Generator().manual_seed(0)
    )
    assert set(x.unique().tolist()) == {-1.0, 1.0}
    alike = (x[:, :, None] == x[:, None]).all(-1)  # [batch, time, time]
    times = torch.arange(40)
    earlier = alike & (times[:, None] > times)
    assert torch.equal(earlier.any(-1), familiar)
    trial, later, first = earlier.nonzero(as_tuple=True)
    assert set((later - first).tolist()) == {2, 3, 4, 5}
    assert len({*zip(trial.tolist(), first.tolist())}) == len(trial)  # none twice
    assert not familiar[trial, first].any()
    assert 0.2 < float(familiar.double().mean()) < 0.4


@pytest.mark.parametrize(
    ("right", "reach"),
    [
        ([100, 95, 85], 2 * 2**0.5),
        ([80, 95, 95], 0),
        ([99, 98, 97], 4),
        ([95, 85, 99], 2**0.5),
        ([np.nan] * 3, np.nan),
    ],
)
def test_reach(right, reach):
    analysis = files.load(files.find(NAME, "analysis"), ("analyse",))
    found = analysis.reached(np.array(right, float), np.array([1.0, 2.0, 4.0]))
    assert found == pytest.approx(reach, nan_ok=True)
