"""The delta rule against its formula, and where it is stable."""

import math

import pytest
import torch

import fwsim as fw
from tests.rules.cases import exact


def pair(seed, batch=2, units=5):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, units, generator=generator, dtype=torch.float64) for _ in range(2))


def unit(pre):
    return pre / pre.norm(dim=-1, keepdim=True)


def test_the_last_value_of_a_key_is_what_it_answers():
    rule, memory = fw.Delta(beta=1.0), torch.zeros(2, 1, 5, 5, dtype=torch.float64)
    pre, old = pair(0)
    _, new = pair(1)
    for post in (old, new):
        memory = rule.write(memory, 3 * pre, post, 1.0)
    torch.testing.assert_close(rule.read(memory, unit(pre)), new)


def test_orthogonal_keys_are_left_alone():
    rule, memory = fw.Delta(beta=0.7), torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    one, other = torch.eye(3, dtype=torch.float64)[None, 0], torch.eye(3, dtype=torch.float64)[None, 1]
    post = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    memory = rule.write(memory, one, post, 1.0)
    before = rule.read(memory, one)
    memory = rule.write(memory, other, -post, 1.0)
    torch.testing.assert_close(rule.read(memory, one), before)
    torch.testing.assert_close(before, 0.7 * post)


@pytest.mark.parametrize("beta", [0.3, 1.0, 1.7])
def test_error_shrinks_geometrically(beta):
    rule, memory = fw.Delta(beta=beta), torch.zeros(2, 1, 5, 5, dtype=torch.float64)
    pre, post = pair(0)
    for n in range(1, 6):
        memory = rule.write(memory, pre, post, 1.0)
        error = (post - rule.read(memory, unit(pre))).norm(dim=-1)
        torch.testing.assert_close(error, abs(1 - beta) ** n * post.norm(dim=-1), rtol=1e-10, atol=1e-12)


def test_write_is_the_published_formula():
    """A(I − β k kᵀ) + β v kᵀ, per time scale and batch element."""
    beta, tau = exact([[0.2, 0.9], [0.5, 1.5]]), exact([3.0, math.inf])
    memory = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    pre, post = pair(3)
    got = fw.Delta(beta=beta, tau=tau).write(memory, pre, post, 0.5)
    for b in range(2):
        k = unit(pre)[b]
        for s in range(2):
            A = memory[b, s] * torch.exp(-0.5 / tau[s])
            expected = A @ (torch.eye(5) - beta[b, s] * torch.outer(k, k)) + beta[b, s] * torch.outer(
                post[b], k
            )
            torch.testing.assert_close(got[b, s], expected)


def test_silence_writes_nothing_and_has_a_gradient():
    pre = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    memory = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    written = fw.Delta().write(memory, pre, torch.ones(1, 3, dtype=torch.float64), 1.0)
    assert torch.equal(written, memory)
    written.sum().backward()
    assert (
        not pre.grad.any()
    )  # as beside a silent pre-state: what is written does not depend on its direction


@pytest.mark.parametrize("beta", [-0.1, 2.0, [0.1, 3.0], float("nan")])
def test_unstable_steps_are_refused(beta):
    with pytest.raises(fw.ConfigError, match="beta"):
        fw.Delta(beta=beta)


@pytest.mark.parametrize("rule", [fw.Delta(), fw.Hebbian(tau=1.0, eta=0.1)])
@pytest.mark.parametrize("what", ["respond", "steady_state", "brian2", "rate_dynamics"])
def test_memory_rules_have_no_spikes_and_say_so(rule, what):
    with pytest.raises(fw.ConfigError, match="no response to spikes"):
        getattr(rule, what)()
