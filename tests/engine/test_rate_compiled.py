"""Compiled runs of rate networks against the reference."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.engine.native import library
from fwsim.engine.rate import compiled
from fwsim.engine.threads import using_threads
from fwsim.rules.functions import exp, log, minimum
from fwsim.rules.rule import PresynapticRule
from tests.engine.rates import ASSOCIATIVE, DOUBLE, PRESYNAPTIC, TM, identity, random

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)

RULES = PRESYNAPTIC | {
    "mixed": fw.TsodyksMarkram(**TM, convention="mixed"),
    "logistic": fw.LinearNonlinear(),
    "cloglog": fw.LinearNonlinear(readout="cloglog"),
    "stochastic": fw.StochasticRelease(fw.TsodyksMarkram(**TM), sites=3),
    "none": None,
}
GAINS = {"relu": fw.relu, "tanh": fw.tanh, "softplus": fw.softplus(1.5)}
MEMORIES = {
    "none": None,
    "one": fw.Hebbian(tau=0.3, eta_rate=0.1),
    "two": fw.Hebbian(tau=[0.1, 1.0], eta_rate=[0.2, 0.05]),
}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def network(rule, units, kernel, dtype=DOUBLE, *, batch=1, gain=fw.tanh, **options):
    """Three projections: of the rule, of another rule, and static ones that differ between batch elements."""
    scale = units**-0.5
    projections = [
        fw.Projection(0.5 * scale * random(units, units), synapse=rule),
        fw.Projection(0.3 * scale * random(batch, units, units, seed=1)),
        fw.Projection(0.3 * scale * random(units, units, seed=2), synapse=fw.Varela()),
    ]
    return fw.RateNetwork(projections, tau=0.01, gain=gain, dt=1e-3, kernel=kernel, **options).to(dtype)


def assert_same(make, drive, tolerance, **options):
    """Record everything of both kernels, at two intervals."""
    truth, ours = make("reference"), make("native")
    names = [name for name in truth.recordable() if name != "step_error"]
    every = {"memory": min(7, drive.shape[1])}
    record = [fw.Record(name, every=every.get(name, min(3, drive.shape[1]))) for name in names]
    expected = fw.simulate(truth, drive, record=record, **options)
    found = fw.simulate(ours, drive, record=record, **options)
    assert set(found.variables) == set(expected.variables)
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("self_connections", [True, False])
def test_matrices_beyond_the_cache(batch, self_connections):
    options = {"gain": fw.relu, "memory": MEMORIES["two"], "self_connections": self_connections}
    assert_same(lambda kernel: network(None, 270, kernel, **options), random(batch, 5, 270), 1e-10)


@pytest.mark.parametrize("name", RULES)
def test_every_presynaptic_rule(name):
    drive = 3 * random(2, 25, 9)
    assert_same(lambda kernel: network(RULES[name], 9, kernel, gain=fw.softplus(1.5)), drive, 1e-10)


@settings(max_examples=12, deadline=None)
@given(
    rule=st.sampled_from(["maass2002", "tm1998", "varela", "none"]),
    units=st.integers(1, 40),
    batch=st.integers(1, 4),
    steps=st.integers(1, 30),
    gain=st.sampled_from(list(GAINS)),
    normalise=st.sampled_from(["none", "layer", "divisive", "subtractive"]),
    memory=st.sampled_from(list(MEMORIES)),
    self_connections=st.booleans(),
    noise=st.sampled_from([0.0, 0.3]),
    dtype=st.sampled_from(list(TOLERANCE)),
)
def test_random_networks(rule, units, batch, steps, gain, memory, dtype, **options):
    drive = (2 * random(batch, units, steps)).to(dtype).mT  # not contiguous
    options |= {"gain": GAINS[gain], "memory": MEMORIES[memory], "batch": batch}
    assert_same(
        lambda kernel: network(RULES[rule], units, kernel, dtype, **options), drive, TOLERANCE[dtype], seed=3
    )


@pytest.mark.parametrize("units", [1, 7, 100])
@pytest.mark.parametrize("gain", ["softplus", "relu"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_batch_elements_in_groups(units, gain, memory):
    """Many batch elements take each step together, in a last group that is not full."""
    drive, options = 2 * random(19, 9, units), {"batch": 19, "noise": 0.1}
    options |= {"gain": GAINS[gain], "memory": MEMORIES[memory]}
    assert_same(lambda kernel: network(RULES["varela"], units, kernel, **options), drive, 1e-10)


@pytest.mark.parametrize("batched", ["rule", "gain", "tau", "noise", "memory", "normalise"])
def test_parameters_that_differ_between_batch_entries(batched):
    def each(*values):
        return torch.tensor(values, dtype=DOUBLE)[:, None]

    options = {
        "gain": {"gain": fw.softplus(each(0.5, 1.0, 2.0))},
        "tau": {"tau": each(0.01, 0.02, 0.03).expand(-1, 5) + 1e-3 * torch.arange(5)},
        "noise": {"noise": each(0.1, 0.2, 0.3)},
        "memory": {"memory": fw.Hebbian(tau=each(0.1, 0.2, 0.3), eta_rate=each(1.0, 2.0, 3.0))},
        "normalise": {"normalise": fw.divisive(each(0.5, 1.0, 2.0))},
    }
    U = each(0.1, 0.2, 0.3) if batched == "rule" else 0.3
    rule = fw.TsodyksMarkram(**TM | {"U": U})

    def make(kernel):
        weights = [fw.Projection(random(5, 5), synapse=rule)]
        given = {"tau": 0.01, "gain": fw.tanh, "dt": 1e-3} | options.get(batched, {})
        return fw.RateNetwork(weights, kernel=kernel, **given)

    constant_input = torch.ones(1, 1, 1, dtype=DOUBLE).expand(3, 20, 5)  # lies on a single number
    assert_same(make, constant_input, 1e-10)


@pytest.mark.parametrize("gain", GAINS)
def test_nothing_depends_on_what_was_in_the_workspace(monkeypatch, gain):
    monkeypatch.setattr(compiled, "workspace", lambda like, *shape: like.new_full(shape, math.nan))
    options = {"memory": MEMORIES["two"], "normalise": "layer", "noise": 0.1, "gain": GAINS[gain]}
    assert_same(lambda kernel: network(RULES["tm1998"], 11, kernel, **options), random(3, 9, 11), 1e-10)


def test_blocks_threads_and_resuming_change_no_bit(monkeypatch):
    net, drive = network(fw.TsodyksMarkram(**TM), 6, "native", noise=0.2), random(5, 40, 6)
    names = ["rate", "hidden", "release", "u", "F"]
    whole = fw.simulate(net, drive, record=names)
    first = fw.simulate(net, drive[:, :17], record=names)
    second = fw.simulate(net, drive[:, 17:], record=names, state=fw.load_state(first))
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", 700)
    with using_threads(2):
        blocks = fw.simulate(net, drive, record=names)
    for name in names:
        np.testing.assert_array_equal(blocks[name], whole[name])
        np.testing.assert_array_equal(second[name], whole[name][:, 17:])


@pytest.mark.parametrize("numbers", [8_000_000, 100])
def test_neither_blocks_nor_what_is_recorded_change_a_bit(monkeypatch, numbers):
    net, drive = network(None, 6, "native", memory=MEMORIES["one"]), random(2, 30, 6)
    alone = fw.simulate(net, drive, record="rate")
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", numbers)
    record = ["rate", fw.Record("F", every=5), fw.Record("memory", every=4), fw.Record("step_error", every=7)]
    with_others = fw.simulate(net, drive, record=record)
    np.testing.assert_array_equal(with_others["rate"], alone["rate"])
    expected = fw.simulate(network(None, 6, "reference", memory=MEMORIES["one"]), drive, record=record)
    for name in ("F", "memory", "step_error"):
        np.testing.assert_allclose(with_others[name], expected[name], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kernel", ["native", "reference"])
@pytest.mark.parametrize("numbers", [8_000_000, 100])
def test_what_is_recorded_of_an_interval_is_that_part_of_the_whole(monkeypatch, kernel, numbers):
    """Whether the interval and its samples begin and end within blocks or between them."""
    net, drive = network(fw.TsodyksMarkram(**TM), 6, kernel), random(2, 30, 6)
    whole = fw.simulate(net, drive, record="hidden")["hidden"]
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", numbers)
    for first, last, every in ((12, 24, 5), (17, 30, 1), (0, 9, 4)):
        record = fw.Record("hidden", every=every, start=first * 1e-3, stop=last * 1e-3)
        part = fw.simulate(net, drive, record=record)["hidden"]
        steps = np.array([step for step in range(first + 1, last + 1) if step % every == 0])
        np.testing.assert_allclose(part["hidden_time"], 1e-3 * steps)
        np.testing.assert_array_equal(part, whole[:, steps - 1])


# --- what is compiled ---------------------------------------------------------------------------------------


class Rooted(PresynapticRule):
    """A rule of a user, with functions that none of fwsim's has."""

    def rest(self):
        return {"s": 1}

    def drift(self, state):
        return {"s": 1 - state["s"]}

    def on_pre(self, state):
        return {"s": 0.9 * state["s"] / (1 + state["s"] ** 3)}, state["s"] ** 0.5 + log(1 + state["s"]) ** 1.7


