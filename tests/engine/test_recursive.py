"""Storing and clearing by schedule: the network without a schedule, and each step written out."""

import pytest
import torch

import fwsim as fw
from fwsim.engine import recursive as recursive_module
from fwsim.engine.native import run as native
from fwsim.engine.recursive import RecursiveNetwork

TIME, INPUTS, UNITS = 9, 5, 8


def memory():
    return fw.Hebbian(tau=[4.0, 30.0], eta=[0.3, 0.1])


def recursive(*arguments, **options):
    torch.manual_seed(0)
    return RecursiveNetwork(INPUTS, UNITS, memory(), *arguments, **options).double()


def sequence(time=TIME):
    return torch.randn(3, time, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_storing_every_state_is_the_fast_weight_network(inner_steps):
    ours = recursive([True] * TIME, [False] * TIME, inner_steps=inner_steps)
    theirs = fw.FastWeightNetwork(INPUTS, UNITS, memory(), inner_steps, kernel="reference").double()
    theirs.load_state_dict(
        {key.removeprefix("networks.0."): value for key, value in ours.state_dict().items()}
    )
    x = sequence()
    hidden, stored = ours(x)
    expected, _ = theirs(x)
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-12)
    assert torch.equal(stored, hidden)
    given, wanted = (
        torch.autograd.grad(h.square().sum(), net.parameters())
        for h, net in ((hidden, ours.networks[0]), (expected, theirs))
    )
    for one, other in zip(given, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_storing_nothing_is_no_memory_and_clearing_starts_again():
    ours = recursive([False] * TIME, [step == 3 for step in range(TIME)])
    theirs = fw.FastWeightNetwork(INPUTS, UNITS, None, kernel="reference").double()
    theirs.load_state_dict(
        {
            key.removeprefix("networks.0."): value
            for key, value in ours.state_dict().items()
            if "memory" not in key
        }
    )
    x = sequence()
    expected = torch.cat([theirs(x[:, :4])[0], theirs(x[:, 4:])[0]], dim=1)
    torch.testing.assert_close(ours(x)[0], expected, rtol=0, atol=1e-12)


def test_each_step_written_out():
    """Two sets of weights, states stored after steps 0 and 3 only, cleared after step 3; ages count every step."""
    stored, cleared = [0, 3], [3]
    weights = [step % 2 for step in range(TIME)]
    net = recursive(
        [step in stored for step in range(TIME)], [step in cleared for step in range(TIME)], weights
    )
    x = sequence()
    hidden, kept = net(x)
    torch.testing.assert_close(kept, hidden[:, stored])
    before = torch.zeros(3, UNITS, dtype=torch.float64)
    for step in range(TIME):
        part = net.networks[weights[step]]
        z = before @ part.W.T + x[:, step] @ part.C.T + part.b
        A = torch.zeros(3, UNITS, UNITS, dtype=torch.float64)
        for time in stored:
            if time < step:
                age = step - 1 - time
                kappa = 0.3 * torch.exp(torch.tensor(-age / 4.0)) + 0.1 * torch.exp(torch.tensor(-age / 30.0))
                A += kappa * hidden[:, time, :, None] * hidden[:, time, None, :]
        field = z + torch.einsum("bij,bj->bi", A, z.relu())
        normal = (field - field.mean(-1, keepdim=True)) / (
            field.var(-1, correction=0, keepdim=True) + 1e-5
        ).sqrt()
        torch.testing.assert_close(hidden[:, step], normal.relu(), rtol=1e-6, atol=1e-7)
        before = torch.zeros_like(before) if step in cleared else hidden[:, step]


SCHEDULES = {
    "the paper's": ([step % 4 == 0 for step in range(TIME)], [step % 4 == 0 for step in range(TIME)]),
    "every": ([True] * TIME, [False] * TIME),
    "nothing": ([False] * TIME, [step == 2 for step in range(TIME)]),
    "last": ([step in (3, TIME - 1) for step in range(TIME)], [step not in (4, 5) for step in range(TIME)]),
}


@pytest.mark.parametrize("layout", ["units", "batch"])
@pytest.mark.parametrize("inner_steps", [1, 3])
@pytest.mark.parametrize("blocked", [(), (5, 7)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_kernel_is_plain_torch(schedule, blocked, inner_steps, layout, monkeypatch):
    """States, what was stored, and gradients of both, with respect to input and weights."""
    monkeypatch.setattr(native, "in_batch_layout", lambda *sizes: layout == "batch")
    net = recursive(*SCHEDULES[schedule], [step % 3 // 2 for step in range(TIME)], inner_steps=inner_steps)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    x = sequence().requires_grad_()
    results = []
    for compiled in (recursive_module.COMPILED, ()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recursive_module, "COMPILED", compiled)
            hidden, stored = net(x, blocked)
        loss = (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum() + stored.pow(3).sum()
        parts = torch.autograd.grad(loss, [x, *net.parameters()])
        results.append([hidden, stored, *parts])
    assert "SequenceFunction" in graph(net(x, blocked)[0])
    for given, wanted in zip(*results, strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-9, atol=1e-11)


def graph(tensor):
    """Names of the functions that a tensor was made by."""
    names, waiting = set(), [tensor.grad_fn]
    while waiting:
        function = waiting.pop()
        if function is not None and function.name() not in names:
            names.add(function.name())
            waiting += [other for other, _ in function.next_functions]
    return " ".join(names)


def test_the_kernels_gradient_is_that_of_finite_differences():
    net = recursive(*SCHEDULES["the paper's"], inner_steps=2)

    def run(x, *parameters):
        return torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), (x,))[0]

    names = [name for name, _ in net.named_parameters()]
    assert torch.autograd.gradcheck(run, (sequence()[:1].requires_grad_(), *net.parameters()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_diverged_is_seen(value):
    net = recursive(*SCHEDULES["every"])
    with torch.no_grad():
        net.networks[0].b[2] = value
    assert net(sequence())[0].isnan().all()


def test_single_precision_and_what_the_kernel_does_not_compute():
    net = recursive(*SCHEDULES["the paper's"])
    x = sequence()
    expected = net(x)[0]
    torch.testing.assert_close(net.float()(x.float())[0].double(), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        net.bfloat16()(x.bfloat16())[0].double(), expected, rtol=0, atol=0.5
    )  # in plain torch


def test_attention_adds_up_to_the_answer_of_the_memory():
    net = recursive([step % 2 == 0 for step in range(TIME)], [False] * TIME)
    hidden, _ = net(sequence())
    attention = net.attention(hidden)
    assert attention.shape == (3, TIME, TIME)
    assert not attention[:, :, 1::2].any()
    assert not attention.triu().any()
    kappa = memory().kernel(torch.arange(TIME), 1.0)
    last = sum(
        kappa[TIME - 2 - time] * hidden[:, time] * (hidden[:, time] * hidden[:, -1]).sum(-1, keepdim=True)
        for time in (0, 2, 4, 6)
    )
    torch.testing.assert_close(torch.einsum("bp,bpi->bi", attention[:, -1], hidden), last)


def test_a_blocked_step_reads_nothing_and_changes_nothing_before_it():
    net = recursive([True] * TIME, [False] * TIME)
    x = sequence()
    free, blocked = net(x)[0], net(x, blocked=[5])[0]
    assert torch.equal(free[:, :5], blocked[:, :5])
    assert not torch.allclose(free[:, 5], blocked[:, 5])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([True] * 3, [True] * 2), "each one value"),
        (([], []), "each one value"),
        (([True] * 3, [True] * 3, [0, 2, 2]), "without gaps"),
        (([True] * 3, [True] * 3, [0.0, 1.0, 1.0]), "weights=0.0 is not allowed; it must be an integer"),
        ((["a", "b"], [True] * 2), "stored=.* is not allowed; give True or False for each step"),
        (([True] * 2, True), "cleared=True is not allowed"),
    ],
)
def test_bad_schedules(arguments, said):
    with pytest.raises(fw.ConfigError, match=said):
        recursive(*arguments)


def test_sequences_of_another_length():
    with pytest.raises(fw.ConfigError, match="give as many"):
        recursive([True] * TIME, [False] * TIME)(sequence(TIME - 1))


def test_inputs_of_another_precision_and_as_an_array():
    net, x = recursive([True] * TIME, [False] * TIME), sequence()
    assert torch.equal(net(x.numpy())[0], net(x)[0])
    with pytest.raises(fw.ShapeError, match=r"x is torch.float32 on cpu, the network torch.float64"):
        net(x.float())


def test_constants_by_batch_element_are_refused():
    for tau in ([[4.0], [30.0]], [[4.0]]):
        with pytest.raises(fw.ConfigError, match="constants by time scale"):
            RecursiveNetwork(INPUTS, UNITS, fw.Hebbian(tau=tau, eta=0.1), [True], [False])
