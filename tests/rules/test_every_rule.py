"""What must hold for every rule, whatever it does."""

import math
from functools import partial

import brian2
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.rules.derive.propagate import transition
from fwsim.rules.derive.sampling import sample_poisson
from fwsim.rules.derive.symbols import structure
from fwsim.rules.parameters import as_tensors, leaves, replaced
from fwsim.rules.rule import AssociativeRule, PresynapticRule
from tests.reference import synapses
from tests.rules.cases import BY_HAND, CASES, IN_TABLE, SETTLING, exact, respond, settle, trains

every = pytest.mark.parametrize("name", CASES)
settling = pytest.mark.parametrize("name", SETTLING)
PRE, POST = trains(3, 12, seed=1), trains(3, 15, seed=2)


def visited(rule, seed=0):
    """A state [3] that spikes have led to."""
    from fwsim.rules.derive.respond import run_events

    generator = torch.Generator().manual_seed(seed)
    intervals = 0.1 * torch.rand(20, 3, generator=generator, dtype=torch.float64)
    is_post = torch.rand(20, 3, generator=generator) < 0.5
    return run_events(rule, intervals, is_post if isinstance(rule, AssociativeRule) else None)[1]


def test_cases_cover_the_table():
    assert {type(rule) for rule in CASES.values()} >= set(IN_TABLE)
    assert CASES.keys() == BY_HAND.keys()


@every
def test_response_equals_integration_by_hand(name):
    for pre, post in zip(PRE[:2], POST[:2]):
        by_hand = synapses.respond(
            BY_HAND[name],
            pre.tolist(),
            post.tolist() if isinstance(CASES[name], AssociativeRule) else [],
        )
        got = respond(CASES[name], pre, post)
        np.testing.assert_allclose(got, by_hand, rtol=1e-7, atol=1e-9)


@every
def test_propagation_is_a_semigroup(name):
    rule = CASES[name]
    state = visited(rule)
    together = rule.propagate(state, 0.37)
    apart = rule.propagate(rule.propagate(state, 0.3), 0.07)
    for variable in state:
        torch.testing.assert_close(apart[variable], together[variable], rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(
            rule.propagate(state, 0.0)[variable], state[variable], rtol=1e-13, atol=1e-14
        )


@every
def test_propagation_equals_expm_of_the_drift(name):
    rule = CASES[name]
    state = {variable: value[0] for variable, value in visited(rule).items()}
    rest = {variable: float(value) for variable, value in rule.rest().items()}
    columns = [list(rule.drift({**rest, j: rest[j] + 1.0}).values()) for j in rest]
    flow = scipy.linalg.expm(0.2 * np.array(columns, dtype=float).T)
    expected = np.array(list(rest.values())) + flow @ np.array([float(state[j]) - rest[j] for j in rest])
    got = np.array([float(value) for value in rule.propagate(state, 0.2).values()])
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


@every
def test_rest_stays(name):
    rule = CASES[name]
    for variable, value in rule.propagate(rule.rest(), 1.0).items():
        assert math.isclose(float(value), float(rule.rest()[variable]), abs_tol=1e-15)


@pytest.mark.parametrize("name", [name for name in CASES if name != "bcpnn"])
def test_time_constant_of_zero_is_the_limit_of_small_ones(name):
    """Not of BCPNN: without memory P_ij/(P_i P_j) is that of one instant, which is infinitely sharp."""
    rule = CASES[name]
    optional = [leaf for leaf, _, spec in leaves(rule) if spec.unit == "s" and not spec.positive]
    for zeroed in optional:
        at = lambda tau: replaced(rule, lambda leaf, value, _: tau if leaf == zeroed else value)  # noqa: B023, E731
        limit, small = respond(at(0.0), PRE, POST), respond(at(1e-9), PRE, POST)
        assert limit.isfinite().all()
        torch.testing.assert_close(limit, small, rtol=1e-5, atol=1e-7)


@every
def test_batch_equals_single(name):
    rule = CASES[name]
    together = respond(rule, PRE, POST)
    for row in range(3):
        torch.testing.assert_close(together[row], respond(rule, PRE[row], POST[row]), rtol=1e-13, atol=1e-15)


@every
def test_parameters_broadcast(name):
    """Heterogeneous synapses respond as each would alone."""
    rule = CASES[name]
    scale = torch.tensor([0.5, 0.9, 1.0], dtype=torch.float64)
    mixed = respond(replaced(rule, lambda leaf, value, spec: value * scale), PRE, POST)
    for row, factor in enumerate(scale.tolist()):
        alone = replaced(rule, lambda leaf, value, spec: value * factor)  # noqa: B023
        torch.testing.assert_close(mixed[row], respond(alone, PRE[row], POST[row]), rtol=1e-11, atol=1e-13)


@every
def test_padding_changes_nothing(name):
    rule = CASES[name]
    pad = torch.full((3, 4), torch.nan, dtype=torch.float64)
    padded = respond(rule, torch.cat([PRE, pad], -1), torch.cat([POST, pad], -1))
    assert torch.equal(padded[:, :12], respond(rule, PRE, POST))
    assert padded[:, 12:].isnan().all()


@every
def test_time_origin_does_not_matter(name):
    rule = CASES[name]
    torch.testing.assert_close(
        respond(rule, PRE + 8, POST + 8), respond(rule, PRE, POST), rtol=1e-11, atol=1e-13
    )


@every
def test_precision_of_times_is_kept(name):
    single = respond(CASES[name], PRE.float(), POST.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), respond(CASES[name], PRE, POST), rtol=2e-3, atol=2e-4)


