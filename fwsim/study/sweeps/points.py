"""The points of a sweep: their configurations, their identity, and the batches in which they run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fwsim
from fwsim.errors import ConfigError, number
from fwsim.recording.schema import SCHEMA
from fwsim.study import files
from fwsim.study.experiment import Experiment
from fwsim.study.sweeps.axes import Axis

PARTS = 8  # smallest number of batches, so that workers share them and a kill loses an eighth …
WORTH = 8e6  # … unless a batch would have fewer bytes than this, which is not worth its overhead


@dataclass(frozen=True)
class Point:
    """One configuration with one seed.

    Parameters
    ----------
    index
        Index on the axes of the sweep, `[axis]`, with the seed last.
    configuration
        Values of the experiment's `Config`.
    seed
        The seed of the point's own random streams: `fwsim run` with this
        configuration and this seed repeats the point.
    identity
        Hash of experiment source, schema and fwsim version, configuration and seed.
    """

    index: tuple[int, ...]
    configuration: Mapping[str, Any]
    seed: int
    identity: str


@dataclass(frozen=True)
class Space:
    """All points of a sweep.

    Parameters
    ----------
    axes
        Its dimensions without the last.
    seeds
        Its last dimension.
    """

    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions, `seed` last."""
        return (*map(len, self.axes), len(self.seeds))

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the dimensions, `seed` last."""
        return (*(axis.names[0] for axis in self.axes), "seed")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters that change."""
        return tuple(name for axis in self.axes for name in axis.names)

    def points(self, experiment: Experiment, base: Mapping[str, Any], source: str) -> list[Point]:
        """Every point, the last axis fastest; `source` is the digest of the experiment's file.

        Raises
        ------
        ConfigError
            Values that are allowed separately are not allowed together.
        """
        points = []
        for index in itertools.product(*map(range, map(len, self.axes))):
            values = dict(base)
            for axis, row in zip(self.axes, index, strict=True):
                values.update(zip(axis.names, axis.rows[row], strict=True))
            configuration = experiment.configure(values).model_dump(mode="json")
            for place, seed in enumerate(self.seeds):
                own = point_seed(seed, configuration)
                identity = files.sha256_of([source, SCHEMA, fwsim.__version__, configuration, own])
                points.append(Point((*index, place), configuration, own, identity))
        return points


def point_seed(seed: int, configuration: Mapping[str, Any]) -> int:
    """Seed of one point: 63 bits, independent of all other points and of the other values of the sweep."""
    return int(files.sha256_of([seed, configuration])[:16], 16) >> 1


def batches(
    experiment: Experiment, points: Sequence[Point], *, memory: float, size: int | None = None
) -> list[tuple[Point, ...]]:
    """Groups of points that run together: equal except for batchable parameters and seeds, within a memory limit.

    The number of workers has no influence. So a sweep has the same batches, and bit for bit the same
    numbers, with any number of workers.

    Parameters
    ----------
    memory
        Largest number of bytes of a batch, according to the experiment's `point_bytes`.
    size
        Largest number of points in a batch. None: as many as memory allows, in at least `PARTS` batches
        unless these would be too small.

    Raises
    ------
    ConfigError
        A single point needs more than the limit, or `point_bytes` returns no positive number.
    StudyError
        `point_bytes` failed.
    """
    if experiment.batching is None:
        return [(point,) for point in points]
    free = experiment.batching.parameters
    groups: dict[str, list[Point]] = {}
    for point in points:
        fixed = {name: value for name, value in point.configuration.items() if name not in free}
        groups.setdefault(files.sha256_of(fixed), []).append(point)
    dealt = []
    for group in groups.values():
        configs = [experiment.configure(point.configuration) for point in group]
        with files.running(experiment.path):
            sizes = [experiment.batching.size(config) for config in configs]
            for each in dict.fromkeys(sizes):
                number("point_bytes", each, above=0)
        dealt += list(_deal(group, max(sizes), memory, size))
    return dealt


def _deal(group: list[Point], each: float, memory: float, size: int | None) -> Iterable[tuple[Point, ...]]:
    if each > memory:
        raise ConfigError(
            f"one point takes {each:.3g} bytes and a batch may take {memory:.3g}; allow more batch memory"
        )
    most = int(memory // each)
    share = max(math.ceil(len(group) / PARTS), math.ceil(WORTH / each)) if size is None else size
    count = math.ceil(len(group) / min(most, share))
    start, extra = 0, len(group) % count
    for place in range(count):
        stop = start + len(group) // count + (place < extra)
        yield tuple(group[start:stop])
        start = stop
