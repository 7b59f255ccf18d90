"""Memories of other papers: the models of the guide against their equations, and every option everywhere."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.measure import InnerLoop

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "other_memories.md"
INPUTS, UNITS, STEPS = 3, 4, 7
EPSILON = 1e-5  # of layer normalisation


@pytest.fixture(scope="module")
def models():
    """What the page defines; all its code runs."""
    if not PAGE.exists():
        pytest.skip("the documentation is not here")
    namespace = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        exec(compile(block, str(PAGE), "exec"), namespace)
    return namespace


# Each model is written out once, for one trial, with functions that NumPy and torch both have.


def sigmoid(xp, value):
    return 1 / (1 + xp.exp(-value))


def normal(xp, field, p):
    centred = field - field.mean()
    return p["gain"] * centred / xp.sqrt((centred**2).mean() + EPSILON) + p["bias"]


def stpn(xp, p, x):
    h, F, G = xp.zeros_like(p["b"]), 0, xp.concatenate([p["C"], p["W"]], 1)
    decay, eta = xp.exp(-1 / xp.exp(p["log_tau"]))[..., 0], p["memory_eta"][..., 0]
    for step in x:
        joined = xp.concatenate([step, h])
        h = xp.tanh((G + F) @ joined + p["b"])
        F = decay * F + eta * xp.outer(h, joined)
        yield h, F


def hebbff(xp, p, x):
    A, decay = 0, xp.exp(-1 / xp.exp(p["log_tau"]))
    for step in x:
        h = xp.tanh((p["C"] + A) @ step + p["b"])
        A = decay * A + p["memory_eta"] * xp.outer(h, step)
        yield h, A


def mpn(xp, p, x):
    M, decay, eta = 0, xp.exp(-1 / xp.exp(p["log_tau"][0, 0])), p["memory_eta"][0, :, 0]
    for step in x:
        h = xp.tanh((p["C"] * (1 + M)) @ step + p["b"])
        M = decay * M + eta * xp.outer(h, step)
        yield h, M


def fast_weights(xp, p, x):
    h, A, decay = xp.zeros_like(p["b"]), 0, xp.exp(-1 / xp.exp(p["log_tau"]))
    for step in x:
        z = p["W"] @ h + p["C"] @ step + p["b"]
        h = z * (z > 0)
        field = normal(xp, z + (0 * z if isinstance(A, int) else A @ h), p)
        h = field * (field > 0)
        A = decay * A + xp.exp(p["log_eta"]) * xp.outer(h, h)
        yield h, A


def gated_recurrent(xp, p, x):
    h, A = xp.zeros_like(p["b"]), xp.zeros_like(p["W"])
    for step in x:
        keep, store = sigmoid(xp, p["gate_weights"] @ xp.concatenate([step, h]) + p["gate_bias"])
        z = p["W"] @ h + p["C"] @ step + p["b"]
        field = normal(xp, z + A @ (z * (z > 0)), p)
        h = field * (field > 0)
        k = h / xp.sqrt((h**2).sum())
        A = keep * (A - store * xp.outer(A @ k, k)) + store * xp.outer(h, k)
        yield h, A


def gated_delta(xp, p, x):
    size = UNITS
    S = xp.zeros_like(xp.outer(p["project.bias"][:size], p["project.bias"][:size]))
    for step in x:
        all_of = p["project.weight"] @ step + p["project.bias"]
        k, v, q = (all_of[n * size : (n + 1) * size] for n in range(3))
        keep, store = sigmoid(xp, all_of[3 * size :])
        k = k / xp.sqrt((k**2).sum())
        S = keep * (S - store * xp.outer(S @ k, k)) + store * xp.outer(v, k)
        yield S @ q, S


WRITTEN_OUT = {
    "stpn": stpn,
    "hebbff": hebbff,
    "mpn": mpn,
    "fast_weights": fast_weights,
    "gated_recurrent": gated_recurrent,
    "GatedDelta": gated_delta,
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_models_are_their_equations(models, name):
    torch.manual_seed(1)
    net, equations = models[name](INPUTS, UNITS).double(), WRITTEN_OUT[name]
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.requires_grad:
                parameter += 0.2 * torch.randn_like(parameter)
    x = torch.randn(1, STEPS, INPUTS, dtype=torch.float64)
    layer = name == "GatedDelta"
    hidden, memory = (net(x), None) if layer else (lambda run: (run[0], run[1].memory[0, 0]))(net(x))

    plain = {key: value.detach().numpy() for key, value in net.state_dict().items()}
    states, memories = zip(*equations(np, plain, x[0].numpy()))
    assert np.abs(hidden[0].detach().numpy() - np.stack(states)).max() < 1e-10
    assert layer or np.abs(memory.detach().numpy() - memories[-1]).max() < 1e-10

    # Gradients: those that torch finds for the equations.
    leaves = {key: value for key, value in net.named_parameters() if value.requires_grad}
    weight = torch.randn(STEPS, UNITS, dtype=torch.float64)
    ours = torch.autograd.grad((weight * hidden[0]).sum(), list(leaves.values()), allow_unused=True)
    p = {key: torch.from_numpy(value) for key, value in plain.items()} | leaves
    states = torch.stack([state for state, _ in equations(torch, p, x[0])])
    truth = torch.autograd.grad((weight * states).sum(), list(leaves.values()), allow_unused=True)
    for key, mine, wanted in zip(leaves, ours, truth):
        unused = key in ("gain", "bias") and net.normalise == "none"
        assert (wanted is None) == (mine is None) == unused, key
        assert unused or torch.allclose(mine, wanted, atol=1e-10, rtol=1e-8), key


@pytest.mark.parametrize("oja", [False, True])
def test_constants_by_synapse(oja):
    """τ by time scale, η by batch and synapse, Oja's decay and gates, entry by entry."""
    generator = np.random.default_rng(0)
    tau, eta = np.array([2.0, 9.0]), generator.normal(size=(2, 3, 4, 2))
    rule = fw.Hebbian(
        tau=tau.reshape(1, 1, 1, 2), eta=eta, axes=("batch", "post", "pre", "timescale"), oja=oja
    )
    memory, post, pre = (generator.normal(size=size) for size in ((2, 2, 3, 4), (2, 3), (2, 4)))
    keep, store = generator.random((2, 2))
    given = (torch.from_numpy(each) for each in (memory, pre, post))
    found = rule.write(*given, 0.5, keep=torch.from_numpy(keep), store=torch.from_numpy(store)).numpy()
    for b, k, i, j in np.ndindex(memory.shape):
        change = post[b, i] * pre[b, j] - oja * post[b, i] ** 2 * memory[b, k, i, j]
        left = keep[b] * np.exp(-0.5 / tau[k]) * memory[b, k, i, j]
        assert abs(found[b, k, i, j] - left - store[b] * eta[b, i, j, k] * change) < 1e-12


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("post", (UNITS,)), (("pre", "timescale"), (UNITS, 2)), (("batch", "post"), (2, UNITS))],
)
@pytest.mark.parametrize("self_connections", [True, False])
def test_forms_agree_with_constants_by_neuron(axes, shape, self_connections):
    torch.manual_seed(3)
    rule = fw.Hebbian(tau=torch.rand(shape) * 5 + 1, eta=torch.randn(shape) * 0.3, axes=axes)
    x = torch.randn(2, STEPS, INPUTS, dtype=torch.float64)
    start = fw.State(torch.rand(2, UNITS), torch.rand(2, rule.timescales, UNITS, UNITS))
    start = fw.State(start.hidden.double(), start.memory.double())
    found = []
    for form in ("dense", "attention", "hybrid"):
        torch.manual_seed(4)
        net = fw.FastWeightNetwork(
            INPUTS, UNITS, rule, 2, form=form, self_connections=self_connections, learn={"eta": "signed"}
        ).double()
        hidden, state = net(x, start)
        _, path = net.recall(state, hidden[:, -1], 1)
        (gradient,) = torch.autograd.grad(hidden.square().sum() + state.memory.sum(), [net.memory_eta])
        found.append((hidden, state.memory, path, gradient))
    for other in found[1:]:
        for ours, dense in zip(other, found[0]):
            assert torch.allclose(ours, dense, atol=1e-12)


