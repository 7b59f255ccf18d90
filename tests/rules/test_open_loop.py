"""Sequences of writes and reads at once, against the loop over the rule and against textbook formulas."""

import math

import pytest
import torch

import fwsim as fw
from fwsim.errors import ShapeError
from fwsim.rules import open_loop
from fwsim.rules.memory_rule import MemoryRule, step_by_step
from tests.rules.cases import exact

BATCH, PRE, POST = 2, 4, 3


def given(time, timescales=1, seed=0):
    """Memory, keys, values, queries and gates; with silent keys, and gates at and near their limits."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    memory = normal(BATCH, timescales, POST, PRE)
    pre, post, query = normal(BATCH, time, PRE), normal(BATCH, time, POST), normal(BATCH, time, PRE)
    keep, store = (torch.rand(BATCH, time, generator=generator, dtype=torch.float64) for _ in range(2))
    if time > 3:
        keep[0, 1], keep[1, 2], keep[0, 3], store[0, 2], store[1, 3] = 0.0, 1.0, 1e-300, 0.0, 1.0
        pre[1, 1] = 0.0
    return [each.requires_grad_() for each in (memory, pre, post, query, keep, store)]


RULES = {
    "delta": fw.Delta(beta=1.0),
    "delta, time scales": fw.Delta(beta=exact([0.3, 1.7]), tau=exact([2.0, math.inf])),
    "delta by batch": fw.Delta(
        beta=exact([[0.3, 0.0], [1.0, 1.9]]), tau=exact([[2.0, 0.0], [5.0, math.inf]])
    ),
    "hebbian": fw.Hebbian(tau=exact([2.0, 9.0]), eta=exact([0.5, -0.1])),
}


def outcome(scan, time, rule, gated):
    """Answers, the last memory, and gradients of a mixture of both for everything that was given."""
    memory, pre, post, query, keep, store = leaves = given(time, rule.timescales)
    gates = {"keep": keep, "store": store} if gated else {}
    answers, after = scan(rule, memory, pre, post, query, 0.5, **gates)
    loss = (
        answers * torch.cos(torch.arange(answers.numel()).reshape(answers.shape))
    ).sum() + after.square().sum()
    used = leaves if gated else leaves[:4]
    return answers, after, *torch.autograd.grad(loss, used)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("time", [1, 5, 16, 17, 41])
def test_it_is_the_loop_with_all_gradients(name, gated, time, monkeypatch):
    monkeypatch.setattr(open_loop, "CHUNK", 8)
    rule = RULES[name]
    fast = outcome(MemoryRule.scan, time, rule, gated)
    loop = outcome(step_by_step, time, rule, gated)
    for ours, truth in zip(fast, loop, strict=True):
        torch.testing.assert_close(ours, truth, rtol=1e-10, atol=1e-10)


def test_it_goes_on_from_a_state():
    memory, pre, post, query, keep, store = given(100)
    rule = fw.Delta(beta=0.8, tau=30.0)
    whole, last = rule.scan(memory, pre, post, query, 1.0, keep=keep, store=store)
    parts = []
    for steps in (slice(0, 37), slice(37, 100)):
        each = (pre[:, steps], post[:, steps], query[:, steps], 1.0)
        part, memory = rule.scan(memory, *each, keep=keep[:, steps], store=store[:, steps])
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(memory, last, rtol=1e-10, atol=1e-10)


def test_what_remains_is_products_and_divides_by_nothing():
    left = exact([0.5, 0.0, 1e-300, 1.0, 0.9]).requires_grad_()
    remaining = open_loop.what_remains(left)
    for t in range(6):
        for i in range(6):
            assert remaining[t, i] == (math.prod(left[i:t].tolist()) if t >= i else 0.0)
    (gradient,) = torch.autograd.grad(remaining[5, 0], left)
    others = [math.prod(left[:n].tolist() + left[n + 1 :].tolist()) for n in range(5)]
    assert gradient.tolist() == pytest.approx(others, rel=1e-14, abs=0)


def test_second_derivatives_and_transforms():
    """Those of the loop: by torch's own differentiation, under vmap and in forward mode."""
    memory, pre, post, query, keep, store = (each.detach() for each in given(6))

    def loss(scan):
        def of(value):
            answers, after = scan(RULES["delta"], memory, pre, value, query, 1.0, keep=keep, store=store)
            return answers.pow(3).sum() + after.square().sum()

        return of

    for derivative in (torch.func.hessian, torch.func.jacfwd):
        fast, loop = (derivative(loss(scan))(post) for scan in (MemoryRule.scan, step_by_step))
        torch.testing.assert_close(fast, loop, rtol=1e-9, atol=1e-9)


