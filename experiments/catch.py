"""Can an agent catch a ball that it sees only at the start, with what its fast weights remember?

Catch, partially observed (Ba et al. 2016, section 4.4): after M of N frames the screen is blank. The agent has to find
the column from what it remembers of ball and paddle, and it does not observe its own actions. It learns by advantage
actor–critic from the reward of ±1 at the end. Fast weights are compared with networks of as many units: a ReLU network
(`irnn` starts as the identity, `no_inner_loop` as the slow weights of the fast-weight network), an LSTM, and the same
network without memory (RNN + LN). Expect from the paper that fast weights learn fastest, with a larger advantage on
the larger game:

    fwsim sweep catch --over model=fast_weights,irnn,lstm,no_memory --seeds 5
    fwsim sweep catch --size 24 --visible 5 --over model=fast_weights,irnn,lstm,no_memory --seeds 5

The recording holds the learning curve, and hidden and inner states and attention of the trained agent in test
episodes. It also holds the return if state or memory is erased when the screen goes blank, and the returns of players
that need no learning.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.models import (
    ActorCritic,
    AdvantageActorCritic,
    Draws,
    Player,
    core,
    draw,
    mean_return,
    parameter_count,
    pick,
    play,
    watching,
)
from fwsim.recording import labelled, labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Duration
from fwsim.training import Training, train

QUICK = {
    "size": 5,
    "visible": 2,
    "units": 32,
    "frames": 60_000,
    "points": 10,
    "recorded": 16,
}


class Config(Base):
    """One agent on one game."""

    model: Literal["fast_weights", "no_memory", "no_inner_loop", "irnn", "lstm"] = "fast_weights"
    "Fast weights, or a control with as many units."
    size: int = Field(default=16, ge=2)
    "Rows and columns of the screen N."
    visible: int = Field(default=3, ge=1)
    "Frames M before the screen goes blank."
    paddle: int = Field(default=2, ge=1)
    "Pixels of the paddle."
    units: int = Field(default=64, ge=1)
    "Recurrent units."
    inner_steps: int = Field(default=1, ge=0)
    "Iterations of the inner loop S."
    tau: tuple[Duration, ...] = Field(default=(-1 / math.log(0.95),), min_length=1)
    "Time constants of the memory at 1 s a frame; 19.5 s is the paper's decay of 0.95."
    eta: tuple[float, ...] = Field(default=(0.5,), min_length=1)
    "Strength of one write, for each time constant."
    frames: int = Field(default=1_000_000, ge=1)
    "Frames to learn from."
    episodes: int = Field(default=64, ge=1)
    "Episodes a training step."
    learning_rate: float = Field(default=3e-3, gt=0)
    "Learning rate of Adam, constant."
    trace_decay: float = Field(default=1.0, ge=0, le=1)
    "λ of advantages: with 1 they use all rewards to come, with 0 the next one and the critic."
    entropy_weight: float = Field(default=0.01, ge=0)
    "Weight of the policy's entropy in the loss, a bonus for undecided policies."
    points: int = Field(default=20, ge=1)
    "Points of the learning curve."
    tested: int = Field(default=500, ge=1)
    "Episodes that a return is measured on."
    recorded: int = Field(default=128, ge=1)
    "Test episodes that are recorded."


def run(config: Config, context: Context) -> xr.Dataset:
    """Learn, test, record."""
    game = fw.tasks.Catch(config.size, config.visible, config.paddle)
    agent = build(config, game, context)
    history = learn(agent, game, config, context)
    test = draw(game, config.tested, context.generator("test"), context.device)
    recording = record(agent, game, first(test, config.recorded), context)
    players = reference_players(game)
    erased = [erased_return(agent, game, test, what) for what in ERASED]
    reference = [mean_return(play(player, game, test)) for player in players.values()]
    returns = {
        "test_return": ((), mean_return(play(watching(agent, game), game, test)), "1", "return"),
        "erased_return": ("erased", erased, "1", "return"),
        "reference_return": ("player", reference, "1", "return"),
        "parameters": ((), parameter_count(agent), "1", "trained parameters"),
    }
    measured = labelled_dataset(returns, {"erased": list(ERASED), "player": list(players)})
    return recording.merge(measured).merge(history, combine_attrs="no_conflicts")


def build(config: Config, game: fw.tasks.Catch, context: Context) -> ActorCritic:
    """Make the agent."""
    memory = fw.Hebbian(tau=list(config.tau), eta=list(config.eta))
    with context.random_state("weights"):
        return ActorCritic(
            core(config.model, game.pixels, config.units, memory, config.inner_steps), game.actions
        )


def learn(agent: ActorCritic, game: fw.tasks.Catch, config: Config, context: Context) -> xr.Dataset:
    """Train; the return after each part of the frames, on the same episodes, is the learning curve."""
    steps = math.ceil(config.frames / (config.points * config.episodes * game.steps))
    judged = draw(game, config.tested, context.generator("validation"), context.device)

    def batches(epoch: int) -> list[Draws]:
        generator = context.generator(f"episodes {epoch}")
        return [draw(game, config.episodes, generator, context.device) for _ in range(steps)]

    history = train(
        agent,
        AdvantageActorCritic(game, trace_decay=config.trace_decay, entropy_weight=config.entropy_weight),
        batches,
        steps,
        lambda agent: -mean_return(play(watching(agent, game), game, judged)),
        Training(config.points, config.learning_rate, schedule="constant", clip=1.0),
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    history["learned_return"] = labelled(-history["validation"], "return")
    frames = history["epoch"] * (steps * config.episodes * game.steps)
    history["frames_played"] = labelled(frames, "frames played")
    history.attrs = {name: value for name, value in history.attrs.items() if name not in Config.model_fields}
    return history.rename(loss="training_loss", wall_time="epoch_time").drop_vars(["validation", "step_size"])


@torch.no_grad()
def record(agent: ActorCritic, game: fw.tasks.Catch, draws: Draws, context: Context) -> xr.Dataset:
    """Record the trained agent while it plays."""
    episodes = play(watching(agent, game), game, draws)
    names = [name for name in ("hidden", "inner", "attention") if name in agent.core.recordable()]
    recording = fw.simulate(agent.core, episodes.screens, record=names, seed=context.seed)
    _, value = agent(episodes.screens)
    played = {
        "ball": ("trial", draws.start.ball, "column of the ball"),
        "paddle": (("trial", "time"), episodes.paddle, "column of the paddle"),
        "action": (("trial", "time"), episodes.action, "0 left, 1 stay, 2 right"),
        "value": (("trial", "time"), value, "return that the agent expects"),
        "return": ("trial", episodes.reward.sum(1), "return"),
    }
    return recording.merge(
        labelled_dataset(
            {name: (dims, values.cpu().numpy(), "1", label) for name, (dims, values, label) in played.items()}
        )
    )


ERASED = {
    "nothing": lambda state: state,
    "hidden state": lambda state: fw.State(
        torch.zeros_like(state.hidden), state.memory, variables=state.variables
    ),
    "memory": lambda state: fw.State(  # of an LSTM its cell
        state.hidden,
        None if state.memory is None else torch.zeros_like(state.memory),
        variables={name: torch.zeros_like(value) for name, value in state.variables.items()},
    ),
}


@torch.no_grad()
def erased_return(agent: ActorCritic, game: fw.tasks.Catch, draws: Draws, what: str) -> float:
    """Return if something is erased after the last frame that is seen; blank screens do not depend on actions."""
    seen = play(watching(agent, game), game, draws)
    before, blank = seen.screens[:, : game.visible], seen.screens[:, game.visible :]
    _, state = agent.look(before)
    logits, _ = agent.look(blank, ERASED[what](state))
    action = torch.cat([seen.action[:, : game.visible], pick(logits, draws.chance[:, game.visible :])], dim=1)
    return mean_return(play(repeating(action), game, draws))


def repeating(actions: Tensor) -> Player:
    """Return a player of given actions `[episode, time]`, whatever it sees."""
    return lambda positions, chance: actions[:, positions.row]


def reference_players(game: fw.tasks.Catch) -> dict[str, Player]:
    """Players that need no learning."""

    def while_seen(positions: fw.tasks.Positions, chance: Tensor) -> Tensor:
        best = game.best_action(positions)
        return best if positions.row < game.visible else torch.ones_like(best)

    return {
        "random": lambda positions, chance: (game.actions * chance).long(),
        "while seen": while_seen,
        "optimal": lambda positions, chance: game.best_action(positions),
    }


def first(draws: Draws, episodes: int) -> Draws:
    """The first episodes of a batch."""
    start = draws.start
    return Draws(
        fw.tasks.Positions(start.ball[:episodes], start.paddle[:episodes], start.row),
        draws.chance[:episodes],
    )
