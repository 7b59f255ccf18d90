"""Rate networks whose synapses follow a rule, against what the rule says by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim import ms
from tests.engine.rates import ASSOCIATIVE, PRESYNAPTIC, TM, constant, last, random, tensor


@pytest.mark.parametrize("name", PRESYNAPTIC)
def test_a_population_at_a_rate_settles_where_the_rule_says(name):
    rule, rate = PRESYNAPTIC[name], tensor(0.5, 5.0, 40.0)
    net = fw.RateNetwork(fw.Projection(np.zeros((3, 3)), synapse=rule), tau=1 * ms, dt=25 * ms)
    run = fw.simulate(
        net, steps=8_000, drive=lambda a, b: constant(rate, b - a), record=["release"], every=8_000
    )
    expected = rule.steady_state(rate, "mean_field").release
    np.testing.assert_allclose(run["release"][0, -1, 0], expected, rtol=1e-8)


def test_a_recurrent_population_against_the_steady_state_of_its_rule():
    """Self-consistency r = α ln(1 + e^{(J u x r + I)/α}) holds with the rule's own mean field."""
    rule, J, drive = fw.TsodyksMarkram(**TM), 3.0, 4.0
    net = fw.RateNetwork(fw.Projection([[J]], synapse=rule), tau=8 * ms, gain=fw.softplus(1.5), dt=1 * ms)
    rate, _ = last(net, constant([drive], 5_000))
    release = rule.steady_state(rate[0].detach(), "mean_field").release
    np.testing.assert_allclose(rate[0].detach(), net.gain(J * release * rate[0].detach() + drive), rtol=1e-9)
    assert float(rate) > 5.0


def test_the_mean_field_is_close_to_poisson_trains_and_says_how_far():
    """u of a Poisson train is exact in the mean field; the product u x is not."""
    rule = fw.TsodyksMarkram(**TM)
    net = fw.RateNetwork(fw.Projection([[0.0]], synapse=rule), tau=1 * ms, dt=5 * ms)
    _, state = last(net, constant([10.0], 5000))
    poisson = rule.steady_state(10.0, "poisson")
    np.testing.assert_allclose(state.variables["u"].flatten().detach(), poisson.state["u"], rtol=1e-8)
    mean_field = state.variables["u"] * state.variables["x"]
    assert 0.005 < abs(float(mean_field) / float(poisson.release) - 1) < 0.3


@pytest.mark.parametrize("name", ASSOCIATIVE)
def test_associative_synapses_settle_where_the_rule_says(name):
    rule, rate = ASSOCIATIVE[name], tensor(4.0, 15.0)
    net = fw.RateNetwork(fw.Projection(np.zeros((2, 2)), synapse=rule), tau=1 * ms, dt=25 * ms)
    run = fw.simulate(
        net, steps=2000, drive=lambda a, b: constant(rate, b - a), record=["weight"], every=2000
    )
    expected = rule.steady_state(rate[None, :], rate[:, None], "mean_field").weight
    np.testing.assert_allclose(run["weight"][0, -1, 0], expected, rtol=1e-5, atol=1e-8)


def test_associative_synapses_scale_the_weights_they_sit_on():
    rule, W = fw.HebbianTraces(tau=0.5, eta=0.02), random(2, 2)
    net = fw.RateNetwork(fw.Projection(W, synapse=rule), tau=1 * ms, gain=fw.tanh, dt=1 * ms)
    run = fw.simulate(net, constant([0.5, 1.0], 4000), record=["weight", "hidden", "rate"], every=4000)
    efficacy, rate = run["weight"][0, 0, 0].values, run["rate"][0, 0].values
    np.testing.assert_allclose(run["hidden"][0, 0], (W.numpy() * efficacy) @ rate + [0.5, 1.0], rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    U=st.floats(0.01, 1.0),
    tau_rec=st.floats(0.01, 3.0),
    tau_facil=st.floats(0.0, 3.0),
    rate=st.floats(0.0, 100.0),
    convention=st.sampled_from(["maass2002", "tm1998", "mongillo2008"]),
)
def test_resources_stay_between_0_and_1(U, tau_rec, tau_facil, rate, convention):
    rule = fw.TsodyksMarkram(U=U, tau_rec=tau_rec, tau_facil=tau_facil, convention=convention)
    net = fw.RateNetwork(fw.Projection([[0.0]], synapse=rule), tau=5 * ms, dt=1 * ms)
    run = fw.simulate(net, constant([rate], 300), record=["u", "x", "release"])
    for name in ("u", "x", "release"):
        assert 0 <= float(run[name].min()) <= float(run[name].max()) <= 1 + 1e-12
