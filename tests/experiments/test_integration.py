"""Trials of evidence are what they say; the MPN integrates with its synapses, a network without plasticity guesses."""

import numpy as np
import pytest
import torch

from fwsim import study
from fwsim.study import load_experiment

NAME = "integration"
made = load_experiment(NAME).run.__globals__


def test_trials_have_a_side_with_more_evidence_and_end_with_the_question():
    generator = torch.Generator().manual_seed(0)
    shown = made["patterns"](20, generator)
    x, kind, more = made["draw"](500, 8, shown, generator)
    assert x.shape == (500, 8, 20)
    assert torch.equal(x, shown[kind])
    counts = [(kind == side).sum(1) for side in range(4)]
    assert torch.equal(more == 1, counts[1] > counts[0])
    assert not (counts[0] == counts[1]).any()
    assert torch.equal(counts[3], torch.ones(500, dtype=torch.long))
    assert (kind[:, -1] == 3).all()
    assert 0.4 < float(more.double().mean()) < 0.6
    assert float(counts[2].double().mean()) == pytest.approx(7 / 3, abs=0.4)


def test_balance_counts_evidence_up_to_each_step():
    kind = torch.tensor([[1, 0, 2, 1, 1, 3]])
    assert made["balance"](kind).tolist() == [[1, 0, 0, 1, 2, 2]]


def test_explained_variance():
    label = np.array([0, 0, 1, 1, 2, 2])
    explained = made["explained"]
    assert explained(np.stack([label, -3.0 * label], 1), label) == pytest.approx(1)
    assert explained(np.array([[1.0], [-1], [1], [-1], [1], [-1]]), label) == pytest.approx(0)
    one = np.array([[0.0], [1], [1], [2], [2], [3]])  # within groups 3 × 1/2, in all 5.5
    assert explained(one, label) == pytest.approx(1 - 1.5 / 5.5)
    assert explained(np.hstack([one, one + 10]), label) == pytest.approx(1 - 1.5 / 5.5)
    assert np.isnan(explained(np.ones((6, 2)), label))


def test_mpn_integrates_with_its_synapses_and_the_static_network_guesses(tmp_path):
    """Bands, set before the run: MPN and recurrent network above 90 %, no plasticity within 20 points of 50 %."""
    over = {"model": ["mpn", "mpn_synapse", "recurrent", "static"]}
    config = {"steps": 160, "test_trials": 200, "length": 10, "learning_rate": 2e-2}
    recording = study.sweep(NAME, over, 1, config, quick=True, workers=1, folder=tmp_path / "sweep")
    result = study.analyse(recording.attrs["folder"]).result.squeeze("seed")
    right = result.right.sel(length=10)
    assert (right.sel(model=["mpn", "mpn_synapse", "recurrent"]) > 90).all()
    assert abs(right.sel(model="static") - 50) < 20
    mpn, recurrent = result.sel(model="mpn"), result.sel(model="recurrent")
    assert mpn.hidden_input > mpn.hidden_evidence
    assert recurrent.hidden_evidence > recurrent.hidden_input
    assert mpn.memory_evidence > mpn.memory_input
    assert float(result.sel(model="static").hidden_input) == pytest.approx(100, abs=0.01)
    assert np.isnan(recurrent.memory_evidence)
    analysis = study.analyse(recording.attrs["folder"])
    assert len(analysis.table) == 4
