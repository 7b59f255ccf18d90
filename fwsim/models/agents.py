"""Agents with memory: policy, play, and the objective for `fwsim.training.train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fwsim.engine import checks
from fwsim.engine.state import State
from fwsim.errors import ShapeError, instance, number, type_of, whole
from fwsim.models.recurrent import Core
from fwsim.names import KnownArguments, known_arguments
from fwsim.tasks.catch import Catch, Positions


class ActorCritic(KnownArguments, nn.Module):
    """Screen → recurrent core → scores of the actions, and the expected return.

    Parameters
    ----------
    core
        Any network from `fwsim.models.recurrent.core`; its inputs are the pixels.
    actions
        Number of actions.
    """

    def __init__(self, core: Core, actions: int) -> None:
        super().__init__()
        instance("core", core, nn.Module, "a network from fwsim.models.core")
        whole("actions", actions, least=2)
        self.core = core
        self.policy = nn.Linear(core.units, actions)
        self.value = nn.Linear(core.units, 1)

    def forward(self, screens: Tensor) -> tuple[Tensor, Tensor]:
        """Whole episodes `[episode, time, pixel]` → logits `[episode, time, action]` and values `[episode, time]`."""
        hidden, _ = self.core(screens)
        return self.policy(hidden), self.value(hidden)[..., 0]

    def look(self, screens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Screens as in `forward`, beginning at a state (`None`: at rest) → logits, and the state after them."""
        hidden, state = self.core(screens, state)
        return self.policy(hidden), state


class Draws(NamedTuple):
    """Random numbers of a batch of episodes: starting positions, and `chance [episode, time]` in [0, 1) for actions."""

    start: Positions
    chance: Tensor


class Episodes(NamedTuple):
    """A batch of episodes: `screens [episode, time, pixel]`, then `action` and `reward`, both `[episode, time]`.

    `paddle [episode, time]` is the paddle's column in the frame before the action.
    """

    screens: Tensor
    action: Tensor
    reward: Tensor
    paddle: Tensor


Player = Callable[[Positions, Tensor], Tensor]


