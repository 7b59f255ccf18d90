"""HebbianTraces, BCPNN, BennaFusi and products: what is particular to each."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

import fwsim as fw
from fwsim.rules.derive.respond import run_events
from tests.reference import synapses
from tests.rules.cases import exact


def poisson(rate, duration, batch, generator):
    """Trains [batch, spike] filled up with NaN."""
    count = torch.poisson(torch.full((batch,), rate * duration), generator=generator).long()
    times = duration * torch.rand(batch, int(count.max()), generator=generator, dtype=torch.float64)
    times[torch.arange(times.shape[1]) >= count[:, None]] = torch.nan
    return times.sort(-1).values


def test_one_pair_of_spikes():
    rule = fw.HebbianTraces(tau=2.0, eta=0.3, tau_pre=0.02, tau_post=0.05)
    pre, post = exact([0.0, 1.0]), exact([0.01])
    paired = 0.3 * math.exp(-0.01 / 0.02) * math.exp(-0.99 / 2.0)
    torch.testing.assert_close(rule.respond(pre, post), exact([0.0, paired]), rtol=1e-14, atol=0)
    # Post before pre pairs through the postsynaptic trace; the pre-spike itself still finds the old weight.
    reversed_pair = rule.respond(exact([0.01, 1.01]), exact([0.0]))
    expected = 0.3 * math.exp(-0.01 / 0.05) * math.exp(-1.0 / 2.0)
    torch.testing.assert_close(reversed_pair, exact([0.0, expected]), rtol=1e-14, atol=0)


def test_presynaptic_spike_comes_first_on_ties():
    rule = fw.HebbianTraces(tau=2.0, eta=0.3, tau_pre=0.0, tau_post=0.0)
    together = exact([1.0, 2.0])
    # Traces without duration pair simultaneous spikes only: p is marked, then the post-spike reads it.
    torch.testing.assert_close(
        rule.respond(together, together),
        exact([0.0, 0.3 * math.exp(-0.5)]),
        rtol=1e-14,
        atol=0,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tau", [0.0, 0.02])
def test_rounding_of_times_does_not_decide_which_spike_comes_first(tau, dtype):
    """0.1 + 0.2 is 0.30000000000000004."""
    rule = fw.HebbianTraces(tau=2.0, eta=0.3, tau_pre=tau, tau_post=tau)
    late, early = (torch.tensor(t, dtype=torch.float64) for t in (0.1 + 0.2, 0.3))
    if dtype == torch.float32:
        late = torch.nextafter(early.float(), torch.tensor(1.0))
    expected = rule.respond(exact([0.3, 0.5]), exact([0.3]))
    for pre, post in ((late, early), (early, late), (early, early)):
        train = torch.stack([pre.to(dtype), torch.tensor(0.5, dtype=dtype)])
        got = rule.respond(train, torch.stack([post.to(dtype), torch.tensor(torch.nan, dtype=dtype)]))
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=0)


def test_time_scales_add_up():
    generator = torch.Generator().manual_seed(0)
    pre, post = (poisson(10.0, 2.0, 4, generator) for _ in range(2))
    both = fw.HebbianTraces(tau=[0.5, 10.0], eta=[0.3, 0.05]).respond(pre, post)
    apart = sum(fw.HebbianTraces(tau=t, eta=e).respond(pre, post) for t, e in ((0.5, 0.3), (10.0, 0.05)))
    torch.testing.assert_close(both, apart, equal_nan=True)
    per_synapse = fw.HebbianTraces(tau=torch.tensor([[0.5, 10.0]] * 4), eta=[0.3, 0.05])
    torch.testing.assert_close(per_synapse.respond(pre, post), both, equal_nan=True)


def test_reduced_is_the_average_over_independent_poisson_trains():
    """The outer product that the network stores is what spikes write on average."""
    rule = fw.HebbianTraces(tau=[0.1, 0.4], eta=[0.02, 0.01], tau_pre=0.02, tau_post=0.04)
    memory = rule.reduced()
    assert isinstance(memory, fw.Hebbian)
    r_pre, r_post, duration, dt, trials = 12.0, 20.0, 4.0, 0.01, 8000
    A = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    for _ in range(round(duration / dt)):
        A = memory.write(A, exact([[r_pre]]), exact([[r_post]]), dt)
    generator = torch.Generator().manual_seed(1)
    pre, post = (poisson(r, duration, trials, generator) for r in (r_pre, r_post))
    pre = torch.cat([pre, torch.full((trials, 1), torch.nan).double()], -1)
    probe = (~pre.isnan()).sum(-1)
    pre[torch.arange(trials), probe] = duration  # a spike that reads the weight at the end
    found = rule.respond(pre, post)[torch.arange(trials), probe]
    error = float(found.std()) / math.sqrt(trials)
    predicted = float(A.sum())
    assert 4 * error < 0.05 * predicted
    assert abs(float(found.mean()) - predicted) < 4 * error


def test_reduced_has_the_published_strength():
    memory = fw.HebbianTraces(tau=[0.5, 10.0], eta=[0.3, 0.05], tau_pre=0.01, tau_post=0.03).reduced()
    torch.testing.assert_close(memory.tau, exact([0.5, 10.0]))
    torch.testing.assert_close(memory.eta_rate, exact([0.3 * 0.04, 0.05 * 0.04]))
    batched = fw.HebbianTraces(tau=torch.tensor([[0.5, 10.0], [1.0, 20.0]]), eta=0.1).reduced()
    assert batched.batch == 2
    torch.testing.assert_close(batched.tau, exact([[0.5, 10.0], [1.0, 20.0]]))


def test_reduced_chain_is_a_sum_over_its_modes():
    """κ(t) of the memory rule is the first entry of exp(Mt)."""
    rule = fw.BennaFusi(length=6, tau=0.5, eta=0.1, leak=2**-6, tau_pre=0.02, tau_post=0.02)
    memory = rule.reduced()
    assert memory.timescales == 6
    M = synapses.benna_fusi_matrix(6, 0.5, 2**-6)
    for t in (0.0, 0.3, 5.0, 100.0):
        kept = scipy.linalg.expm(M * t)[0, 0]
        kappa = (memory.eta_rate * torch.exp(-t / memory.tau)).sum() / (0.1 * 0.04)
        assert math.isclose(kappa, kept, rel_tol=1e-10)
    assert fw.BennaFusi(length=4).reduced().tau.max() == math.inf


@pytest.mark.parametrize("rule", [fw.BCPNN(), fw.HebbianTraces(w_max=1.0), fw.TsodyksMarkram(), fw.Varela(),
                                  fw.Product(fw.HebbianTraces(), fw.TsodyksMarkram())])  # fmt: skip
def test_what_is_no_outer_product_is_not_reduced(rule):
    with pytest.raises(fw.ConfigError, match="no Hebbian memory"):
        rule.reduced()


@pytest.mark.parametrize("length", [1, 2, 5, 10])
@pytest.mark.parametrize("leak", [0.0, 0.05])
def test_chain_equals_expm(length, leak):
    rule = fw.BennaFusi(length=length, tau=0.7, leak=leak)
    M = synapses.benna_fusi_matrix(length, 0.7, leak)
    start = np.random.default_rng(0).normal(size=length)
    for t in (0.1, 3.0, 200.0):
        state = {"p": 0.0, "q": 0.0, **{f"u_{k + 1}": v for k, v in enumerate(start)}}
        got = rule.propagate(state, torch.tensor(t, dtype=torch.float64))
        got = np.array([float(got[name]) for name in rule.chain])
        np.testing.assert_allclose(got, scipy.linalg.expm(M * t) @ start, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 4, 10])
def test_chain_conserves_what_it_holds(length):
    rule = fw.BennaFusi(length=length, tau=0.01, eta=0.5)
    state = {"p": 0.0, "q": 0.0, **dict.fromkeys(rule.chain, 0.0), "u_1": 1.0}
    for t in (0.1, 10.0, 1000.0):
        later = rule.propagate(state, torch.tensor(t, dtype=torch.float64))
        held = sum(C * later[name] for C, name in zip(rule.capacity(), rule.chain))
        assert math.isclose(held, 1.0, rel_tol=1e-11)


def test_chain_forgets_as_one_over_root_time():
    rule = fw.BennaFusi(length=10, tau=1.0)
    state = {"p": 0.0, "q": 0.0, **dict.fromkeys(rule.chain, 0.0), "u_1": 1.0}
    times = torch.tensor([100.0, 400.0, 1600.0, 6400.0], dtype=torch.float64)
    kept = rule.propagate(state, times)["u_1"].log()
    slopes = kept.diff() / times.log().diff()
    torch.testing.assert_close(slopes, torch.full((3,), -0.5).double(), rtol=0, atol=0.05)


def test_chain_without_leak_has_no_steady_state():
    with pytest.raises(fw.ConfigError, match="never forgets"):
        fw.BennaFusi().steady_state(10.0, 10.0, "poisson")
    with pytest.raises(fw.ConfigError, match="never forgets"):
        fw.HebbianTraces(tau=math.inf).steady_state(10.0, 10.0, "mean_field")


def test_independent_poisson_trains_give_the_closed_form():
    rule = fw.HebbianTraces(tau=1.5, eta=0.2, tau_pre=0.02, tau_post=0.05)
    steady = rule.steady_state(8.0, 5.0, "poisson")
    assert math.isclose(steady.weight, 1.5 * 0.2 * 0.07 * 8 * 5, rel_tol=1e-12)
    assert math.isclose(steady.state["p"], 8 * 0.02, rel_tol=1e-12)


def test_what_has_no_closed_moments_is_sampled_with_its_error():
    rule = fw.BCPNN(tau_pre=0.05, tau_post=0.05, tau_p=0.5)
    steady = rule.steady_state(10.0, 10.0, "poisson")
    assert 0 < steady.release_error < 0.05
    again = rule.steady_state(10.0, 10.0, "poisson")
    assert torch.equal(again.release, steady.release)  # its randomness is its own
    joint = rule.steady_state(10.0, 10.0, "mean_field").state["p_joint"]
    assert abs(steady.state["p_joint"] - joint) < 0.1 * joint  # linear, so the mean field is exact


def test_bcpnn_weights_are_log_odds():
    """Spikes together make it excitatory, apart inhibitory, and independence is 0 in the mean field."""
    rule = fw.BCPNN(tau_pre=0.01, tau_post=0.01, tau_p=2.0)
    train = torch.arange(100, dtype=torch.float64) / 10
    assert rule.respond(train, train + 0.001)[-1] > 1
    assert rule.respond(train, train + 0.05)[-1] < -1
    independent = rule.steady_state(10.0, 10.0, "mean_field")
    assert abs(independent.weight) < 1e-12
    assert math.isclose(rule.bias(independent.state), math.log(10 / 20 + 0.01), rel_tol=1e-12)


def test_bcpnn_keeps_what_it_learnt_when_kappa_is_zero():
    rule = fw.BCPNN(kappa=0.0)
    train = torch.arange(20, dtype=torch.float64) / 10
    assert torch.equal(rule.respond(train, train), torch.zeros(20).double())


def test_product_of_weight_and_release():
    generator = torch.Generator().manual_seed(0)
    pre, post = (poisson(20.0, 1.0, 3, generator) for _ in range(2))
    weight, release = fw.HebbianTraces(tau=1.0, eta=0.2), fw.TsodyksMarkram(0.2, 0.2, 1.5)
    expected = weight.respond(pre, post) * release.respond(pre)
    torch.testing.assert_close(fw.Product(weight, release).respond(pre, post), expected, equal_nan=True)
    noisy = fw.StochasticRelease(release, sites=3)
    with pytest.raises(fw.ConfigError, match="random"):
        fw.Product(weight, noisy)


def test_events_go_on_from_a_state():
    rule = fw.HebbianTraces(tau=1.0, eta=0.2)
    intervals = torch.rand(10, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    is_post = torch.arange(10)[:, None].expand(10, 2) % 3 == 0
    whole, end = run_events(rule, intervals, is_post)
    first, state = run_events(rule, intervals[:6], is_post[:6])
    second, last = run_events(rule, intervals[6:], is_post[6:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(last["w"], end["w"])