def rules(width):
    return {
        "hebbian": fw.Hebbian(tau=[3.0, 9.0], eta=[0.3, 0.1]),
        "synapse": fw.Hebbian(
            tau=torch.rand(UNITS, width) * 5 + 1, eta=torch.randn(UNITS, width), axes=("post", "pre")
        ),
        "oja": fw.Hebbian(tau=5.0, eta=0.2, oja=True),
        "delta": fw.Delta(beta=0.5, tau=torch.rand(width) + 2, axes="pre"),
    }


WIDTHS = {"units": 4, "inputs": 3, "previous": 4, ("inputs", "previous"): 7, ("units", "inputs"): 7}


KINDS = ("hebbian", "synapse", "oja", "delta")
MANNERS = (
    ("additive", ()),
    ("multiplicative", ()),
    ("additive", ("keep", "store")),
    ("multiplicative", ("store",)),
)


@pytest.mark.parametrize("number", range(len(WIDTHS)))
def test_options_work_everywhere(number):
    """Calls, states, recordings, writing, recall, gradients, forms: each presynaptic side with each kind of rule."""
    torch.manual_seed(5)
    pre, width = list(WIDTHS.items())[number]
    x = torch.randn(2, STEPS, INPUTS, dtype=torch.float64)
    for place, kind in enumerate(KINDS):
        read, gates = MANNERS[(place + number) % len(MANNERS)]
        memory = rules(width)[kind]
        options = {"pre": pre, "read": read, "gates": gates, "activation": "tanh"}
        net = fw.FastWeightNetwork(INPUTS, UNITS, memory, **options, learn=("tau",)).double()
        hidden, state = net(x)
        first, middle = net(x[:, :3])
        rest, end = net(x[:, 3:], fw.State(middle.hidden, middle.memory, middle.step))
        assert torch.allclose(torch.cat([first, rest], 1), hidden, atol=1e-12)
        assert torch.allclose(end.memory, state.memory, atol=1e-12)
        assert state.memory.shape == (2, memory.timescales, UNITS, width)
        (hidden.sum() + state.memory.sum()).backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        recorded_as_computed(net, x, hidden, state)
        written_and_recalled(net, state.detach(), pre, width)
        if net.wiring.special or memory.dense_only:
            assert net.plan(2, STEPS).form == "dense"
            for form in ("attention", "hybrid"):
                with pytest.raises(fw.ConfigError, match=f"form='{form}' is not possible"):
                    fw.FastWeightNetwork(INPUTS, UNITS, memory, **options, form=form)


