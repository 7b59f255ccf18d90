"""Delayed matching of directions: a sample, a delay, and a test that matches it or does not.

Timing and tuning are those of Masse et al. 2019, Nature Neuroscience 22:1159, as published in the code
nmasse/Short-term-plasticity-RNN: trials begin with fixation, 24 inputs are tuned to 8 directions, and the answer is
"fixate" until a test is shown and then "no match" or "match". Answers in the first 50 ms of a test do not count.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from fwsim.errors import ConfigError, instance, number, truth, whole
from fwsim.names import KnownArguments
from fwsim.seeds import check_generator
from fwsim.units import checked

FIXATE, NO_MATCH, MATCH = 0, 1, 2  # answers
EPOCHS = ("fixation", "shown", "delay", "grace")


class Trials(NamedTuple):
    """Supervised trials of one length.

    Parameters
    ----------
    inputs
        `[trial, time, input]`, not negative.
    target
        Right answer in each step, `[trial, time]`: 0 fixate, 1 no match, 2 match.
    weight
        How much a step counts, `[trial, time]`: 1, or 0 where any answer is right.
    sample, test
        Numbers of directions, `[trial, item]`.
    match
        Whether a test matches, `[trial, test]`.
    asked
        Number of the sample with which a test is compared, `[trial, test]`: 0 where there is only one.
    """

    inputs: Tensor
    target: Tensor
    weight: Tensor
    sample: Tensor
    test: Tensor
    match: Tensor
    asked: Tensor

    def to(self, device: torch.device | str) -> Trials:
        """Return the trials on a device."""
        return Trials(*(each.to(device) for each in self))

    def correct(self, answer: Tensor) -> Tensor:
        """Share of steps in tests that count and are answered right, `[trial]`, for answers `[trial, time]`."""
        counted = self.weight * (self.target != FIXATE)
        return (counted * (answer == self.target)).sum(1) / counted.sum(1)


@dataclass(frozen=True)
class Motion(KnownArguments):
    """Inputs tuned to directions: height · e^{concentration (cos d − 1)} at a distance d, plus noise; at least 0.

    Parameters
    ----------
    directions
        Directions that are shown, evenly spaced.
    units
        Inputs, whose preferred directions are evenly spaced.
    height, concentration
        Response to the preferred direction; sharpness of the tuning.
    noise
        Standard deviation that the noise has after a leaky filter of time constant `tau`: that of a step of `dt`
        seconds is noise · √(2 tau/dt).
    tau
        Time constant of the units that receive the inputs, in s.
    """

    directions: int = 8
    units: int = 24
    height: float = 4.0
    concentration: float = 2.0
    noise: float = 0.1
    tau: float = 0.1

    def __post_init__(self) -> None:
        for name in ("directions", "units"):
            whole(name, getattr(self, name), least=2)
        for name in ("height", "concentration", "noise"):
            number(name, getattr(self, name), least=0)
        object.__setattr__(self, "tau", checked("tau", self.tau, "time", above=0))

    def tuning(self) -> Tensor:
        """Return responses `[direction, unit]` without noise."""
        shown, preferred = (
            torch.arange(count) * (2 * math.pi / count) for count in (self.directions, self.units)
        )
        return self.height * torch.exp(self.concentration * (torch.cos(shown[:, None] - preferred) - 1))


@dataclass(frozen=True)
class _Matching(KnownArguments, ABC):
    """What the tasks have in common: epochs in s, cut into steps, and noise to which directions are added."""

    motion: Motion = field(default_factory=Motion)
    dt: float = 0.01
    fixation: float = 0.5
    shown: float = 0.5
    delay: float = 1.0
    grace: float = 0.05

    def __post_init__(self) -> None:
        instance("motion", self.motion, Motion, "a Motion")
        object.__setattr__(self, "dt", checked("dt", self.dt, "time", above=0))
        for name in EPOCHS:
            value = checked(name, getattr(self, name), "time", least=0)
            object.__setattr__(self, name, value)
            if abs(value / self.dt - round(value / self.dt)) > 1e-6:
                raise ConfigError(f"{name}={value!r} is not a multiple of dt={self.dt!r}; change one of them")
        if self.shown <= self.grace:
            raise ConfigError(f"grace={self.grace!r} leaves nothing of shown={self.shown!r}; make it shorter")

    @property
    def classes(self) -> int:
        """Number of answers."""
        return 3

    @property
    def fields(self) -> int:
        """Number of receptive fields, each with inputs of its own."""
        return 1

    @property
    def cues(self) -> int:
        """Number of inputs that tell which field will be tested."""
        return 0

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.fields * self.motion.units + self.cues

    @property
    @abstractmethod
    def duration(self) -> float:
        """Length of a trial in s."""

    @property
    def length(self) -> int:
        """Number of time steps T."""
        return self._step(self.duration)

    def _step(self, time: float) -> int:
        return round(time / self.dt)

    def _span(self, start: float, duration: float) -> slice:
        return slice(self._step(start), self._step(start + duration))

    def _canvas(self, trials: int, generator: torch.Generator) -> Tensor:
        motion = self.motion
        deviation = motion.noise * math.sqrt(2 * motion.tau / self.dt)
        return deviation * torch.randn(trials, self.length, self.inputs, generator=generator)

    def _show(self, inputs: Tensor, direction: Tensor, start: float, place: int = 0) -> None:
        """Add directions `[trial]` in a receptive field, for as long as stimuli are shown."""
        units = slice(place * self.motion.units, (place + 1) * self.motion.units)
        inputs[:, self._span(start, self.shown), units] += self.motion.tuning()[direction][:, None]

    def _trials(
        self,
        inputs: Tensor,
        sample: Tensor,
        test: Tensor,
        match: Tensor,
        onsets: Sequence[float],
        asked: Tensor | None = None,
    ) -> Trials:
        """Targets and weights of trials whose tests begin at `onsets`; without `asked`, of the only sample."""
        target = torch.full(inputs.shape[:2], FIXATE)
        weight = torch.ones(inputs.shape[:2])
        for index, onset in enumerate(onsets):
            target[:, self._span(onset, self.shown)] = torch.where(match[:, index], MATCH, NO_MATCH)[:, None]
            weight[:, self._span(onset, self.grace)] = 0
        asked = torch.zeros_like(test) if asked is None else asked
        return Trials(inputs.clamp(min=0), target, weight, sample, test, match, asked)

    def _other(self, direction: Tensor, match: Tensor, generator: torch.Generator) -> Tensor:
        """The direction where it is to match, else any other one."""
        step = torch.randint(1, self.motion.directions, direction.shape, generator=generator)
        return torch.where(match, direction, (direction + step) % self.motion.directions)


@dataclass(frozen=True)
class DelayedMatch(_Matching):
    """Delayed match to sample, and its rotated, category and distracted versions.

    Fixation, sample, delay, test. The test matches in half of all trials: if it is the sample, or the sample rotated by
    `rotation`, or with `category` any direction of the same half of the circle. Else it is drawn from all others.

    Source: Masse et al. 2019: DMS (as it is), DMRS (`rotation` 45, 90, −90 or 180), DMC (`category`). With a
    distractor, any direction in the middle of the delay, it has the order of Kozachkov et al. 2022, PLOS Computational
    Biology 18:e1010776, with the durations and directions of Masse et al. instead of its own durations and objects.

    Parameters
    ----------
    motion
        The inputs.
    dt
        Step in s.
    fixation, shown, delay
        Durations of fixation, of each stimulus, and of the delay in s.
    grace
        Time from the beginning of a test in which answers do not count, in s.
    rotation
        Degrees from the sample to the test that matches; a multiple of the distance between directions.
    category
        Match halves of the circle.
    distractor
        Show another direction in the middle of the delay, for `shown` seconds.

    Examples
    --------
    >>> task = DelayedMatch(rotation=90)
    >>> task.sample(4, torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([4, 250, 24])
    """

    rotation: float = 0.0
    category: bool = False
    distractor: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        truth(category=self.category, distractor=self.distractor)
        number("rotation", self.rotation)
        turns = self.rotation / 360 * self.motion.directions
        if not math.isfinite(turns) or abs(turns - round(turns)) > 1e-9:
            raise ConfigError(
                f"rotation={self.rotation!r} is not a multiple of {360 / self.motion.directions:g} degrees, the "
                "distance of the directions"
            )
        if self.category and (self.rotation or self.motion.directions % 2):
            raise ConfigError("category=True needs rotation=0 and an even number of directions")
        if self.distractor and self.delay < self.shown:
            raise ConfigError(f"delay={self.delay!r} is shorter than a distractor of shown={self.shown!r} s")

    @property
    def duration(self) -> float:
        """Length of a trial in s."""
        return self.fixation + 2 * self.shown + self.delay

    def sample(self, trials: int, generator: torch.Generator) -> Trials:
        """Draw trials.

        Parameters
        ----------
        trials
            Number of trials.
        generator
            On the CPU, so that every device gets the same trials; `Trials.to` moves them.
        """
        whole("trials", trials, least=1)
        check_generator(generator)
        directions = self.motion.directions
        sample = torch.randint(directions, (trials,), generator=generator)
        match = torch.randint(2, (trials,), generator=generator).bool()
        if self.category:
            half = directions // 2
            side = torch.where(match, sample // half, 1 - sample // half)
            test = side * half + torch.randint(half, (trials,), generator=generator)
        else:
            matching = (sample + round(self.rotation / 360 * directions)) % directions
            test = self._other(matching, match, generator)
        inputs, end = self._canvas(trials, generator), self.fixation + self.shown
        self._show(inputs, sample, self.fixation)
        if self.distractor:
            between = torch.randint(directions, (trials,), generator=generator)
            self._show(inputs, between, end + self.dt * self._step((self.delay - self.shown) / 2))
        self._show(inputs, test, end + self.delay)
        return self._trials(inputs, sample[:, None], test[:, None], match[:, None], [end + self.delay])


@dataclass(frozen=True)
class SequentialMatch(_Matching):
    """ABBA and ABCA: a sample, then tests, each of which is drawn to match the sample with probability ½.

    Source: Masse et al. 2019; stimuli and delays last 400 ms, and three tests follow. The trial ends with the last
    test; the published code appends 500 ms of fixation.

    Parameters
    ----------
    motion, dt, fixation, shown, delay, grace
        As in `DelayedMatch`; `delay` comes before each test.
    tests
        Number of tests.
    repeats
        Probability that a test which is not drawn to match repeats the test before it: 0.5 is ABBA, 0 is ABCA. As in
        the published code, the test before may be a match, so later tests of ABBA match more often than in half of the
        trials. Otherwise it is a direction that the trial has not shown yet.
    """

    shown: float = 0.4
    delay: float = 0.4
    tests: int = 3
    repeats: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("tests", self.tests, least=1)
        number("repeats", self.repeats, least=0, most=1)
        if self.tests >= self.motion.directions:
            raise ConfigError(f"tests={self.tests} are more than the other directions; give fewer")

    @property
    def duration(self) -> float:
        """Length of a trial in s."""
        return self.fixation + self.shown + self.tests * (self.delay + self.shown)

    def sample(self, trials: int, generator: torch.Generator) -> Trials:
        """Draw trials; see `DelayedMatch.sample`."""
        whole("trials", trials, least=1)
        check_generator(generator)
        sample = torch.randint(self.motion.directions, (trials,), generator=generator)
        inputs, row = self._canvas(trials, generator), torch.arange(trials)
        self._show(inputs, sample, self.fixation)
        seen = torch.zeros(trials, self.motion.directions)
        seen[row, sample] = 1
        onsets = [
            self.fixation + self.shown + self.delay + index * (self.delay + self.shown)
            for index in range(self.tests)
        ]
        last, found, matches = sample, [], []
        for index, onset in enumerate(onsets):
            match = torch.randint(2, (trials,), generator=generator).bool()
            fresh = torch.multinomial(1 - seen, 1, generator=generator)[:, 0]
            again = (torch.rand(trials, generator=generator) < self.repeats) & (index > 0)
            last = torch.where(match, sample, torch.where(again, last, fresh))
            seen[row, last] = 1
            self._show(inputs, last, onset)
            found.append(last)
            matches.append(last == sample)
        return self._trials(inputs, sample[:, None], torch.stack(found, 1), torch.stack(matches, 1), onsets)


@dataclass(frozen=True)
class DualMatch(_Matching):
    """Two samples at once, each in its receptive field; a cue in the middle of a delay tells which is tested next.

    Two delays and tests follow the samples, each with a cue of its own that stays to the end of the test; the other
    field shows a direction that does not count.

    Source: Masse et al. 2019 (dual-sample DMS), after Rose et al. 2016, Science 354:1136: six inputs for the cues.
    """

    @property
    def fields(self) -> int:
        """Number of receptive fields, each with inputs of its own."""
        return 2

    @property
    def cues(self) -> int:
        """Number of inputs that tell which field will be tested; every second one stands for the same."""
        return 6

    @property
    def duration(self) -> float:
        """Length of a trial in s."""
        return self.fixation + self.shown + 2 * (self.delay + self.shown)

    def sample(self, trials: int, generator: torch.Generator) -> Trials:
        """Draw trials; see `DelayedMatch.sample`. `test` is the direction in the field that is cued."""
        whole("trials", trials, least=1)
        check_generator(generator)
        directions, inputs = self.motion.directions, self._canvas(trials, generator)
        samples = torch.randint(directions, (trials, 2), generator=generator)
        for place in range(2):
            self._show(inputs, samples[:, place], self.fixation, place)
        onsets = [self.fixation + self.shown + self.delay + k * (self.delay + self.shown) for k in range(2)]
        match = torch.randint(2, (trials, 2), generator=generator).bool()
        tests, asked = [], []
        for index, onset in enumerate(onsets):
            cued = torch.randint(2, (trials,), generator=generator)
            test = self._other(samples.gather(1, cued[:, None])[:, 0], match[:, index], generator)
            other = torch.randint(directions, (trials,), generator=generator)
            for place in range(2):
                self._show(inputs, torch.where(cued == place, test, other), onset, place)
            cue = self._span(
                onset - self.dt * self._step(self.delay / 2),
                self.dt * self._step(self.delay / 2) + self.shown,
            )
            lines = torch.arange(self.cues) % 2 == cued[:, None]
            inputs[:, cue, -self.cues :] += self.motion.height * lines[:, None]
            tests.append(test)
            asked.append(cued)
        return self._trials(inputs, samples, torch.stack(tests, 1), match, onsets, torch.stack(asked, 1))