@every
def test_no_spikes_no_response(name):
    nothing = torch.empty(3, 0, dtype=torch.float64)
    assert respond(CASES[name], nothing, POST).shape == (3, 0)
    assert respond(CASES[name], PRE, nothing).shape == (3, 12)


@every
def test_gradients_equal_finite_differences(name):
    rule = as_tensors(CASES[name])
    values = [value.clone().requires_grad_() for _, value, _ in leaves(rule)]
    pre, post = PRE[:1, :5], POST[:1, :5]
    pad = torch.full((1, 2), torch.nan, dtype=torch.float64)

    def response(*parameters):
        supply = iter(parameters)
        changed = replaced(rule, lambda *leaf: next(supply))
        return respond(changed, torch.cat([pre, pad], -1), torch.cat([post, pad], -1))[:, :5]

    # Where the leak is 0 or two times are equal, a closed form must still be differentiable.
    assert torch.autograd.gradcheck(response, values, eps=1e-7, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in SETTLING if name != "hebbian_saturating"])
def test_steady_gradients_equal_finite_differences(name):
    """Not of weights at their bound, whose slope is that of the bound."""
    rule = as_tensors(CASES[name])
    values = [value.clone().requires_grad_() for _, value, _ in leaves(rule)]

    def release(*parameters, train):
        supply = iter(parameters)
        return settle(replaced(rule, lambda *leaf: next(supply)), 12.0, 12.0, train).release

    for train in ("regular", "mean_field"):
        at_train = partial(release, train=train)
        assert torch.autograd.gradcheck(at_train, values, eps=1e-6, atol=1e-5, rtol=1e-4)


@settling
def test_regular_steady_state_is_where_a_long_train_ends(name):
    rule, lag = CASES[name], 0.013
    state = settle(rule, 12.0, 12.0, "regular", lag=lag)
    period_map = [transition(rule, torch.tensor(t, dtype=torch.float64)) for t in (lag, 1 / 12 - lag)]
    after = rule.at_pre(state.state)[0]
    if isinstance(rule, AssociativeRule):
        after = rule.at_post(period_map[0](after))
    else:
        after = period_map[0](after)
    again = period_map[1](after)
    for variable, value in state.state.items():
        torch.testing.assert_close(again[variable], value, rtol=1e-11, atol=1e-13)
    spikes = torch.arange(1800, dtype=torch.float64) / 12
    if name not in ("enhancement", "benna_fusi"):  # which take an hour to settle
        got = respond(rule, spikes, spikes + lag)[-1]
        torch.testing.assert_close(got, state.release, rtol=1e-6, atol=1e-9)