@known_arguments
def draw(game: Catch, episodes: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Draws:
    """Draw the random numbers of a batch of episodes, on the CPU so that every device gets the same ones."""
    instance("game", game, Catch, "a game, such as fwsim.tasks.Catch()")
    place = checks.device(device)
    start = game.start(episodes, generator, place)
    return Draws(start, torch.rand(episodes, game.steps, generator=generator).to(place))


@known_arguments
@torch.no_grad()
def play(player: Player, game: Catch, draws: Draws) -> Episodes:
    """Play whole episodes, step by step.

    Parameters
    ----------
    player
        `(positions, chance [episode]) → action [episode]`. `watching` makes one that sees only the screens.
    game, draws
        The game, and the random numbers.
    """
    instance("game", game, Catch, "a game, such as fwsim.tasks.Catch()")
    instance("draws", draws, Draws, "what fwsim.models.draw returns")
    positions = draws.start
    frames = []
    for chance in draws.chance.unbind(1):
        screen, paddle = game.screen(positions).flatten(1), positions.paddle
        action = player(positions, chance)
        positions = game.move(positions, action)
        frames.append((screen, action, game.reward(positions), paddle))
    return Episodes(*(torch.stack(each, dim=1) for each in zip(*frames, strict=True)))


@known_arguments
def watching(agent: ActorCritic, game: Catch) -> Player:
    """Return a player that draws from an agent's policy and sees the screens of one batch of episodes in turn.

    The blank screens do not depend on the actions, so it computes all of them at once.
    """
    instance("agent", agent, nn.Module, "a fwsim.models.ActorCritic")
    state: State | None = None
    ahead: Tensor

    def act(positions: Positions, chance: Tensor) -> Tensor:
        nonlocal state, ahead
        row, screen = positions.row, game.screen(positions).flatten(1)[:, None]
        if row < game.visible:
            logits, state = agent.look(screen, state)
            return pick(logits[:, 0], chance)
        if row == game.visible:
            ahead, _ = agent.look(screen.expand(-1, game.steps - row, -1), state)
        return pick(ahead[:, row - game.visible], chance)

    return act


@known_arguments
def pick(logits: Tensor, chance: Tensor) -> Tensor:
    """Action `[...]` in whose interval of the probability, by `logits [..., action]`, `chance [...]` lies."""
    below = logits.softmax(-1).cumsum(-1)[..., :-1]
    return (chance[..., None] >= below).sum(-1)


@known_arguments
def mean_return(episodes: Episodes) -> float:
    """Average sum of the rewards of an episode."""
    instance("episodes", episodes, Episodes, "what fwsim.models.play returns")
    return episodes.reward.sum(1).mean().item()


@dataclass(frozen=True)
class AdvantageActorCritic(KnownArguments):
    """Objective of a batch of episodes, `(agent, draws) → loss`, for `fwsim.training.train`.

    The agent plays the episodes. Then all of their steps are computed again at once, this time with gradients:

        loss = mean over steps of −log π(a) A + value_weight (R − V)² − entropy_weight H(π)

    with advantages A = Σ_k (γ λ)^k δ(t+k), δ(t) = r(t) + γ V(t+1) − V(t), and targets R = A + V of the value.

    Source: Mnih et al. 2016 (arXiv 1602.01783), synchronous; advantages after Schulman et al. 2016 (arXiv
    1506.02438), in which λ = 1 gives the return minus the value.

    Parameters
    ----------
    game
        The game.
    discount
        γ, the discount per step.
    trace_decay
        λ: with larger values, advantages use more rewards before they rely on the value.
    value_weight, entropy_weight
        Weight of the critic's squared error, and of the bonus for the entropy of the policy.
    """

    game: Catch
    discount: float = 1.0
    trace_decay: float = 1.0
    value_weight: float = 0.5
    entropy_weight: float = 0.01

    def __post_init__(self) -> None:
        instance("game", self.game, Catch, "a game, such as fwsim.tasks.Catch()")
        for name in ("discount", "trace_decay"):
            number(name, getattr(self, name), least=0, most=1)
        for name in ("value_weight", "entropy_weight"):
            number(name, getattr(self, name), least=0)

    def __call__(self, agent: ActorCritic, draws: Draws) -> Tensor:
        """Play the episodes, and return the loss."""
        episodes = play(watching(agent, self.game), self.game, draws)
        logits, value = agent(episodes.screens)
        log_policy = logits.log_softmax(-1)
        chosen = log_policy.gather(-1, episodes.action[..., None])[..., 0]
        advantage = advantages(episodes.reward, value.detach(), self.discount, self.trace_decay)
        critic = (advantage + value.detach() - value).square().mean()
        entropy = -(log_policy.exp() * log_policy).sum(-1).mean()
        return -(chosen * advantage).mean() + self.value_weight * critic - self.entropy_weight * entropy


@known_arguments
def advantages(reward: Tensor, value: Tensor, discount: float, trace_decay: float) -> Tensor:
    """Generalised advantages of complete episodes: `reward`, `value` and the result are `[episode, time]`."""
    for name, given in (("discount", discount), ("trace_decay", trace_decay)):
        number(name, given, least=0, most=1)
    shapes = [list(each.shape) if isinstance(each, Tensor) else type_of(each) for each in (reward, value)]
    if shapes[0] != shapes[1] or len(shapes[0]) != 2:
        raise ShapeError(
            f"reward is {shapes[0]}, value {shapes[1]}; give tensors [episode, time] of the same shape"
        )
    after = torch.cat([value[:, 1:], torch.zeros_like(value[:, :1])], dim=1)
    error = reward + discount * after - value
    summed = torch.zeros_like(error[:, 0])
    result = []
    for step in reversed(error.unbind(1)):
        summed = step + discount * trace_decay * summed
        result.append(summed)
    return torch.stack(result[::-1], dim=1)