def test_rules_without_a_closed_form_take_the_loop():
    class Own(fw.Delta):
        def write(self, memory, pre, post, dt, *, keep=None, store=None):
            return memory + post[:, None, :, None] * pre[:, None, None, :]

    memory, pre, post, query, *_ = given(70)
    _, after = Own().scan(memory, pre, post, query, 1.0)
    torch.testing.assert_close(after, memory + (post.mT @ pre)[:, None])
    for rule in (
        fw.Delta(beta=0.5, tau=exact([2.0, 3.0, 4.0]), axes="post"),
        fw.Hebbian(tau=5.0, eta=0.1, oja=True),
    ):
        truth = step_by_step(rule, memory, pre, post, query, 1.0)
        assert all(torch.equal(*pair) for pair in zip(rule.scan(memory, pre, post, query, 1.0), truth))
    half = [each.bfloat16() for each in (memory, pre, post, query)]
    assert torch.equal(fw.Delta().scan(*half, 1.0)[0], step_by_step(fw.Delta(), *half, 1.0)[0])


def test_no_steps_and_mistakes():
    memory, pre, post, query, keep, _ = (each.detach() for each in given(5))
    rule = fw.Delta()
    answers, after = rule.scan(memory, pre[:, :0], post[:, :0], query[:, :0], 1.0)
    assert answers.shape == (BATCH, 0, POST)
    assert torch.equal(after, memory)
    for message, call in {
        "memory has shape": lambda: rule.scan(memory[:, 0], pre, post, query, 1.0),
        r"post has shape \[2, 5, 4\]": lambda: rule.scan(memory, pre, pre, query, 1.0),
        "pre has shape": lambda: rule.scan(memory, pre[:, 0], post, query, 1.0),
        r"keep has shape \[2, 4\]": lambda: rule.scan(memory, pre, post, query, 1.0, keep=keep[:, 1:]),
    }.items():
        with pytest.raises(fw.ShapeError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "rule", [fw.Delta(tau=[[1.0], [2.0]], beta=0.5), fw.Hebbian(tau=[[1.0], [2.0]], eta=0.5)]
)
def test_a_memory_of_another_batch_is_refused(rule):
    pair = torch.zeros(3, 4, 2)
    with pytest.raises(
        ShapeError, match=r"memory has batch 3, the rule's parameters are for 2; give as many"
    ):
        rule.scan(torch.zeros(3, 1, 2, 2), pair, pair, pair, 0.1)


@pytest.mark.parametrize(
    "rule", [fw.Delta(), fw.Hebbian(tau=5.0, eta=0.1), fw.Hebbian(tau=5.0, eta=0.1, oja=True)]
)
def test_one_precision_and_a_positive_step(rule):
    memory, pre, post, query, keep, _ = (each.detach() for each in given(5))
    for message, wrong in {
        "pre is torch.float32 on cpu, memory torch.float64": (memory, pre.float(), post, query, 1.0),
        "memory is torch.float32|pre is torch.float64": (memory.float(), pre, post, query, 1.0),
        "post is torch.int64; give a torch tensor": (memory, pre, post.long(), query, 1.0),
        "query is float64; give a torch tensor": (memory, pre, post, query.numpy(), 1.0),
    }.items():
        with pytest.raises(fw.ShapeError, match=message):
            rule.scan(*wrong)
    with pytest.raises(fw.ShapeError, match=r"keep is torch\.float32"):
        rule.scan(memory, pre, post, query, 1.0, keep=keep.float())
    with pytest.raises(fw.ConfigError, match="dt"):
        rule.scan(memory, pre, post, query, -1.0)