@settling
def test_mean_field_is_the_average_of_jumps(name):
    """Over a short time the state drifts, and jumps with probability rate × time."""
    rule, pre, post, dt = CASES[name], 7.0, 4.0, 1e-7
    state = visited(rule)
    drifted = rule.propagate(state, dt)
    after_pre, after_post = rule.at_pre(state)[0], rule.at_post(state)
    flow = rule.rate_dynamics().drift(state, pre, post)
    for variable, value in state.items():
        mean = (
            drifted[variable] - value
            + dt * pre * (after_pre[variable] - value)
            + dt * post * (after_post[variable] - value)
        )  # fmt: skip
        torch.testing.assert_close(flow[variable], mean / dt, rtol=1e-4, atol=1e-6)


@settling
def test_mean_field_steady_state_stands_still(name):
    rule = CASES[name]
    steady = settle(rule, 7.0, 4.0, "mean_field")
    for variable, change in rule.rate_dynamics().drift(steady.state, 7.0, 4.0).items():
        assert abs(float(change)) <= 1e-10 * (1 + abs(float(steady.state[variable])))
    assert torch.equal(rule.rate_dynamics().release(steady.state), steady.release)


@settling
def test_silence_leads_to_rest(name):
    for train in ("regular", "poisson", "mean_field"):
        steady = settle(CASES[name], 0.0, 0.0, train)
        for variable, value in CASES[name].rest().items():
            assert math.isclose(float(steady.state[variable]), float(value), abs_tol=1e-12)


@pytest.mark.parametrize(
    "name", ["tm_maass2002", "tm1998", "varela", "hebbian_traces", "benna_fusi", "product"]
)
def test_poisson_moments_equal_sampling(name):
    rule = CASES[name]
    moments = settle(rule, 6.0, 5.0, "poisson")
    mean_field = settle(rule, 6.0, 5.0, "mean_field")
    pre, post = (
        exact(6.0),
        exact(0.0 if isinstance(rule, PresynapticRule) else 5.0),
    )
    if name == "varela":  # start from the exact mean, since depression lasts 9 s
        mean_field = moments
    sampled, error, state = sample_poisson(as_tensors(rule), pre, post, mean_field.state)
    assert moments.release_error <= 1e-9
    assert 0 < error < 0.05 * abs(moments.release)
    assert abs(sampled - moments.release) < 4 * error
    for variable, value in state.items():
        torch.testing.assert_close(value, moments.state[variable], rtol=0.05, atol=0.01)


def test_sampling_forgets_its_start_and_knows_its_error(monkeypatch):
    for name, number in {"TRAINS": 20, "CHUNK": 50, "CHUNKS": 2}.items():
        monkeypatch.setattr(f"fwsim.rules.derive.sampling.{name}", number)
    rule = fw.TsodyksMarkram(U=0.005, tau_rec=5.0, tau_facil=0.0)
    exactly = rule.steady_state(20.0, "poisson")
    full = rule.steady_state(0.0, "poisson").state
    means, errors, state = sample_poisson(as_tensors(rule), exact([20.0] * 400), exact(0.0), full)
    assert means.mean() == pytest.approx(float(exactly.release), rel=0.01)  # not half as much more
    assert state["x"].mean() == pytest.approx(float(exactly.state["x"]), rel=0.01)
    assert means.std() == pytest.approx(float(errors.square().mean().sqrt()), rel=0.15)


def test_rates_broadcast_against_parameters():
    rule = fw.TsodyksMarkram(
        U=torch.tensor([[0.2], [0.5]]), tau_rec=0.2, tau_facil=torch.tensor([[0.0], [1.0]])
    )
    rates = torch.tensor([0.0, 5.0, 50.0])
    for train in ("regular", "poisson", "mean_field"):
        steady = rule.steady_state(rates, train)
        assert steady.release.shape == steady.state["x"].shape == steady.release_error.shape == (2, 3)
        alone = fw.TsodyksMarkram(U=0.5, tau_rec=0.2, tau_facil=1.0).steady_state(50.0, train)
        torch.testing.assert_close(steady.release[1, 2], alone.release, rtol=1e-10, atol=0)