def test_gates_of_a_memory_that_is_written_before_the_loop():
    torch.manual_seed(7)
    x = torch.randn(2, STEPS, INPUTS, dtype=torch.float64)
    options = {"write": "before", "gates": ("keep", "store"), "inner_steps": 2}
    net = fw.FastWeightNetwork(INPUTS, UNITS, fw.Hebbian(tau=5.0, eta=0.2), **options).double()
    recorded_as_computed(net, x, *net(x))


def recorded_as_computed(net, x, hidden, state):
    run = fw.simulate(net, x, record=["hidden", "memory"])
    memory = run.memory.transpose("trial", "time", ..., "post", "pre").values
    for steps in (1, 4, STEPS):  # against the states of shorter runs
        wanted = net(x[:, :steps])[1].memory.detach()
        assert np.allclose(memory[:, steps - 1].reshape(wanted.shape), wanted, atol=1e-12)
    after = [net(x, each)[0] for each in (fw.load_state(run), state)]
    assert torch.allclose(*after, atol=1e-12)


def written_and_recalled(net, state, pre, width):
    post, presynaptic = torch.randn(2, UNITS).double(), torch.randn(2, width).double()
    expected = net.memory.write(state.memory, presynaptic, post, 1.0)
    assert torch.allclose(net.write(state, post, presynaptic).memory, expected, atol=1e-12)
    if pre == "inputs":
        return
    joined = {"units": post, "previous": post, "inputs": torch.zeros(2, INPUTS).double()}
    names = (pre,) if isinstance(pre, str) else pre
    static = torch.cat([net.C if name == "inputs" else net.W for name in names], -1)
    matrix = state.memory * (static if net.wiring.multiplicative else 1)
    answer = torch.einsum("bkij,bj->bi", matrix, torch.cat([joined[name] for name in names], -1))
    recalled = net.recall(state, post, 1)[1][:, 1]
    assert torch.allclose(recalled, net.cell().iterate(0 * post, answer), atol=1e-12)


def test_display():
    net = refused(memory=rules(7)["synapse"], pre=("inputs", "previous"), gates="keep")()
    assert "pre=['inputs', 'previous'], read='additive', gates=['keep']" in repr(net)
    assert "[4, 7, 1] from" in repr(net)
    html = net._repr_html_()
    assert all(text in html for text in ("previous", "additive", "keep", "axes"))


def test_a_cut_recording_goes_on(tmp_path):
    """Resumed after an interruption, with an asymmetric memory and gates: the same bits."""
    torch.manual_seed(6)
    net = fw.FastWeightNetwork(
        INPUTS, UNITS, fw.Hebbian(tau=5.0, eta=0.2), pre=("inputs", "previous"), gates=("keep",)
    )
    x = torch.randn(1, 40, INPUTS)

    def until_cut(start, stop):
        if start >= 20:
            raise KeyboardInterrupt
        return x[:, start:stop]

    import fwsim.engine.observation as observation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observation, "NUMBERS", 8 * UNITS)
        whole = fw.simulate(net, lambda start, stop: x[:, start:stop], steps=40, record="memory")
        options = {"steps": 40, "record": "memory", "to": tmp_path / "run.zarr"}
        with pytest.raises(KeyboardInterrupt):
            fw.simulate(net, until_cut, **options)
        run = fw.simulate(net, lambda start, stop: x[:, start:stop], **options, resume=True)
    assert np.array_equal(run.memory.values, whole.memory.values)


