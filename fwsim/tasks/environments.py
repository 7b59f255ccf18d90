"""The games as gymnasium environments; the import of this module registers them.

    gymnasium.make("fwsim.tasks.environments:fwsim/Catch-v0", size=24, visible=5)

imports the module and makes an environment. It needs the extra `rl`; otherwise the import raises `ConfigError`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fwsim.errors import ConfigError, choice
from fwsim.requirements import required
from fwsim.seeds import check_seed, torch_generator
from fwsim.tasks.catch import Catch

required("gymnasium", "fwsim.tasks.environments", extra="rl")
import gymnasium  # noqa: E402
from gymnasium import spaces  # noqa: E402

CELL = 8  # pixels in a rendered picture for one pixel of the game


class CatchEnvironment(gymnasium.Env[np.ndarray, np.int64]):
    """One episode of `Catch` at a time.

    The k-th episode after `reset(seed=s)` is the k-th row of `Catch.start` with a generator of seed s, and gives
    the same screens for the same actions.

    Parameters
    ----------
    size, visible, paddle
        As in `Catch`.
    render_mode
        `"rgb_array"`: `render` draws ball and paddle, even while the screen is blank for the player. `None`: nothing.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012  # as gymnasium declares it

    def __init__(
        self, size: int = 16, visible: int = 3, paddle: int = 2, render_mode: str | None = None
    ) -> None:
        if render_mode is not None:
            choice("render_mode", render_mode, tuple(self.metadata["render_modes"]))
        self.game = Catch(size, visible, paddle)
        self.render_mode = render_mode
        self.observation_space = spaces.MultiBinary((size, size))
        self.action_space = spaces.Discrete(self.game.actions)
        self._generator: torch.Generator | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode and return its first screen; this game does not use `options`."""
        if seed is not None:
            check_seed(seed)
        super().reset(seed=seed)
        if seed is not None or self._generator is None:
            self._generator = torch_generator(int(self.np_random.integers(2**63)) if seed is None else seed)
        self._positions = self.game.start(1, self._generator)
        return self._screen(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the paddle (0 left, 1 stay, 2 right); return screen, reward, and whether the episode is over.

        Raises
        ------
        ConfigError
            The action does not exist, or no episode was started.
        """
        if not self.action_space.contains(action):
            raise ConfigError(f"action={action!r} is not allowed; it must be 0 (left), 1 (stay) or 2 (right)")
        if self._generator is None or self._positions.row >= self.game.steps:
            raise ConfigError("no episode is going on; call reset first")
        self._positions = self.game.move(self._positions, torch.tensor([int(action)]))
        over = self._positions.row >= self.game.steps
        return self._screen(), float(self.game.reward(self._positions)), over, False, {}

    def render(self) -> np.ndarray | None:
        """Picture `[row, column, colour]` of bytes, or `None` without a render mode."""
        if self.render_mode is None:
            return None
        picture = self.game.picture(self._positions)[0].numpy().astype(np.uint8)
        grey = np.kron(255 * picture, np.ones((CELL, CELL), dtype=np.uint8))
        return np.repeat(grey[..., None], 3, axis=-1)

    def _screen(self) -> np.ndarray:
        return self.game.screen(self._positions)[0].numpy().astype(np.int8)


gymnasium.register("fwsim/Catch-v0", entry_point="fwsim.tasks.environments:CatchEnvironment")