BOUNDS = {
    "u": (0, 1), "x": (0, 1), "y": (0, 1), "D": (0, 1), "F": (0, math.inf), "A": (0, math.inf),
    "P": (0, math.inf), "p": (0, math.inf), "q": (0, math.inf), "z": (0, math.inf), "w": (0, math.inf),
    "c": (0, math.inf), "b": (0, math.inf), "e": (0, 1), "s": (-math.inf, math.inf),
}  # fmt: skip


@every
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_states_stay_within_bounds(name, data):
    fraction = st.floats(0.0, 1.0)
    times = st.floats(1e-4, 10.0)
    draw = lambda leaf, value, spec: data.draw(  # noqa: E731
        times if spec.unit == "s" else fraction if spec.high == 1 else st.just(value), label=leaf
    )
    rule = replaced(CASES[name], draw)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    state = {k: torch.as_tensor(float(v), dtype=torch.float64) for k, v in rule.rest().items()}
    for _ in range(12):
        state = rule.propagate(state, float(-0.05 * torch.rand((), generator=generator).log()))
        state = rule.at_pre(state)[0] if torch.rand((), generator=generator) < 0.6 else rule.at_post(state)
        for variable, value in state.items():
            low, high = (0, math.inf) if variable.startswith("u_") else BOUNDS[variable[0]]
            assert low - 1e-12 <= value <= high + 1e-12, (variable, value)
        if "y" in state:
            assert state["x"] + state["y"] <= 1 + 1e-12
        if getattr(rule, "w_max", None):
            assert state["w"] <= rule.w_max[0]


@every
def test_equations_and_latex_name_every_variable(name):
    rule = CASES[name]
    text, latex = str(rule.equations()), rule.latex()
    for variable in rule.rest():
        assert f"d{variable}/dt" in text
    assert rule.output in text
    assert latex.count(r"\frac{d") >= len(rule.rest())
    assert latex.startswith(r"\begin{align*}") and latex.endswith(r"\end{align*}")  # noqa: PT018


def test_variables_live_where_spikes_reach_them():
    places = CASES["product"].places()
    assert places == {"p": "pre", "q": "post", "w_1": "synapse", "w_2": "synapse", "u": "pre", "x": "pre"}
    bcpnn = CASES["bcpnn"].places()
    assert {v for v, place in bcpnn.items() if place == "synapse"} == {"c", "p_joint"}


def test_rate_dynamics_keep_variables_where_they_live():
    """[batch, post, pre] at synapses, [batch, 1, pre] and [batch, post, 1] at neurons."""
    rule = CASES["bcpnn"]
    shape = {"pre": (2, 1, 4), "post": (2, 3, 1), "synapse": (2, 3, 4)}
    state = {v: torch.full(shape[place], 0.3) for v, place in rule.places().items()}
    pre, post = torch.rand(2, 1, 4), torch.rand(2, 3, 1)
    for variable, change in rule.rate_dynamics().drift(state, pre, post).items():
        assert change.shape == shape[rule.places()[variable]]


def test_instant_variables_follow_under_rates():
    """Time constants of 0 in the rate dynamics are the limit of small ones."""
    state = {"u": 0.0, "x": 0.6, "y": 0.0}
    zero = fw.TsodyksMarkram(0.4, 0.2, 0.5, "tm1998", tau_inact=0.0).rate_dynamics().drift(state, 10.0)
    assert zero["y"] == 0
    assert math.isclose(zero["x"], 0.4 / 0.2 - 10 * 0.4 * 0.6)
    depressing = fw.TsodyksMarkram(0.4, 0.2, 0.0).rate_dynamics()
    assert depressing.drift({"u": 0.4, "x": 0.7}, 10.0)["u"] == 0
    fast = fw.TsodyksMarkram(0.4, 0.0, 0.5, "tm1998", tau_inact=0.3)
    state = {"u": 0.0, "x": 0.8, "y": 0.2}
    change = fast.rate_dynamics().drift(state, 10.0)
    assert math.isclose(change["x"], -change["y"])  # x stays at 1 − y


def test_structure_is_shared_by_all_values_of_parameters():
    assert structure(fw.TsodyksMarkram(0.1)) is structure(fw.TsodyksMarkram(torch.rand(5)))
    assert structure(fw.TsodyksMarkram(0.1)) is not structure(fw.TsodyksMarkram(0.1, convention="mixed"))


