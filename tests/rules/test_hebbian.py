"""Hebbian memory against closed forms: decay, rate, power law."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw

TAU = st.floats(0.01, 1e3)


def test_paper_decay_is_19_and_a_half_steps():
    memory = fw.Hebbian.from_decay(0.95, eta=0.5, dt=1.0)
    assert memory.tau.item() == pytest.approx(19.4957, abs=1e-4)
    assert memory.half_life().item() == pytest.approx(13.5134, abs=1e-4)
    assert memory.decay(1.0).item() == pytest.approx(0.95, abs=1e-15)
    assert memory.decay(2.0).item() == pytest.approx(0.95**2, abs=1e-15)


def test_constant_state_reaches_eta_over_one_minus_decay():
    memory = fw.Hebbian.from_decay(0.95, eta=0.5)
    state = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64)
    matrix = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    for _ in range(800):
        matrix = memory.write(matrix, state, state, 1.0)
    torch.testing.assert_close(matrix[0, 0], 10 * torch.outer(state[0], state[0]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(memory.read(matrix, state), 50 * state)


def test_a_pair_is_stored_from_pre_to_post():
    memory = fw.Hebbian.from_decay(0.9, eta=[0.5])
    pre, post = torch.eye(3, dtype=torch.float64)[:1], torch.tensor([[0.0, 2.0, 1.0]], dtype=torch.float64)
    matrix = memory.write(torch.zeros(1, 1, 3, 3, dtype=torch.float64), pre, post, 1.0)
    torch.testing.assert_close(memory.read(matrix, pre), 0.5 * post)
    assert not memory.read(matrix, post).any()


@given(tau=TAU, rate=st.floats(0.01, 10), dt=st.floats(1e-3, 10))
@settings(max_examples=50, deadline=None)
def test_eta_rate_keeps_the_memory_of_a_constant_state(tau, rate, dt):
    memory = fw.Hebbian(tau=tau, eta_rate=rate)
    total = memory.strength(dt) / (1 - memory.decay(dt))
    assert total.item() == pytest.approx(rate * tau, rel=1e-9)


def test_limits_of_the_time_constant():
    both = fw.Hebbian(tau=[0.0, math.inf], eta_rate=[1.0, 2.0])
    assert both.decay(0.5).tolist() == [0.0, 1.0]
    assert both.strength(0.5).tolist() == [0.0, 1.0]


def test_kernel_is_the_sum_of_exponentials():
    memory = fw.Hebbian(tau=[0.5, 10.0], eta=[0.3, 0.05])
    lag = torch.arange(4)
    expected = [0.3 * math.exp(-0.1 * n / 0.5) + 0.05 * math.exp(-0.1 * n / 10) for n in range(4)]
    assert memory.kernel(lag, 0.1).tolist() == pytest.approx(expected, rel=1e-14)
    assert memory.kernel(lag, 0.1)[0].item() == pytest.approx(0.35)


def test_batched_parameters_are_written_per_entry():
    memory = fw.Hebbian(tau=[[1.0, 2.0], [3.0, 4.0]], eta=[0.1, 0.2])
    assert (memory.timescales, memory.batch) == (2, 2)
    matrix = memory.write(
        torch.ones(2, 2, 1, 1).double(), torch.ones(2, 1).double(), torch.ones(2, 1).double(), 1.0
    )
    expected = [
        [math.exp(-1) + 0.1, math.exp(-1 / 2) + 0.2],
        [math.exp(-1 / 3) + 0.1, math.exp(-1 / 4) + 0.2],
    ]
    torch.testing.assert_close(matrix[..., 0, 0], torch.tensor(expected).double())


@pytest.mark.parametrize(
    ("exponent", "shortest", "longest", "tolerance", "most"),
    [
        (0.5, 0.1, 100.0, 0.01, 5),
        (0.5, 0.1, 100.0, 0.001, 7),
        (1.0, 1.0, 1000.0, 0.01, 6),
        (2.0, 0.01, 0.1, 0.05, 3),
    ],
)
def test_power_law_within_tolerance_over_the_whole_range(exponent, shortest, longest, tolerance, most):
    memory = fw.Hebbian.power_law(
        exponent=exponent, shortest=shortest, longest=longest, strength=0.5, tolerance=tolerance
    )
    age = torch.logspace(math.log10(shortest), math.log10(longest), 1777, dtype=torch.float64)
    kernel = (memory.eta * torch.exp(-age[:, None] / memory.tau)).sum(-1)
    worst = (kernel / (0.5 * (age / shortest) ** -exponent) - 1).abs().max().item()
    assert worst <= tolerance * 1.001
    assert kernel[0].item() == pytest.approx(0.5, rel=tolerance * 1.001)
    assert memory.timescales <= most
    assert memory.power_law_error(exponent, shortest=shortest, longest=longest) <= worst


def test_the_error_of_a_power_law_is_that_of_its_best_multiple():
    """e^{−Δ/τ} Δ^p rises while Δ < pτ; the best multiple misses its two ends by the same share."""
    first, last = np.exp(-0.1 / 40.0), np.exp(-10.0 / 40.0) * 100.0**0.5  # at ages 0.1 and 10, below 0.5·40
    for strength in (0.5, 7.0):
        error = fw.Hebbian(tau=40.0, eta=strength).power_law_error(0.5, shortest=0.1, longest=10.0)
        assert error == pytest.approx((last - first) / (last + first))


@pytest.mark.parametrize(
    "other",
    [{"eta_rate": 0.1}, {"eta": 0.1, "oja": True}, {"eta": [0.1, 0.2], "axes": "post"}],
    ids=["a strength per second", "Oja's decay", "a strength for each neuron"],
)
def test_other_memories_have_no_error_of_a_power_law(other):
    memory = fw.Hebbian(tau=1.0, **other)
    with pytest.raises(fw.ConfigError, match="power_law_error needs eta"):
        memory.power_law_error(0.5, shortest=0.1, longest=1.0)


def test_power_law_uses_the_smallest_number_of_terms():
    """The best three exponentials come within 7.19 % of Δ^−½ over three decades: the error equioscillates."""
    law = {"exponent": 0.5, "shortest": 0.1, "longest": 100.0}
    assert fw.Hebbian.power_law(**law, tolerance=0.073).timescales == 3
    assert fw.Hebbian.power_law(**law, tolerance=0.071).timescales == 4
    memory = fw.Hebbian.power_law(**law, tolerance=0.073)
    age = np.geomspace(0.1, 100.0, 20_000)
    error = np.exp(-age[:, None] / memory.tau.numpy()) @ memory.eta.numpy() * (age / 0.1) ** 0.5 - 1
    peaks = error[1:-1][np.diff(np.sign(np.diff(error))) != 0]
    peaks = np.concatenate([error[:1], peaks, error[-1:]])
    np.testing.assert_allclose(
        peaks, 0.0719 * (-1.0) ** np.arange(1, 8), rtol=5e-3
    )  # 2·3 + 1 extrema (Chebyshev)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"tau": -1.0, "eta": 0.5}, "tau=-1"),
        ({"tau": 1.0, "eta": float("nan")}, "eta=nan"),
        ({"tau": 1.0}, "exactly one"),
        ({"tau": 1.0, "eta": 0.1, "eta_rate": 0.1}, "exactly one"),
        ({"tau": [1.0, 2.0], "eta": [0.1, 0.2, 0.3]}, r"tau \[2\], eta \[3\]"),
        ({"tau": "soon", "eta": 0.5}, "soon"),
        ({"tau": [[[1.0]]], "eta": 0.5}, r"\[batch, timescale\]"),
    ],
)
def test_wrong_parameters_say_what_is_wrong(arguments, says):
    with pytest.raises(fw.ConfigError, match=says):
        fw.Hebbian(**arguments)


def test_a_decay_of_one_never_forgets():
    memory = fw.Hebbian.from_decay([1.0, 0.0], eta=0.5)
    assert memory.tau.tolist() == [float("inf"), 0.0]
    assert memory.decay(1.0).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"decay": 1.5}, "decay=1.5"), ({"decay": -0.1}, "decay=-0.1"), ({"decay": 0.9, "dt": 0.0}, "dt=0.0")],
)
def test_wrong_decays(arguments, says):
    with pytest.raises(fw.ConfigError, match=says):
        fw.Hebbian.from_decay(**arguments, eta=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"exponent": -1}, "exponent=-1"),
        ({"shortest": 3}, "longest=2"),
        ({"tolerance": 0}, "tolerance=0"),
        ({"exponent": "1"}, "exponent='1'"),
    ],
)
def test_wrong_power_laws(change, says):
    with pytest.raises(fw.ConfigError, match=says):
        fw.Hebbian.power_law(**{"exponent": 1, "shortest": 1, "longest": 2} | change)


def test_a_power_law_out_of_reach_says_how_near_it_came(monkeypatch):
    monkeypatch.setattr("fwsim.rules.power_law.MOST_TERMS", 3)
    with pytest.raises(fw.ConfigError, match=r"not reached with 3 time scales \(got 0.07"):
        fw.Hebbian.power_law(0.5, shortest=0.1, longest=100.0, tolerance=0.071)


def test_a_memory_rule_has_no_spikes():
    with pytest.raises(fw.ConfigError, match="HebbianTraces"):
        fw.Hebbian(tau=1.0, eta=0.5).respond(torch.zeros(3))
