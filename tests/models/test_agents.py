"""Actor–critic: advantages and gradients in closed form, the fast way of playing against the slow one, and learning."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.models import (
    CORES,
    ActorCritic,
    AdvantageActorCritic,
    Draws,
    advantages,
    core,
    draw,
    mean_return,
    pick,
    play,
    watching,
)
from fwsim.tasks import Catch
from fwsim.training import Training, train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made(game, model="fast_weights", units=8, seed=0):
    torch.manual_seed(seed)
    return ActorCritic(core(model, game.pixels, units, fw.Hebbian.from_decay(0.9, eta=0.1)), game.actions)


@given(
    steps=st.integers(1, 7), discount=st.floats(0, 1), trace_decay=st.floats(0, 1), seed=st.integers(0, 99)
)
@settings(max_examples=30, deadline=None)
def test_advantages_are_the_sums_written_out(steps, discount, trace_decay, seed):
    reward, value = torch.randn(2, 3, steps, dtype=torch.float64, generator=generator(seed))
    found = advantages(reward, value, discount, trace_decay)
    for episode in range(3):
        v = [*value[episode].tolist(), 0.0]
        error = [float(reward[episode, t]) + discount * v[t + 1] - v[t] for t in range(steps)]
        for t in range(steps):
            expected = sum((discount * trace_decay) ** k * error[t + k] for k in range(steps - t))
            assert found[episode, t].item() == pytest.approx(expected, abs=1e-12)


def test_at_a_trace_decay_of_1_the_advantage_is_the_return_less_the_value():
    reward, value = torch.randn(2, 5, 6, dtype=torch.float64, generator=generator())
    to_come = reward.flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(advantages(reward, value, 1.0, 1.0), to_come - value)


def test_actions_are_picked_by_their_probability():
    logits = torch.tensor([0.3, -1.0, 1.2])
    chance = (torch.arange(10_000) + 0.5) / 10_000
    shares = torch.bincount(pick(logits.expand(10_000, 3), chance), minlength=3) / 10_000
    torch.testing.assert_close(shares, logits.softmax(0), atol=2e-4, rtol=0)


@pytest.mark.parametrize("model", sorted(CORES))
@pytest.mark.parametrize("visible", [1, 3, 5])
def test_looking_ahead_on_a_blank_screen_changes_nothing(model, visible):
    """Against an agent that looks at every screen when it comes."""
    game = Catch(5, visible)
    agent, draws = made(game, model), draw(game, 40, generator())
    state = None

    def step_by_step(positions, chance):
        nonlocal state
        logits, state = agent.look(game.screen(positions).flatten(1)[:, None], state)
        return pick(logits[:, 0], chance)

    expected = play(step_by_step, game, draws)
    found = play(watching(agent, game), game, draws)
    for name in expected._fields:
        assert torch.equal(getattr(found, name), getattr(expected, name))
    with torch.no_grad():
        logits, _ = agent(found.screens)
    assert torch.equal(pick(logits, draws.chance), found.action)


def test_its_gradient_is_that_of_the_expected_return():
    """On a game of one action, where the return can be summed over everything, and so can all chance (to 1/1000)."""
    game = Catch(2, 1, 1)
    agent = made(game, units=6)
    places = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    start = fw.tasks.Positions(places[:, 0], places[:, 1], 0)
    logits, _ = agent(game.screen(start).flatten(1)[:, None])
    outcome = torch.stack([game.reward(game.move(start, torch.full((4,), a))) for a in range(3)], -1)
    expected = (logits[:, 0].softmax(-1) * outcome).sum(-1).mean()
    exact = torch.autograd.grad(expected, agent.policy.parameters())

    objective = AdvantageActorCritic(game, value_weight=0.0, entropy_weight=0.0)
    everything = fw.tasks.Positions(*(column.repeat(1000) for column in start[:2]), 0)
    chance = ((torch.arange(1000) + 0.5) / 1000).repeat_interleave(4)[:, None]
    played = torch.autograd.grad(objective(agent, Draws(everything, chance)), agent.policy.parameters())
    for one, other in zip(exact, played, strict=True):
        torch.testing.assert_close(other, -one, atol=1e-3, rtol=0)  # the largest is 0.06


def test_each_term_of_the_loss_has_its_weight():
    game = Catch(4, 2)
    agent, draws = made(game), draw(game, 16, generator())

    def loss(**weights):
        return AdvantageActorCritic(game, **weights)(agent, draws).item()

    plain = loss(value_weight=0.0, entropy_weight=0.0)
    logits, value = agent(play(watching(agent, game), game, draws).screens)
    reward = play(watching(agent, game), game, draws).reward
    critic = (reward.sum(1, keepdim=True) - value).square().mean().item()
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean().item()
    assert loss(value_weight=2.0, entropy_weight=0.0) == pytest.approx(plain + 2 * critic, rel=1e-5)
    assert loss(value_weight=0.0, entropy_weight=3.0) == pytest.approx(plain - 3 * entropy, rel=1e-5)


def test_a_small_game_is_learned_to_near_the_optimum():
    """Band, set before the run: a return above 0.8 (nine catches in ten), where 1 is optimal and −0.5 is blind."""
    game = Catch(4, 2, 1)
    agent = made(game, units=24)
    judged = draw(game, 500, generator(1))

    def judge(agent):
        return -mean_return(play(watching(agent, game), game, judged))

    def batches(epoch):
        stream = generator(10 + epoch)
        return [draw(game, 64, stream) for _ in range(50)]

    before = -judge(agent)
    history = train(
        agent, AdvantageActorCritic(game), batches, 50, judge, Training(8, 1e-2, schedule="constant")
    )
    assert before < -0.2
    assert -history.attrs["best_validation"] > 0.8


@pytest.mark.parametrize("option", ["discount", "trace_decay", "value_weight", "entropy_weight"])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_bad_options(option, value):
    with pytest.raises(fw.ConfigError, match=option):
        AdvantageActorCritic(Catch(), **{option: value})


def test_the_former_place_still_works_and_warns():
    import fwsim.actor_critic

    with pytest.warns(DeprecationWarning, match=r"use fwsim\.models\.play"):
        assert fwsim.actor_critic.play is play


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fw.models.ActorCritic("x", 3), "core is a str"),
        (lambda: fw.models.ActorCritic(fw.models.LSTM(2, 3), 1), "actions=1 is not allowed"),
        (lambda: fw.models.ActorCritic(fw.models.LSTM(2, 3), action=3), "did you mean actions"),
        (lambda: fw.models.AdvantageActorCritic("x"), "game is a str"),
        (lambda: fw.models.draw("x", 1, torch.Generator()), "game is a str"),
        (lambda: fw.models.draw(fw.tasks.Catch(), 1, torch.Generator(), "x"), "device='x' is unknown"),
        (lambda: fw.models.play(print, fw.tasks.Catch(), None), "draws is None"),
        (lambda: fw.models.watching("x", fw.tasks.Catch()), "agent is a str"),
        (lambda: fw.models.mean_return("x"), "episodes is a str"),
        (lambda: fw.models.advantages(torch.ones(2, 3), torch.ones(2, 3), 2, 1), "discount=2 is not allowed"),
        (lambda: fw.models.advantages(torch.ones(2, 3), torch.ones(2, 4), 1, 1), r"value \[2, 4\]"),
        (lambda: fw.models.parameter_count("x"), "model is a str"),
        (lambda: fw.models.Signed("x"), "sign='x' is not allowed"),
    ],
)
def test_what_models_refuse(call, said):
    with pytest.raises(fw.FwsimError, match=said):
        call()


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (torch.rand(2, 5), "tokens are torch.float32"),
        ([[0, 1]], "tokens are a list"),
        (torch.full((2, 5), 7), "tokens go from 7 to 7; this classifier knows 0 to 2"),
        (torch.full((2, 5), -1), "tokens go from -1"),
        (torch.zeros(5, dtype=torch.long), r"tokens have shape \[5\]"),
        (torch.zeros(2, 0, dtype=torch.long), "at least one step"),
    ],
)
def test_what_are_no_tokens(tokens, said):
    classifier = fw.models.SequenceClassifier(fw.models.LSTM(2, 3), 3, 4)
    with pytest.raises(fw.FwsimError, match=said):
        classifier(tokens)
