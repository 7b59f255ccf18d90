"""Networks for delayed matching begin with the published weights and synapses."""

import pytest
import torch

import fwsim as fw
from fwsim.models import MatchingNetwork, mixed_synapses


def test_weights_before_training_are_those_of_masse():
    """Gamma variables of scale 1: shape 0.1 between excitatory units and to answers, 0.2 for all others."""
    torch.manual_seed(0)
    model = MatchingNetwork(fw.tasks.DelayedMatch(dt=0.05), 400)
    sizes = model.core.weights[0].detach().abs()
    off = ~torch.eye(400, dtype=torch.bool)
    for post in (slice(0, 320), slice(320, None)):
        for pre in (slice(0, 320), slice(320, None)):
            shape = 0.1 if (post, pre) == (slice(0, 320), slice(0, 320)) else 0.2
            found = sizes[post, pre][off[post, pre]]
            error = (shape / len(found)) ** 0.5  # the variance of a gamma variable is its shape
            assert float(found.mean()) == pytest.approx(shape, abs=4 * error)
    for weights, shape in ((model.weights_in, 0.2), (model.weights_out, 0.1)):
        assert float(weights.mean()) == pytest.approx(shape, abs=4 * (shape / weights.numel()) ** 0.5)


def test_every_second_unit_facilitates_and_the_others_depress():
    rule = mixed_synapses(4, 0.2, 1.5)
    assert rule.U.tolist() == pytest.approx([0.15, 0.45] * 2)
    assert rule.tau_facil.tolist() == pytest.approx([1.5, 0.2] * 2)
    assert rule.tau_rec.tolist() == pytest.approx([0.2, 1.5] * 2)