class Wrapped(Rooted):
    """A rule with a function that compiled code lacks."""

    def on_pre(self, state):
        return {"s": 0.9 * state["s"]}, state["s"] % 1


USERS = {
    "hill": lambda h: h**2 / (1 + h**2),
    "logistic": lambda h: 1 / (1 + exp(-h)),
    "power": lambda h: (h**2) ** 0.6,
    "saturating": lambda h: minimum(abs(h), 1.5),
    "identity": identity,
    "constant": lambda h: 0 * h + 2,
}


@pytest.mark.parametrize("gain", USERS)
def test_a_gain_of_the_user_is_compiled(gain):
    drive = random(3, 15, 5)
    assert network(None, 5, "auto", gain=USERS[gain]).plan().kernel == "native"
    assert_same(lambda kernel: network(Rooted(), 5, kernel, gain=USERS[gain], batch=3), drive, 1e-10)


def test_a_gain_that_changes_its_mind_is_not_compiled():
    generator = np.random.default_rng(0)
    assert network(None, 3, "auto", gain=lambda h: generator.random() * h).plan().kernel == "reference"


def test_a_gain_that_looks_at_its_argument_is_not_compiled():
    assert (
        network(None, 3, "auto", gain=lambda h: h if bool((h > 0).all()) else 2 * h).plan().kernel
        == "reference"
    )
    scale = torch.ones(3, dtype=DOUBLE)
    assert network(None, 3, "auto", gain=lambda h: scale * h).plan().kernel == "reference"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"gain": torch.sigmoid}, "gain sigmoid"),
        ({"gain": fw.siegert()}, "gain Siegert"),
        ({"normalise": torch.tanh}, "normalisation tanh"),
        ({"rule": ASSOCIATIVE["traces"]}, "associative rule HebbianTraces"),
        ({"rule": Wrapped()}, "Wrapped"),
        ({"dtype": torch.bfloat16}, "bfloat16"),
    ],
)
def test_what_cannot_be_compiled_runs_as_the_reference(options, says):
    options = {"rule": None, "units": 3, **options}
    plan = network(kernel="auto", **options).plan()
    assert plan.kernel == "reference"
    assert says in plan.why
    if "dtype" not in options:  # a network is converted after it was made
        with pytest.raises(fw.ConfigError, match=says):
            network(kernel="native", **options)


def test_the_kernel_is_chosen_by_what_is_in_the_network():
    assert network(RULES["varela"], 3, "auto").plan().kernel == "native"
    assert network(RULES["varela"], 3, "reference").plan().kernel == "reference"
    with pytest.raises(fw.ConfigError, match="'native'"):
        network(None, 3, "triton")
