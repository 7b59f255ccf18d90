"""An image as a sequence of glimpses on several levels: each region first as a whole, coarsely, then its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, choice, instance, whole
from fwsim.names import KnownArguments

PARTS = 4  # the quarters of a region, in reading order
STORES = ("whole", "region", "every", "none")
CLEARS = ("whole", "never")
CONTROLS = ("all", "none")
SHARING = ("all", "levels", "none")


@dataclass(frozen=True)
class Glimpse:
    """One step of a sequence of glimpses.

    Parameters
    ----------
    level
        Level of the region; 0 is the coarsest.
    side
        Side of the region in pixels.
    row, column
        Its upper left corner.
    part
        Index of the quarter in the region above it, 0 … 3 in reading order; of the largest regions their number in
        reading order, modulo 4.
    integrate
        Nothing is seen in this step: the network integrates the parts of the region.
    whole
        After this step the network turns to the parts of the region.
    """

    level: int
    side: int
    row: int
    column: int
    part: int
    integrate: bool
    whole: bool


@dataclass(frozen=True)
class GlimpseLayout(KnownArguments):
    """The order of glimpses at an image, and the times at which a network stores and clears its hidden state.

    A region is visited recursively: first a glimpse of the whole region, down-sampled to `glimpse`×`glimpse` pixels;
    then, unless it has this size already, visits to its four quarters in reading order, and a step that integrates
    them, in which nothing is seen. With two levels this is the layout of Ba et al. 2016 (section 4.2), as far as it
    is published: the four quadrants of the image are visited, 4 × (1 + 4 + 1) = 24 steps. Three levels begin with the
    image as a whole, 1 + 24 + 1 steps. One level is the sixteen smallest regions one after the other.

    Parameters
    ----------
    size
        Side of the square image in pixels.
    glimpse
        Side of a glimpse in pixels; `size` is `glimpse` times a power of 2.
    levels
        Number of sizes of regions; the smallest is `glimpse`.
    store
        Steps after which a network stores its hidden state: `"whole"` (before it turns to the parts of a region),
        `"region"` (then, and after it has integrated them), `"every"` or `"none"`.
    clear
        Steps after which it clears its hidden state: `"whole"` (as above) or `"never"`.
    controls
        Inputs besides the pixels: `"all"` of `control_inputs`, or `"none"`. With `"none"` only the structure of a
        network follows the schedule.

    Examples
    --------
    >>> layout = GlimpseLayout()
    >>> layout.length
    24
    >>> layout.inputs(torch.zeros(2, 28, 28)).shape
    torch.Size([2, 24, 58])
    """

    size: int = 28
    glimpse: int = 7
    levels: int = 2
    store: str = "whole"
    clear: str = "whole"
    controls: str = "all"

    def __post_init__(self) -> None:
        for name in ("size", "glimpse", "levels"):
            whole(name, getattr(self, name), least=1)
        choice("store", self.store, STORES)
        choice("clear", self.clear, CLEARS)
        choice("controls", self.controls, CONTROLS)
        depths = (self.size // self.glimpse).bit_length()
        if self.size != self.glimpse * 2 ** (depths - 1):
            raise ConfigError(
                f"size={self.size} with glimpse={self.glimpse} is not possible; size must be glimpse times a power of 2"
            )
        if self.levels > depths:
            raise ConfigError(
                f"levels={self.levels} is too many for size={self.size} and glimpse={self.glimpse}; use 1 to {depths}"
            )

    @cached_property
    def steps(self) -> tuple[Glimpse, ...]:
        """The sequence."""
        side = self.glimpse * 2 ** (self.levels - 1)
        count = self.size // side
        return tuple(
            step
            for place in range(count * count)
            for step in self._visit(0, side, place // count * side, place % count * side, place % PARTS)
        )

    def _visit(self, level: int, side: int, row: int, column: int, part: int) -> Iterator[Glimpse]:
        whole = side > self.glimpse
        yield Glimpse(level, side, row, column, part, False, whole)
        if not whole:
            return
        half = side // 2
        for quarter in range(PARTS):
            down, right = divmod(quarter, 2)
            yield from self._visit(level + 1, half, row + down * half, column + right * half, quarter)
        yield Glimpse(level, side, row, column, part, True, False)

    @property
    def length(self) -> int:
        """Number of time steps T."""
        return len(self.steps)

    @property
    def channels(self) -> int:
        """Number of input channels: the pixels of a glimpse, and the controls."""
        return self.glimpse**2 + self.control_inputs.shape[1]

    @property
    def stored(self) -> tuple[bool, ...]:
        """Whether the hidden state is stored after each step."""
        kept: dict[str, Callable[[Glimpse], bool]] = {
            "whole": lambda step: step.whole,
            "region": lambda step: step.whole or step.integrate,
            "every": lambda step: True,
            "none": lambda step: False,
        }
        return tuple(kept[self.store](step) for step in self.steps)

    @property
    def cleared(self) -> tuple[bool, ...]:
        """Whether the hidden state is cleared after each step."""
        return tuple(self.clear == "whole" and step.whole for step in self.steps)

    def weights(self, sharing: str = "levels") -> tuple[int, ...]:
        """The set of slow weights of each step.

        Parameters
        ----------
        sharing
            `"all"`: one for all steps; `"levels"`: one for glimpses of all levels and one to integrate, as in the
            paper's figure; `"none"`: one for each level, and one for each level to integrate.
        """
        choice("sharing", sharing, SHARING)
        key: dict[str, Callable[[Glimpse], tuple[int, ...]]] = {
            "all": lambda step: (),
            "levels": lambda step: (step.integrate,),
            "none": lambda step: (step.integrate, step.level),
        }
        kinds = [key[sharing](step) for step in self.steps]
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
        return tuple(numbers[kind] for kind in kinds)

    @cached_property
    def control_inputs(self) -> Tensor:
        """Control inputs, `[time, control]`, zeros and ones.

        One channel for each level, then integration, store, clear, and four channels for the part of the region above;
        without controls there are no channels.
        """
        if self.controls == "none":
            return torch.zeros(self.length, 0)
        rows = []
        for step, stored, cleared in zip(self.steps, self.stored, self.cleared, strict=True):
            level = [step.level == other for other in range(self.levels)]
            part = [step.part == other for other in range(PARTS)]
            rows.append([*level, step.integrate, stored, cleared, *part])
        return torch.tensor(rows, dtype=torch.float32)

    def inputs(self, images: Tensor) -> Tensor:
        """Pixels and controls of every step.

        Parameters
        ----------
        images
            `[batch, row, column]`, of bytes or between 0 and 1.

        Returns
        -------
        Tensor
            `[batch, time, input]` between 0 and 1, the pixels of a glimpse row by row, then its controls.

        Raises
        ------
        ShapeError
            The images are not of `size`×`size` pixels.
        """
        seen = self.glimpses(images)
        return torch.cat(
            [seen, self.control_inputs.to(seen, non_blocking=True).expand(len(seen), -1, -1)], dim=-1
        )

    def glimpses(self, images: Tensor) -> Tensor:
        """Only the pixels, `[batch, time, pixel]`; zeros in steps that integrate."""
        instance("images", images, Tensor, "a torch tensor [batch, row, column]")
        if images.ndim != 3 or images.shape[1:] != (self.size, self.size):
            raise ShapeError(
                f"images have shape {list(images.shape)}; expected [batch, row, column] = […, {self.size}, {self.size}]"
            )
        images = images.float() / 255 if images.dtype == torch.uint8 else images
        sides = [self.glimpse * 2**level for level in reversed(range(self.levels))]
        nothing = images.new_zeros(len(images), 1, self.glimpse**2)
        regions = torch.cat([*(self._regions(images, side) for side in sides), nothing], dim=1)
        return regions[:, self._order.to(images.device, non_blocking=True)]

    def _regions(self, images: Tensor, side: int) -> Tensor:
        """All regions of one size, in reading order: `[batch, region, pixel]`."""
        count, fine = self.size // side, side // self.glimpse
        pixels = images.reshape(-1, count, self.glimpse, fine, count, self.glimpse, fine)
        return pixels.mean((3, 6)).transpose(2, 3).reshape(len(images), count**2, self.glimpse**2)

    @cached_property
    def _order(self) -> Tensor:
        """Index of each step's glimpse among the regions of all sizes, coarsest first; the last index means nothing."""
        counts = [self.size // (self.glimpse * 2**level) for level in reversed(range(self.levels))]
        before = [sum(count**2 for count in counts[:level]) for level in range(self.levels + 1)]
        places = [
            before[-1]
            if step.integrate
            else before[step.level] + step.row // step.side * counts[step.level] + step.column // step.side
            for step in self.steps
        ]
        return torch.tensor(places)
