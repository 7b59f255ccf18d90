"""Catch: the rules written out, its bounds, and the gymnasium environment against the batched game."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.tasks import Catch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def play_out(game, positions, actions):
    """All frames' positions, screens and rewards under actions `[episode, time]`."""
    frames = [(positions, game.screen(positions), game.reward(positions))]
    for action in actions.unbind(1):
        positions = game.move(positions, action)
        frames.append((positions, game.screen(positions), game.reward(positions)))
    return frames


games = st.integers(2, 9).flatmap(
    lambda size: st.builds(Catch, st.just(size), st.integers(1, size), st.integers(1, size))
)


@given(game=games, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_an_episode_follows_the_rules_written_out(game, seed):
    positions = game.start(6, generator(seed))
    actions = torch.randint(3, (6, game.steps), generator=generator(seed + 1))
    frames = play_out(game, positions, actions)
    for episode in range(6):
        ball, paddle = int(positions.ball[episode]), int(positions.paddle[episode])
        assert 0 <= ball < game.size
        assert 0 <= paddle <= game.size - game.paddle
        for row, (_, screen, reward) in enumerate(frames):
            lit = {(row, ball)} | {(game.size - 1, paddle + pixel) for pixel in range(game.paddle)}
            seen = {tuple(pixel) for pixel in screen[episode].nonzero().tolist()}
            assert seen == (lit if row < game.visible else set())
            assert set(screen.unique().tolist()) <= {0.0, 1.0}
            caught = paddle <= ball < paddle + game.paddle
            assert reward[episode] == ((1 if caught else -1) if row == game.size - 1 else 0)
            if row < game.steps:
                paddle = min(max(paddle + int(actions[episode, row]) - 1, 0), game.size - game.paddle)


def test_ball_and_paddle_start_in_every_column():
    positions = Catch(5, 2, 2).start(3000, generator())
    for columns, share in ((positions.ball, 1 / 5), (positions.paddle, 1 / 4)):
        found = torch.bincount(columns).double() / 3000
        assert found.tolist() == pytest.approx([share] * round(1 / share), abs=0.04)  # five standard errors


@given(game=games)
@settings(max_examples=20, deadline=None)
def test_the_best_player_always_catches(game):
    positions = game.start(50, generator())
    for _ in range(game.steps):
        positions = game.move(positions, game.best_action(positions))
    assert bool((game.reward(positions) == 1).all())


@pytest.mark.parametrize("game", [Catch(), Catch(24, 5, 3)])
def test_who_sees_nothing_catches_as_the_paddle_is_wide(game):
    """Exactly 2·paddle/N − 1, whatever it does; band, set before the run: five standard errors."""
    episodes = 20_000
    expected = 2 * game.paddle / game.size - 1
    error = ((1 - expected**2) / episodes) ** 0.5
    for actions in (torch.full((game.steps, episodes), 0), torch.randint(3, (game.steps, episodes))):
        positions = game.start(episodes, generator())
        for action in actions:
            positions = game.move(positions, action)
        reward = game.reward(positions)
        assert reward.mean().item() == pytest.approx(expected, abs=5 * error)


@pytest.mark.parametrize("game", [Catch(), Catch(5, 5, 1), Catch(24, 5)])
def test_the_environment_is_the_batched_game_one_episode_at_a_time(game):
    pytest.importorskip("gymnasium")
    environment = fw.tasks.CatchEnvironment(game.size, game.visible, game.paddle)
    actions = torch.randint(3, (4, game.steps), generator=generator(1))
    frames = play_out(game, game.start(4, generator(7)), actions)
    for episode in range(4):
        screen, _ = environment.reset(seed=7 if episode == 0 else None)
        for step in range(game.steps):
            assert screen.tolist() == frames[step][1][episode].tolist()
            screen, reward, over, cut, _ = environment.step(int(actions[episode, step]))
            assert (reward, cut) == (float(frames[step + 1][2][episode]), False)
            assert over == (step == game.steps - 1)
        assert screen.tolist() == frames[-1][1][episode].tolist()


@pytest.mark.filterwarnings("error")
def test_gymnasiums_checker_has_nothing_to_say():
    gymnasium = pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    options = {"size": 24, "visible": 5, "render_mode": "rgb_array"}
    environment = gymnasium.make("fwsim.tasks.environments:fwsim/Catch-v0", **options)
    assert environment.spec.id == "fwsim/Catch-v0"
    check_env(environment.unwrapped)


def test_the_picture_shows_what_the_player_does_not_see():
    pytest.importorskip("gymnasium")
    environment = fw.tasks.CatchEnvironment(6, 1, 2, render_mode="rgb_array")
    environment.reset(seed=0)
    screen = environment.step(1)[0]
    assert not screen.any()
    assert environment.render()[4::8, 4::8, 0].astype(bool).sum() == 3


@pytest.mark.parametrize("before", ["reset", "the end"])
def test_a_step_without_an_episode_is_one_line(before):
    pytest.importorskip("gymnasium")
    environment = fw.tasks.CatchEnvironment(2, 1)
    if before == "the end":
        environment.reset(seed=0)
        environment.step(1)
    with pytest.raises(fw.ConfigError, match="call reset first"):
        environment.step(1)


@pytest.mark.parametrize("action", [3, -1, 0.5])
def test_an_action_that_is_not_there(action):
    pytest.importorskip("gymnasium")
    environment = fw.tasks.CatchEnvironment()
    environment.reset(seed=0)
    with pytest.raises(fw.ConfigError, match=r"0 \(left\), 1 \(stay\) or 2"):
        environment.step(action)


@pytest.mark.parametrize(
    "options", [{"size": 1}, {"size": 8.0}, {"visible": 0}, {"visible": 17}, {"paddle": 0}, {"paddle": 17}]
)
def test_impossible_games(options):
    with pytest.raises(fw.ConfigError, match="not allowed"):
        Catch(**options)


def test_the_game_works_without_gymnasium():
    import subprocess
    import sys

    code = "import sys; sys.modules['gymnasium'] = None; import fwsim; fwsim.tasks.Catch(); import fwsim.models.agents"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