def refused(**options):
    memory = options.pop("memory", fw.Hebbian(tau=5.0, eta=0.2))
    return lambda: fw.FastWeightNetwork(INPUTS, UNITS, memory, **options)


MISTAKES = {
    "pre='outputs' is unknown": refused(pre="outputs"),
    "name at least one of": refused(pre=()),
    "name each once": refused(pre=("inputs", "inputs")),
    "read='both' is unknown": refused(read="both"),
    "gates='open' is unknown": refused(gates="open"),
    "write='before' with pre='inputs'": refused(pre="inputs", write="before"),
    "self_connections=False with pre='inputs'": refused(pre="inputs", self_connections=False),
    "iterates nothing": refused(pre="previous", inner_steps=2),
    "with memory=None has no meaning": refused(memory=None, gates="keep"),
    "are for 3 values of 'pre', the network has 4": refused(
        memory=fw.Hebbian(tau=[1.0, 2.0, 3.0], eta=0.1, axes="pre")
    ),
    "do not factorise": refused(
        memory=fw.Hebbian(tau=torch.ones(4, 4), eta=0.1, axes=("post", "pre")), form="attention"
    ),
    "learn of tau='signed'": refused(learn={"tau": "signed"}),
    "in this order": lambda: fw.Hebbian(tau=1.0, eta=1.0, axes=("pre", "post")),
    r"needs a scalar or \[post, pre\]": lambda: fw.Hebbian(tau=[1.0, 2.0], eta=1.0, axes=("post", "pre")),
    "or name other axes": lambda: fw.Hebbian(tau=torch.ones(2, 2, 2), eta=1.0),
    "oja='yes'": lambda: fw.Hebbian(tau=1.0, eta=1.0, oja="yes"),
    "has no kernel": lambda: fw.Hebbian(tau=1.0, eta=1.0, oja=True).kernel(torch.arange(2), 1.0),
    "which a rate network cannot run": lambda: fw.RateNetwork(
        [fw.Projection(torch.eye(2))], tau=0.01, gain=fw.softplus(), dt=0.001,
        memory=fw.Hebbian(tau=[1.0, 2.0], eta_rate=1.0, axes="post"),
    ),
    "constants by time scale": lambda: fw.engine.RecursiveNetwork(
        1, 2, fw.Hebbian(tau=[1.0, 2.0], eta=1.0, axes="post"), [True], [True]
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_refused_in_one_line(message):
    with pytest.raises((fw.ConfigError, fw.ShapeError), match=message) as raised:
        MISTAKES[message]()
    assert "\n" not in str(raised.value)


def test_what_a_special_memory_cannot_do_is_said():
    net = refused(pre="inputs")()
    state, cue = net.initial_state(1), torch.zeros(1, UNITS)
    calls = {
        "recall needs a memory that states read": lambda: net.recall(state, cue),
        "pre is not given": lambda: net.write(state, cue),
        r"pre has shape \[1, 1, 2\]": lambda: net.write(state, cue, torch.zeros(1, 2)),
        "iterates nothing": lambda: net(torch.zeros(1, 2, INPUTS), inner_steps=(1, 3)),
        "equilibrium is for": lambda: fw.equilibrium(net, torch.zeros(1, INPUTS), state),
        "is not a map": lambda: InnerLoop.of(net, state, torch.zeros(INPUTS)),
        "no continuous form": lambda: fw.engine.continuous(net, tau=0.01, dt=0.001),
        "attention": lambda: fw.simulate(net, torch.zeros(1, 2, INPUTS), record="attention"),
    }
    for message, call in calls.items():
        with pytest.raises(fw.FwsimError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)


def test_training_may_change_the_sign_of_a_strength():
    """A state that equals the one before is to have little: the strength becomes negative."""
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(
        INPUTS, UNITS, fw.Hebbian(tau=20.0, eta=0.05), pre="inputs", activation="tanh", normalise="none",
        learn={"eta": "signed"},
    )  # fmt: skip
    for _ in range(20):
        loss = net(torch.ones(1, 5, INPUTS))[0].square().sum()
        (gradient,) = torch.autograd.grad(loss, [net.memory_eta])
        net.memory_eta.data -= 0.05 * gradient
    assert float(net.memory.eta.detach()) < 0
