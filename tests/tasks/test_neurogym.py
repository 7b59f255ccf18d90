"""Trials of neurogym: padding and seeds with an environment of our own, and with neurogym's where it is installed."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.tasks import supervised


class Counting:
    """Trial n has n + 2 steps, in which the input counts and the right answer is the parity."""

    def seed(self, seed):
        self.number = seed

    def new_trial(self):
        steps = np.arange(self.number + 2)
        self.ob = np.stack([steps, steps + 0.5], 1)
        self.gt = steps % 2
        self.number += 1


def test_trials_are_padded_and_repeat_with_the_seed():
    trials = supervised(Counting(), 3, seed=1)
    assert trials.inputs.shape == (3, 5, 2)
    assert trials.target.dtype == torch.long
    assert trials.weight.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert trials.inputs[1, :, 1].tolist() == [0.5, 1.5, 2.5, 3.5, 0]
    assert trials.target[2].tolist() == [0, 1, 0, 1, 0]
    assert all(torch.equal(a, b) for a, b in zip(trials, supervised(Counting(), 3, seed=1)))
    assert trials.to("cpu").inputs is trials.inputs


def test_seeds_of_environments_are_below_2_31():
    class Seeded(Counting):
        def seed(self, seed):
            self.number = self.given = seed if seed < 2**31 else 0

    environment = Seeded()
    supervised(environment, 1, seed=2**31 + 5)
    assert environment.given == 5


def test_what_has_no_trials_is_refused():
    with pytest.raises(fw.ConfigError, match=r"object has no seed\(\)"):
        supervised(object(), 3, seed=0)

    class Unanswered(Counting):
        def new_trial(self):
            self.ob = np.zeros((2, 1))

    with pytest.raises(fw.ConfigError, match=r"Unanswered has no gt after new_trial\(\)"):
        supervised(Unanswered(), 3, seed=0)


def test_delayed_match_of_neurogym():
    """Right answers are those of the trial that the environment itself describes."""
    neurogym = pytest.importorskip("neurogym", reason="neurogym is not installed", exc_type=ImportError)
    env = neurogym.make("DelayMatchSample-v0", dt=20)
    trials = supervised(env, 20, seed=3)
    assert trials.inputs.shape[2] == env.observation_space.shape[0]
    assert set(trials.target.unique().tolist()) <= set(range(env.action_space.n))
    env.unwrapped.seed(3)
    for row in range(20):
        env.unwrapped.new_trial()
        kept = trials.weight[row].bool()
        np.testing.assert_array_equal(trials.target[row, kept], env.unwrapped.gt)
        np.testing.assert_allclose(trials.inputs[row, kept], env.unwrapped.ob, rtol=1e-6)
        assert trials.target[row, kept][-1] == env.unwrapped.trial["ground_truth"]
