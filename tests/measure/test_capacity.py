"""Simulated networks on the theoretical curves: N = 2000, bands as the theory's own finite-size scatter allows."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.study import Context, load_experiment

N = 2000


def iterated(iterate, states, times):
    """States after so many iterations (an even number), without repeating what has become periodic."""
    states, before, moving = states.clone(), torch.full_like(states, torch.nan), torch.arange(len(states))
    for done in range(times):
        after = iterate(states[moving])
        turns = (after == before[moving]).all(-1)  # between two states, of which the even iterations have one
        moves = (after != states[moving]).any(-1) & ~(turns & (done % 2 == 1))
        before[moving], states[moving], moving = states[moving], after, moving[moves]
    return states


def recall_all(patterns, tau, ages, self_connections=False):
    """Overlaps of patterns of these ages, started from themselves, in sign networks that stored all of them."""
    net = fw.FastWeightNetwork(
        1, patterns.shape[-1], fw.Hebbian(tau=tau, eta=1.0), activation="sign", normalise="none",
        self_connections=self_connections,
    )  # fmt: skip
    with torch.no_grad():
        state = net.store(net.initial_state(1), patterns[None])
        loop = fw.measure.InnerLoop.of(net, state, torch.zeros(1))
        targets = patterns.flip(0)[torch.as_tensor(ages)]
        states = iterated(loop, targets, 100)
    return (states * targets).mean(-1).numpy()


def random_patterns(count, seed, units=N):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count, units), generator=generator).float() * 2 - 1


@pytest.mark.parametrize("alpha", [0.05, 0.10, 0.12])
def test_hopfield_overlap_is_within_002_of_theory(alpha):
    overlaps = [recall_all(random_patterns(round(alpha * N), seed), math.inf, range(40)) for seed in range(5)]
    assert np.mean(overlaps) == pytest.approx(float(fw.theory.hopfield_overlap(alpha)), abs=0.002)


YOUNG, MIDDLE, OLD = range(70), range(85, 125, 5), range(155, 165)


@pytest.fixture(scope="module")
def palimpsest():
    """Overlaps `[seed, age]` at the optimal decay, at ages up to .035 N, around the capacity, and at .08 N."""
    tau = float(fw.theory.tau_from_epsilon(4.10812, N))
    ages = [*YOUNG, *MIDDLE, *OLD]
    return np.array(
        [recall_all(random_patterns(round(7 * tau), seed), tau, ages) for seed in range(100, 120)]
    )


def test_palimpsest_is_within_001_of_theory_up_to_age_035(palimpsest):
    theory = fw.theory.palimpsest_overlap(np.array(YOUNG) / N, 4.10812)
    difference = (palimpsest[:, :70].mean(0) - theory).reshape(7, 10).mean(1)
    assert np.abs(difference).max() <= 0.001


def test_palimpsest_has_forgotten_at_age_08(palimpsest):
    late = palimpsest[:, -10:].mean()
    assert late < 0.2
    assert late == pytest.approx(0.11, abs=0.025)


def test_palimpsest_crosses_over_at_the_capacity(palimpsest):
    """The age at which half of the items are lost; the transition smears over .045 to .06 N at this size."""
    held = (palimpsest[:, 70:78] > 0.9).mean(0)
    half = MIDDLE[int(np.argmax(held < 0.5))] / N
    assert 0.045 < half < 0.06


def test_kept_self_connections_are_another_network():
    tau = float(fw.theory.tau_from_epsilon(4.10812, N))
    patterns = [random_patterns(round(7 * tau), seed) for seed in range(3)]
    overlaps = [recall_all(one, tau, OLD, self_connections=True) for one in patterns]
    assert np.mean(overlaps) == pytest.approx(0.59, abs=0.04)


def attended(states, patterns, weights):
    """One iteration in the attention form, without a matrix."""
    return torch.sign((states @ patterns.T * weights) @ patterns - weights.sum() * states)


def test_several_time_scales_lie_on_the_generalised_curve():
    tau0 = float(fw.theory.tau_from_epsilon(4.10812, N))
    tau, eta = np.array([tau0 / 3, 3 * tau0]), np.array([1.0, 0.3])
    spectrum = fw.theory.Spectrum.from_tau(tau, eta, N)
    overlaps = []
    for seed in range(3):
        patterns = random_patterns(round(6 * tau[1]), seed)
        net = fw.FastWeightNetwork(
            1, N, fw.Hebbian(tau=tau.tolist(), eta=eta.tolist()), activation="sign", normalise="none",
            self_connections=False,
        )  # fmt: skip
        with torch.no_grad():
            weights = net.memory.kernel(torch.arange(len(patterns) - 1, -1, -1), net.dt).float()
            targets = patterns.flip(0)[:110]
            states = iterated(partial(attended, patterns=patterns, weights=weights), targets, 30)
        overlaps.append((states * targets).mean(-1).numpy())
    measured = np.array(overlaps).mean(0)
    theory = fw.theory.palimpsest_overlap(np.arange(110) / N, spectrum)
    capacity = float(fw.theory.palimpsest_capacity(spectrum))
    young = np.arange(110) / N < 0.65 * capacity
    assert np.abs(measured - theory)[young].reshape(-1, 6).mean(1).max() < 0.003
    assert 0.9 * capacity < np.argmax(measured < 0.6) / N < 1.35 * capacity


def test_quick_experiment_and_analysis(tmp_path):
    experiment = load_experiment("capacity")
    config = experiment.configure(
        {
            "units": (100, 200),
            "trials": 2,
            "decay_units": 100,
            "comparison_units": 100,
            "epsilons": (3.0, 4.1),
        }
    )
    recording = experiment.run(config, Context(Path(tmp_path)))
    assert recording["overlap"].dims == ("units", "trial", "lag")
    assert recording["overlap"].sel(units=100).notnull().sum("lag").values.tolist() == [10, 10]
    assert recording["overlap"].isel(lag=0).values == pytest.approx(1.0, abs=0.05)
    for name in ("centred", "shuffled", "no_memory"):
        assert recording[f"condition_{name}"].sizes["condition"] == 6
    relu = recording.sel(condition="relu")
    assert float(relu.condition_centred.mean()) > float(relu.condition_no_memory.mean())
