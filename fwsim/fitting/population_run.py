"""A run of the sampler of a population: chains of all cells and groups, with checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fwsim.errors import ConfigError, RecordingError
from fwsim.fitting.cells import Cells
from fwsim.fitting.hierarchy import Around, Hierarchy, beginning, normal, redrawn
from fwsim.fitting.metropolis import Moves, moved, still
from fwsim.fitting.quadratic import LEARN, Quadratic, unknown
from fwsim.fitting.transport import Transport, carried, small
from fwsim.progress import Progress, followed
from fwsim.recording import tensor_files
from fwsim.seeds import torch_generator

KEPT = 1000  # largest number of draws that are kept
JITTER = 0.5  # standard deviation of the chains' starting points, in standard deviations of the prior
EVERY = 200  # moves between two checkpoints
FORM = 5  # of the checkpoint
ALONE = 3  # in the first third of the warm-up cells move alone, since groups would hold cells that are still far off


class Draws(NamedTuple):
    """Draws of the posterior, those of one chain after those of another; see `FittedPopulation`."""

    z: Tensor
    mean: Tensor
    covariance: Tensor
    chain: Tensor
    acceptance: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _State:
    """Everything that the rest of a run depends on, besides the random numbers."""

    moves: Moves
    hierarchy: Hierarchy
    transport: Transport
    quadratic: Quadratic

    def acceptance(self) -> tuple[float, ...]:
        """Accepted fraction of each proposal of cells, and of groups with their cells."""
        tally, together = self.moves.accepted, self.transport
        rates = (tally[0] / tally[1].clamp(min=1)).tolist()
        return (*rates, float(together.accepted / together.count.clamp(min=1)))


@dataclass(frozen=True, eq=False)
class PopulationRun:
    """A run of the sampler, which goes on from a file if there is one; see `fit_population` for the options."""

    cells: Cells
    chains: int
    warmup: int
    moves: int
    pooled: bool
    seed: int

    @property
    def thin(self) -> int:
        """Moves from one kept draw to the next."""
        return max(1, -(-self.moves * self.chains // KEPT))

    @property
    def identity(self) -> str:
        """Digest of everything that determines the draws."""
        digest = sha256(repr((FORM, self.chains, self.warmup, self.moves, self.pooled, self.seed)).encode())
        cells = self.cells
        digest.update(
            repr((cells.rule.parameters(), type(cells.rule).__name__, cells.axes, cells.names)).encode()
        )
        digest.update(repr((cells.groups, cells.clamps, cells.cv, cells.exact, cells.outliers)).encode())
        for part in (cells.times, cells.response, cells.sweep_cell, cells.sweep_clamp, cells.group):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def draws(self, file: Path | None, progress: Progress) -> Draws:
        """Run to the end.

        Raises
        ------
        ConfigError
            The file is of another fit; or the rule gives no probabilities near its starting point.
        RecordingError
            The file is damaged, or cannot be written.
        """
        generator = torch_generator(self.seed, "population")
        state, kept, done = self._begun(file, generator)
        if file is not None and not done:  # a place that cannot be written is noticed before the work
            self._write(file, state, kept, generator)
        total = self.warmup + self.moves
        with followed("fitting the population", total, progress, done=done) as advance:
            for step in range(done, total):
                state = self._after(state, step, generator)
                if step >= self.warmup and (step - self.warmup + 1) % self.thin == 0:
                    kept.append((state.moves.z, state.hierarchy.mean, state.hierarchy.covariance))
                if file is not None and (step + 1) % EVERY == 0:
                    self._write(file, state, kept, generator)
                advance(1)
        if file is not None:
            self._write(file, state, kept, generator)
        z, mean, covariance = (torch.stack(part, 1).flatten(0, 1) for part in zip(*kept))
        chain = torch.arange(self.chains).repeat_interleave(len(kept))
        return Draws(z, mean, covariance, chain, state.acceptance())

    def _after(self, state: _State, step: int, generator: torch.Generator) -> _State:
        """One move of all cells, one of all groups, and one of both together."""
        cells, adapt = self.cells, step < self.warmup
        now, hierarchy, transport, quadratic = state.moves, state.hierarchy, state.transport, state.quadratic
        seen: list[tuple[Tensor, Tensor]] = []

        def log_likelihood(z: Tensor) -> Tensor:
            seen.append((z, cells.log_likelihood(z)))
            return seen[-1][1]

        around = Around.of(hierarchy.mean, hierarchy.covariance)[cells.group]
        now = moved(now, around, quadratic, log_likelihood, generator, adapt=adapt)
        if self.pooled and step >= self.warmup // ALONE:
            hierarchy = redrawn(hierarchy, now.z, cells.group, cells.prior(), generator)
            transport, now, hierarchy = carried(
                transport, now, hierarchy, cells.group, quadratic, log_likelihood, generator, adapt=adapt
            )
        if adapt:
            quadratic = quadratic.after(seen)
            if (step + 1) % LEARN == 0 or step + 1 == self.warmup:
                quadratic = quadratic.learned(around)
            if step + 1 == self.warmup:
                quadratic = quadratic.forgotten()
        return _State(now, hierarchy, transport, quadratic)

    def _begun(self, file: Path | None, generator: torch.Generator) -> tuple[_State, list, int]:
        """At the beginning, or as the file has it."""
        if file is not None and file.exists():
            return self._read(file, generator)
        prior = self.cells.prior()
        start = self.cells.start()
        z = start + JITTER * prior[1] * normal((self.chains, *start.shape), generator)
        value = self.cells.log_likelihood(z)
        # a rule may release nothing that is a probability where its start was jittered to
        for _ in range(100):
            bad = ~value.isfinite()
            if not bool(bad.any()):
                break
            again = start + JITTER * prior[1] * normal(z.shape, generator)
            z = torch.where(bad[..., None], again, z)
            value = self.cells.log_likelihood(z)
        else:
            raise ConfigError(
                f"{type(self.cells.rule).__name__} gives releases outside of 0 to 1, which are no probabilities, for "
                f"cell {self.cells.names[int(bad.any(0).nonzero()[0])]!r}; start from smaller parameters"
            )
        hierarchy = beginning(self.chains, len(self.cells.groups), prior)
        moves = still(z, value, prior[1])
        return _State(moves, hierarchy, small(hierarchy), unknown(*start.shape)), [], 0

    def _write(self, file: Path, state: _State, kept: list, generator: torch.Generator) -> None:
        """Replace the file at once, so that an interruption leaves the old one or the new one."""
        stored = {
            "identity": self.identity,
            "moves": state.moves.tensors(),
            "hierarchy": state.hierarchy.tensors(),
            "transport": state.transport.tensors(),
            "quadratic": state.quadratic.tensors(),
            "kept": kept,
            "random": generator.get_state(),
        }
        try:
            tensor_files.save(file, stored)
        except OSError as error:
            raise RecordingError(
                f"checkpoint {file} cannot be written: {error.strerror or error}; free some space or name another file"
            ) from error

    def _read(self, file: Path, generator: torch.Generator) -> tuple[_State, list, int]:
        stored = tensor_files.load(file, "fit again")
        if stored.get("identity") != self.identity:
            raise ConfigError(
                f"checkpoint {file} is of another fit; name another file, or repeat the table and options"
            )
        generator.set_state(stored["random"])
        now, hierarchy = Moves(**stored["moves"]), Hierarchy(**stored["hierarchy"])
        transport, quadratic = Transport(**stored["transport"]), Quadratic(**stored["quadratic"])
        return _State(now, hierarchy, transport, quadratic), stored["kept"], int(now.count)
