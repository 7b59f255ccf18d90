"""The fast-weight network: equations, forms, gradients, state, options, errors."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.engine.native import library
from tests.reference.naive import fast_weights

FORMS = ("dense", "attention", "hybrid")
ONE = {"tau": 19.5, "eta": 0.5}
THREE = {"tau": [2.0, 19.5, 300.0], "eta": [0.3, 0.2, 0.05]}
BATCH = {"tau": [[2.0], [19.5], [300.0]], "eta": 0.2}


def network(memory=ONE, *, inputs=4, units=20, inner_steps=3, seed=0, **options):
    torch.manual_seed(seed)
    rule = fw.Hebbian(**memory) if isinstance(memory, dict) else memory
    net = fw.FastWeightNetwork(inputs, units, rule, inner_steps, **options).double()
    with torch.no_grad():  # gain and bias start as 1 and 0, which would hide mistakes
        net.gain += 0.1 * torch.randn(units)
        net.bias += 0.1 * torch.randn(units)
        net.b += 0.1 * torch.randn(units)
        net.W += 0.1 * torch.randn(units, units)
    return net


def inputs(batch=3, time=40, channels=4, seed=1):
    return torch.randn(
        batch, time, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def assert_close(actual, expected, tolerance=1e-12):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("memory", [ONE, THREE], ids=["one", "three"])
def test_equations_of_the_paper(form, steps, memory):
    net, x = network(memory, inner_steps=steps, form=form), inputs(batch=2, time=12)
    run, state = net.run(x, inner=True)
    decays, etas = net.memory.decay(1.0).tolist(), net.memory.strength(1.0).tolist()
    weights = [getattr(net, name).detach().numpy() for name in ("W", "C", "b", "gain", "bias")]
    for trial in range(2):
        hidden, inner, matrix = fast_weights(x[trial].numpy(), *weights, decays, etas, steps)
        np.testing.assert_allclose(run.hidden[trial].detach(), hidden, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(run.inner[trial].detach(), inner, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(state.memory[trial].detach(), matrix[-1], rtol=1e-12, atol=1e-12)
    assert state.step == 12


@pytest.mark.parametrize("memory", [ONE, THREE, BATCH], ids=["one", "three", "batch"])
@pytest.mark.parametrize("self_connections", [True, False])
@pytest.mark.parametrize("write", ["final", "before"])
def test_forms_agree(memory, self_connections, write):
    x, results = inputs(), []
    for form in FORMS:
        net = network(memory, form=form, self_connections=self_connections, write=write)
        hidden, state = net(x)
        results.append((hidden, state.memory))
    for hidden, matrix in results[1:]:
        assert_close(hidden, results[0][0])
        assert_close(matrix, results[0][1], 1e-11)


def test_a_batch_of_time_constants_is_single_runs():
    x = inputs()
    together, state = network(BATCH)(x)
    for trial, (tau,) in enumerate(BATCH["tau"]):
        alone, own = network({"tau": tau, "eta": 0.2})(x[trial : trial + 1])
        assert_close(together[trial], alone[0])
        assert_close(state.memory[trial], own.memory[0])


def test_a_batch_entry_is_a_single_run():
    net, x = network(THREE), inputs(batch=5)
    together, _ = net(x)
    for trial in range(5):
        assert_close(together[trial : trial + 1], net(x[trial : trial + 1])[0])


@pytest.mark.parametrize("before", FORMS)
@pytest.mark.parametrize("after", FORMS)
@pytest.mark.parametrize("write", ["final", "before"])
def test_a_run_cut_in_two_is_the_run_in_one(before, after, write):
    net, x = network(THREE, write=write), inputs(time=33)
    whole, end = net(x)
    net.form = before
    first, state = net(x[:, :14])
    net.form = after
    second, state = net(x[:, 14:], state)
    assert_close(torch.cat([first, second], 1), whole)
    assert_close(state.memory, end.memory)
    assert state.step == end.step == 33


def test_a_state_of_tensors_goes_on_as_the_state_it_came_from():
    net, x = network(THREE), inputs(time=20)
    whole, _ = net(x)
    _, state = net(x[:, :9])
    again, _ = net(x[:, 9:], fw.State(state.hidden, state.memory, state.step))
    assert_close(again, whole[:, 9:])


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_finite_differences(form):
    net, x = (
        network(THREE, inputs=2, units=4, inner_steps=2, form=form, learn=("tau", "eta")).double(),
        inputs(2, 5, 2),
    )
    names = [name for name, _ in net.named_parameters()]
    assert {"log_tau", "log_eta", "W", "C", "b", "gain", "bias"} == set(names)

    def run(x, *parameters):
        hidden, state = torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), (x,))
        return hidden, state.memory

    values = [p.detach().double().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *values), atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("kernel", ["reference", "native"])
@pytest.mark.parametrize("form", FORMS)
def test_a_signed_strength_is_trained_as_it_is(form, kernel):
    if kernel == "native" and (why := library.obstacle()):
        pytest.skip(f"the native engine {why}")
    rule = fw.Hebbian(tau=[3.0, 20.0], eta=[-0.4, 0.2])
    net = network(rule, inputs=2, units=4, inner_steps=2, form=form, kernel=kernel, learn=("tau", "eta"))
    assert {"log_tau", "memory_eta"} < {name for name, _ in net.named_parameters()}
    x = inputs(2, 9, 2)

    def loss(eta):
        return torch.func.functional_call(net, {"memory_eta": eta}, (x,))[0].square().sum()

    eta = torch.tensor([-0.4, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, eta, atol=1e-6)
    with torch.no_grad():
        net.memory_eta += 0.5  # a step across 0
    assert_close(net.memory.eta, torch.tensor([0.1, 0.7], dtype=torch.float64), 1e-7)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_pass_through_a_cut(form):
    def gradients(cut):
        net, x = network(THREE, form=form, learn=("tau",)), inputs(time=12)
        hidden, state = net(x[:, :cut])
        rest, _ = net(x[:, cut:], state)
        torch.cat([hidden, rest], 1).square().sum().backward()
        return [p.grad for p in net.parameters()]

    for cut, whole in zip(gradients(5), gradients(12), strict=True):
        assert_close(cut, whole, 1e-9)


def test_detach_cuts_the_gradient():
    net = network(THREE, learn=("tau", "eta"))
    _, state = net(inputs(time=5))
    assert state.hidden.requires_grad
    assert state.memory.requires_grad
    cut = state.detach()
    assert not cut.hidden.requires_grad
    assert not cut.memory.requires_grad
    assert_close(cut.memory, state.memory)


def test_learned_time_constants_start_where_they_were_given():
    rule = network(THREE, learn=("tau", "eta")).memory
    torch.testing.assert_close(rule.tau.double(), fw.Hebbian(**THREE).tau, rtol=1e-6, atol=0)
    torch.testing.assert_close(rule.eta.double(), fw.Hebbian(**THREE).eta, rtol=1e-6, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_write_then_recall_reads_the_pattern(form):
    net = network({"tau": 10.0, "eta": 0.5}, normalise="none", activation="tanh", form=form)
    pattern = torch.randn(2, 20).double()
    state = net.write(net.initial_state(2), pattern)
    assert state.step == 1
    assert_close(state.memory[:, 0], 0.5 * pattern[:, :, None] * pattern[:, None])
    state = net.write(state, pattern)
    assert_close(state.memory[:, 0], 0.5 * (1 + np.exp(-0.1)) * pattern[:, :, None] * pattern[:, None])
    end, path = net.recall(state, pattern, steps=4)
    assert path.shape == (2, 5, 20)
    assert_close(path[:, 0], pattern)
    matrix = state.memory.sum(1)
    for step in range(4):
        assert_close(path[:, step + 1], torch.tanh(torch.einsum("bij,bj->bi", matrix, path[:, step])))
    assert_close(end.hidden, path[:, -1])
    assert_close(end.memory, state.memory)
    assert end.step == state.step


def test_writing_equals_running_into_the_same_state():
    net, x = network(THREE), inputs(time=6)
    hidden, state = net(x)
    written = net.initial_state(3)
    for step in range(6):
        written = net.write(written, hidden[:, step])
    assert_close(written.memory, state.memory)


@pytest.mark.parametrize(("form", "most"), [("auto", 20), ("dense", 1), ("hybrid", 64)])
def test_a_long_history_of_writes_is_merged(form, most):
    """Else every further step would read all patterns ever written."""
    net = network(form=form)
    state = net.initial_state(1)
    for pattern in inputs(batch=1, time=70, channels=20).unbind(1):
        state = net.write(state, pattern)
        assert state.stored.history.shape[1] < most


def test_the_recalled_pattern_completes_the_cue():
    """Sign units, one pattern, a cue with a fifth of its units flipped: one iteration restores it."""
    net = fw.FastWeightNetwork(
        1, 100, fw.Hebbian(tau=1e6, eta=1.0), activation="sign", normalise="none", self_connections=False
    )
    pattern = torch.randn(4, 100, generator=torch.Generator().manual_seed(0)).sign()
    cue = pattern.clone()
    cue[:, :20] *= -1
    _, path = net.recall(net.write(net.initial_state(4), pattern), cue, steps=1)
    assert torch.equal(path[:, 1], pattern)


OPTIONS = [
    {"activation": "tanh"},
    {"normalise": "none"},
    {"normalise": "all"},
    {"inner_steps": 2},
    {"inner_steps": 0},
    {"self_connections": False},
    {"dt": 0.5},
    {"memory": None},
]


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_an_option_changes_the_run(option):
    def hidden(**options):
        memory = options.pop("memory", ONE)
        return network(memory, **options)(inputs(time=6))[0]

    assert (hidden(**option) - hidden()).abs().max() > 1e-3


def test_normalise_all_normalises_the_first_state_and_inner_does_not():
    for normalise, expected in (("inner", False), ("all", True), ("none", False)):
        torch.manual_seed(0)
        net = fw.FastWeightNetwork(
            4, 20, fw.Hebbian(**ONE), 0, normalise=normalise, activation="tanh"
        ).double()
        hidden, _ = net(inputs(batch=1, time=1))
        field = torch.atanh(hidden[0, 0])
        assert bool((field.mean().abs() < 1e-9) & ((field.var(unbiased=False) - 1).abs() < 1e-3)) == expected


def test_write_before_stores_the_state_that_a_step_starts_from():
    x, start = inputs(time=4), torch.rand(3, 20).double()
    final, before = network(write="final"), network(write="before")
    hidden, _ = final(x)
    early_hidden, early = before(x)
    assert_close(early_hidden, hidden)  # from rest both read the same memory …
    assert_close(early.memory, final(x[:, :3])[1].memory)  # … but the last state is not yet written,
    from_start = fw.State(start, torch.zeros(3, 1, 20, 20).double())
    assert (final(x, from_start)[0] - before(x, from_start)[0]).abs().max() > 1e-3  # and a given state is.
    expected = final(x, final.write(from_start, start))[0]
    assert_close(before(x, from_start)[0], expected)


def test_self_connections_keep_the_diagonal():
    for kept in (True, False):
        _, state = network(self_connections=kept)(inputs())
        assert bool((state.memory.diagonal(dim1=-2, dim2=-1) == 0).all()) != kept


def test_identity_scale():
    assert torch.equal(fw.FastWeightNetwork(1, 3, None).W, 0.05 * torch.eye(3))
    assert torch.equal(fw.FastWeightNetwork(1, 3, None, identity_scale=1.0).W, torch.eye(3))
    assert fw.FastWeightNetwork(2, 400, None).C.abs().max() <= 1 / 20


def test_memory_is_symmetric_and_positive_semidefinite():
    _, state = network(THREE)(inputs(batch=1, time=7))
    matrix = state.memory[0].sum(0)
    assert_close(matrix, matrix.T)
    eigenvalues = torch.linalg.eigvalsh(matrix)
    assert eigenvalues.min() > -1e-10
    assert (eigenvalues > 1e-8).sum() <= 7


@given(batch=st.integers(0, 3), time=st.integers(0, 9), units=st.integers(1, 7), steps=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_odd_sizes(batch, time, units, steps):
    results = []
    for form in FORMS:
        hidden, state = network(THREE, units=units, inner_steps=steps, form=form)(inputs(batch, time))
        assert hidden.shape == (batch, time, units)
        assert state.memory.shape == (batch, 3, units, units)
        results.append(hidden)
    assert_close(results[1], results[0])
    assert_close(results[2], results[0])


def test_float32_stays_float32_and_close():
    net = network(THREE, units=50)
    double, _ = net(inputs(time=10))
    single, state = net.float()(inputs(time=10).float())
    assert single.dtype == state.memory.dtype == torch.float32
    assert ((single - double).norm() / double.norm()).item() < 1e-4


ERRORS = [
    (lambda net: net(torch.zeros(2, 3).double()), fw.ShapeError, r"\[batch, time, input\]"),
    (lambda net: net(torch.zeros(2, 3, 5).double()), fw.ShapeError, "input=4"),
    (lambda net: net(torch.zeros(2, 3, 4)), fw.ShapeError, "float32"),
    (
        lambda net: net(torch.full((2, 3, 4), float("nan")).double()),
        fw.ConfigError,
        "batch 0, time 0, input 0",
    ),
    (lambda net: net(inputs(2), net.initial_state(3)), fw.ShapeError, r"\[2, 20\]"),
    (lambda net: net.write(net.initial_state(2), torch.zeros(2, 7).double()), fw.ShapeError, "pattern"),
    (lambda net: net.recall(net.initial_state(2), torch.zeros(2, 7).double()), fw.ShapeError, "cue"),
    (
        lambda net: net.recall(net.initial_state(1), torch.zeros(1, 20).double(), steps=-1),
        fw.ConfigError,
        "steps=-1",
    ),
    (
        lambda net: net(inputs(1), fw.State(torch.zeros(1, 20).double(), torch.zeros(1, 3, 3).double())),
        fw.ShapeError,
        "memory",
    ),
    (lambda net: network(form="sparse"), fw.ConfigError, "form='sparse'.*'dense', 'attention', 'hybrid'"),
    (lambda net: network(kernel="cuda"), fw.ConfigError, "kernel='cuda'"),
    (lambda net: network(activation="gelu"), fw.ConfigError, "activation='gelu'"),
    (lambda net: network(normalise="batch"), fw.ConfigError, "normalise='batch'"),
    (lambda net: network(write="after"), fw.ConfigError, "write='after'"),
    (lambda net: network(learn=("lambda",)), fw.ConfigError, "learn='lambda'"),
    (lambda net: network(learn=3), fw.ConfigError, "learn=3"),
    (lambda net: network(learn=("eta", "eta")), fw.ConfigError, "name each parameter once"),
    (lambda net: net.initial_state(-1), fw.ConfigError, "batch=-1"),
    (lambda net: fw.State(torch.zeros(3)), fw.ShapeError, r"\[batch, unit\]"),
    (lambda net: network({"tau": 0.0, "eta": 1.0}, learn=("tau",)), fw.ConfigError, "logarithm"),
    (lambda net: network(units=0), fw.ConfigError, "units=0"),
    (lambda net: network(inner_steps=-1), fw.ConfigError, "inner_steps=-1"),
    (lambda net: network(dt=0.0), fw.ConfigError, "dt=0.0"),
    (lambda net: network(dt="1 Hz"), fw.ConfigError, "'Hz' is not a unit of time"),
    (lambda net: network(identity_scale=float("nan")), fw.ConfigError, "identity_scale=nan"),
    (lambda net: network(self_connections="no"), fw.ConfigError, "self_connections='no'"),
    (lambda net: network(None, learn="tau"), fw.ConfigError, "nothing to train"),
    (lambda net: network().plan(-1, 5), fw.ConfigError, "batch=-1"),
    (lambda net: net({"x": 1}), fw.ConfigError, "x is a dict"),
    (lambda net: net(inputs(1), torch.zeros(1, 20)), fw.ConfigError, "state is a Tensor"),
    (lambda net: net(inputs(1), fw.State(torch.zeros(1, 20).double())), fw.ConfigError, "another kind"),
    (
        lambda net: net.write(net.initial_state(1), torch.zeros(1, 20)),
        fw.ShapeError,
        "pattern is torch.float32",
    ),
    (
        lambda net: net.write(net.initial_state(1), torch.zeros(1, 20).double() / 0),
        fw.ConfigError,
        "pattern is NaN",
    ),
    (
        lambda net: net.recall(net.initial_state(1), torch.zeros(1, 20).double() / 0),
        fw.ConfigError,
        "cue is NaN",
    ),
    (lambda net: fw.FastWeightNetwork(1, 2, memory=0.95), fw.ConfigError, "memory rule"),
    (lambda net: network(BATCH)(inputs(2)), fw.ShapeError, "batch 2.*3 batch elements"),
    (
        lambda net: network(None).write(network(None).initial_state(1), torch.zeros(1, 20).double()),
        fw.ConfigError,
        "memory=None",
    ),
]


@pytest.mark.parametrize(("action", "kind", "says"), ERRORS, ids=[says for *_, says in ERRORS])
def test_errors_say_what_is_wrong_in_one_line(action, kind, says):
    with pytest.raises(kind, match=says) as caught:
        action(network())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("memory", [THREE, fw.Delta(beta=0.5, tau=9.0)], ids=["Hebbian", "Delta"])
@pytest.mark.parametrize("self_connections", [True, False])
def test_storing_is_writing_one_after_the_other(memory, self_connections):
    net = network(memory, self_connections=self_connections)
    patterns = torch.randn(3, 30, 20).double()
    _, state = net(inputs())
    one_by_one, kept = state, patterns.clone()
    for pattern in patterns.unbind(1):
        one_by_one = net.write(one_by_one, pattern)
    stored = net.store(state, patterns)
    few = net.store(state, patterns[:, :1])
    patterns.zero_()  # which is the caller's, not the state's
    assert_close(stored.memory, one_by_one.memory)
    assert_close(few.memory, net.write(state, kept[:, 0]).memory)
    assert stored.step == one_by_one.step
    for wrong in (kept[:1], kept[0], kept[..., :3], kept.float()):
        with pytest.raises(fw.ShapeError, match="patterns"):
            net.store(state, wrong)


def test_a_detached_history_goes_on_as_it_is():
    net = fw.FastWeightNetwork(3, 8, fw.Hebbian(tau=5.0, eta=0.5), form="attention", kernel="reference")
    x = torch.randn(2, 4, 3)
    _, state = net(x)
    _, state = net(x, state.detach())
    assert state.stored.history.shape[1] == 8


def test_networks_with_one_memory_do_not_share_what_is_loaded():
    memory = fw.Hebbian(tau=5.0, eta=0.5)
    one, other = (fw.FastWeightNetwork(3, 8, memory) for _ in range(2))
    one.load_state_dict({name: 2 * value for name, value in one.state_dict().items()})
    assert float(one.memory.tau) == 10.0
    assert float(other.memory.tau) == float(memory.tau) == 5.0


def test_a_state_can_be_copied_and_pickled():
    net = fw.FastWeightNetwork(3, 8, fw.Hebbian(tau=5.0, eta=0.5))
    with torch.no_grad():
        _, state = net(torch.randn(2, 4, 3))
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert torch.equal(other.memory, state.memory)
        assert other.step == 4


def test_the_memory_is_the_trained_rule():
    net = network(THREE, learn=("tau",))
    with torch.no_grad():
        net.log_tau.add_(1.0)
    trained = [value * math.e for value in THREE["tau"]]
    torch.testing.assert_close(net.memory.tau, torch.tensor(trained).double(), rtol=1e-6, atol=0)
    assert net.memory.eta.tolist() == THREE["eta"]
    assert f"memory={net.memory}" in repr(net)
    assert "tau=[5.43" in repr(net)