INSTANT = {
    "depression": (fw.TsodyksMarkram(0.3, 0.0, 0.5), [0.3, 0.51]),
    "utilisation of tm1998": (fw.TsodyksMarkram(0.3, 0.2, 0.0, "tm1998"), [0.3, 0.21]),
    "raised utilisation": (fw.TsodyksMarkram(0.3, 0.2, 0.0, "mongillo2008"), [0.51, 0.51 * 0.49]),
    "inactivation": (fw.TsodyksMarkram(0.3, 0.0, 0.0, "tm1998", tau_inact=0.0), [0.3, 0.3]),
    "recovery of what is inactive": (fw.TsodyksMarkram(0.3, 0.0, 0.0, "tm1998", tau_inact=0.1), [0.3, 0.21]),
    "facilitation of Varela": (fw.Varela(f=0.9, tau_F=0.0, d=1.0, tau_D=1.0), [1.0, 1.0]),
    "depression of Varela": (fw.Varela(f=0.0, d=(0.5, 0.8), tau_D=(0.0, 1.0)), [1.0, 0.8]),
    "enhancement": (
        fw.Enhancement(facilitation=(0.8, 0.1), tau_facilitation=(0.0, 1.0), augmentation=(), tau_augmentation=(),
                       potentiation=(), tau_potentiation=()), [1.0, 1.1]),
    "trace of the linear-nonlinear rule": (
        fw.LinearNonlinear(baseline=0.0, a=(2.0,), tau_trace=(0.0,), readout="logistic"), [0.5, 0.5]),
}  # fmt: skip


@pytest.mark.parametrize("name", INSTANT)
def test_what_relaxes_instantly_is_at_rest_for_a_simultaneous_spike(name):
    rule, expected = INSTANT[name]
    twice = rule.respond(torch.tensor([0.5, 0.5], dtype=torch.float64))
    np.testing.assert_allclose(twice, expected, rtol=1e-14)
    soon = rule.respond(torch.tensor([0.5, 0.5 + 1e-12], dtype=torch.float64))
    np.testing.assert_allclose(soon, expected, rtol=1e-8)  # the limit of ever shorter intervals
    kept = rule.propagate(rule.at_pre(rule.rest())[0], 0.0)
    np.testing.assert_allclose(rule.at_pre(kept)[1], expected[1], rtol=1e-14)


@pytest.mark.usefixtures("numpy_target")
@pytest.mark.parametrize("name", INSTANT)
def test_brian2_lets_what_relaxes_instantly_rest_between_spikes_of_one_step(name):
    """Two pathways of a model may reach one synapse in a step."""
    rule, expected = INSTANT[name]
    code = rule.brian2()
    source = brian2.SpikeGeneratorGroup(1, [0], [0] * brian2.second)
    target = brian2.NeuronGroup(1, "")
    second = f"{code.on_pre}\nread_again = {code.output}"
    synapse = brian2.Synapses(
        source, target, f"{code.model}\nread_again : 1", on_pre={"pre": code.on_pre, "also": second}
    )
    synapse.also.order = 1
    synapse.connect()
    code.initialise(synapse)
    brian2.Network(source, target, synapse).run(0.1 * brian2.ms)
    np.testing.assert_allclose(synapse.read_again[0], expected[1], rtol=1e-14)


def test_traces_without_duration_pair_simultaneous_spikes_only():
    """A pair is a pair whatever the traces; a second spike of one side does not count the first."""
    rule = fw.HebbianTraces(tau=np.inf, eta=0.3, tau_pre=0.0, tau_post=0.0)
    pre, post = exact([1.0, 1.0, 2.0]), exact([1.0, 1.5])
    np.testing.assert_allclose(rule.respond(pre, post), [0.0, 0.0, 0.3], rtol=1e-14)
    regular = fw.HebbianTraces(tau=1.0, eta=0.3, tau_pre=0.0, tau_post=0.0).steady_state
    np.testing.assert_allclose(regular(1.0, 1.0).weight, 0.3 * np.exp(-1) / (1 - np.exp(-1)), rtol=1e-12)
    np.testing.assert_allclose(regular(1.0, 1.0, lag=0.1).weight, 0.0, atol=1e-15)
