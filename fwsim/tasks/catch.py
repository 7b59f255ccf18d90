"""Catch, partially observed: a ball falls, a paddle waits below, and the screen goes blank before they meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fwsim.errors import whole
from fwsim.names import KnownArguments
from fwsim.seeds import check_generator

LEFT, STAY, RIGHT = 0, 1, 2  # actions


class Positions(NamedTuple):
    """Positions: columns `ball [episode]`, `paddle [episode]` (its leftmost pixel), and the ball's row."""

    ball: Tensor
    paddle: Tensor
    row: int


@dataclass(frozen=True)
class Catch(KnownArguments):
    """The game of Catch, many episodes at once.

    On a screen of N×N binary pixels the ball starts in a random column of row 0 and falls by one row in each frame.
    The paddle starts at a random place in the last row. After each frame the player moves it by one column, left or
    right, or does not move it. In the last of N frames the ball is in the last row, and the reward is 1 if it is on
    the paddle, otherwise −1. After M frames the screen remains blank, including the paddle.

    An episode has N − 1 actions, enough to reach every column: the best return is 1. Ball and paddle start in
    columns drawn uniformly and independently, so that a player who never sees them returns 2·paddle/N − 1 on
    average, whatever it does.

    Source: Ba et al. 2016, section 4.4, with (N, M) = (16, 3) and (24, 5) and a paddle of 2 pixels.

    Parameters
    ----------
    size
        Rows and columns N.
    visible
        Frames M before the screen goes blank.
    paddle
        Pixels of the paddle.

    Examples
    --------
    >>> game = Catch(size=4, visible=2)
    >>> positions = game.start(3, torch.Generator().manual_seed(0))
    >>> game.screen(positions).shape
    torch.Size([3, 4, 4])
    """

    size: int = 16
    visible: int = 3
    paddle: int = 2

    def __post_init__(self) -> None:
        whole("size", self.size, least=2)
        whole("visible", self.visible, least=1, most=self.size)
        whole("paddle", self.paddle, least=1, most=self.size)

    @property
    def actions(self) -> int:
        """Number of actions: left, stay, right."""
        return 3

    @property
    def pixels(self) -> int:
        """Number of pixels of a screen."""
        return self.size**2

    @property
    def steps(self) -> int:
        """Number of actions of an episode, N − 1."""
        return self.size - 1

    def start(
        self, episodes: int, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> Positions:
        """Draw first frames.

        Parameters
        ----------
        episodes
            Number of episodes; the same generator gives the same episodes in order, however many are drawn at once.
        generator
            On the CPU, so that every device gets the same episodes.
        device
            Device of the result.
        """
        whole("episodes", episodes, least=1)
        check_generator(generator)
        chance = torch.rand(episodes, 2, generator=generator, dtype=torch.float64)
        columns = (chance * torch.tensor([self.size, self.size - self.paddle + 1])).long().to(device)
        return Positions(columns[:, 0], columns[:, 1], 0)

    def move(self, positions: Positions, action: Tensor) -> Positions:
        """Next frame, after the actions `[episode]`: 0 left, 1 stay, 2 right. The paddle stops at the edge."""
        paddle = (positions.paddle + action - STAY).clamp(0, self.size - self.paddle)
        return Positions(positions.ball, paddle, positions.row + 1)

    def reward(self, positions: Positions) -> Tensor:
        """Return `[episode]`: ±1 in the last frame, 0 before it."""
        if positions.row < self.steps:
            return torch.zeros(positions.ball.shape, device=positions.ball.device)
        return 2.0 * self.over(positions).float() - 1.0

    def over(self, positions: Positions) -> Tensor:
        """Whether the ball is above the paddle, `[episode]`."""
        offset = positions.ball - positions.paddle
        return (offset >= 0) & (offset < self.paddle)

    def screen(self, positions: Positions) -> Tensor:
        """The visible screen, `[episode, row, column]`, 0 or 1."""
        if positions.row < self.visible:
            return self.picture(positions)
        return torch.zeros(len(positions.ball), self.size, self.size, device=positions.ball.device)

    def picture(self, positions: Positions) -> Tensor:
        """Ball and paddle, visible or not, `[episode, row, column]`, 0 or 1."""
        column = torch.arange(self.size, device=positions.ball.device)
        offset = column - positions.paddle[:, None]
        picture = torch.zeros(len(positions.ball), self.size, self.size, device=column.device)
        picture[:, -1] = ((offset >= 0) & (offset < self.paddle)).float()
        picture[:, positions.row] += column == positions.ball[:, None]
        return picture.clamp_(max=1.0)  # both may be in one pixel of the last frame

    def best_action(self, positions: Positions) -> Tensor:
        """Action of a player that knows everything, `[episode]`: move below the ball, then stay."""
        offset = positions.ball - positions.paddle
        return STAY + (offset >= self.paddle).long() - (offset < 0).long()
