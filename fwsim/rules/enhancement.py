"""Facilitation, augmentation and potentiation with any number of components each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fwsim.rules.parameters import component_names, each, number, probability, same_length, time_constant
from fwsim.rules.rule import PresynapticRule, Values


@dataclass(frozen=True, eq=False)
class Enhancement(PresynapticRule):
    """Release A·(1 + Σ F)·(1 + Σ A)·(1 + Σ P)·Π D, read before the spike's own change.

    Every enhancing component increases by its own increment at a spike and decays to 0. Every depression D is
    multiplied by its factor and relaxes to 1, as in `Varela`.

    Sources: Zengel & Magleby 1982, J. Gen. Physiol. 80:583 (product of the groups, sum within
    facilitation); Zucker & Regehr 2002, Annu. Rev. Physiol. 64:355 (time constants). The default
    increments are of the size that Zengel & Magleby found at the frog's neuromuscular junction, for short trains at
    low release. Nothing saturates: after minutes at 10 Hz the default releases 82 times as much as from rest.

    Parameters
    ----------
    facilitation, augmentation, potentiation
        Increment of each component at a spike, at least 0: a number, several, a tensor whose last axis is
        the component, or `()` for none.
    tau_facilitation, tau_augmentation, tau_potentiation
        Their time constants in s, same shapes.
        A single value is used for all components of its partner: `facilitation=0.5` with two time constants
        means two facilitations of 0.5 each.
    depression
        Factor of each depression at a spike, in [0, 1], same shapes.
    tau_depression
        Their time constants in s, same shapes.
    amplitude
        A, the release from rest.
    """

    facilitation: Any = number((0.8, 0.12), low=0.0, components=True)
    tau_facilitation: Any = time_constant((0.05, 0.3), components=True, usual=20.0)
    augmentation: Any = number((0.01,), low=0.0, components=True)
    tau_augmentation: Any = time_constant((7.0,), components=True, usual=600.0)
    potentiation: Any = number((0.01, 0.005), low=0.0, components=True)
    tau_potentiation: Any = time_constant((70.0, 390.0), components=True, usual=36000.0)
    depression: Any = probability((), components=True)
    tau_depression: Any = time_constant((), components=True)
    amplitude: Any = number(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for group in ("facilitation", "augmentation", "potentiation", "depression"):
            taus = f"tau_{group}"
            same_length("Enhancement", **{group: getattr(self, group), taus: getattr(self, taus)})

    def _components(self, letter: str, group: str) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
        """Names of the variables of a group with their spike parameters and with their time constants."""
        sizes, taus = getattr(self, group), getattr(self, f"tau_{group}")
        names = component_names(letter, max(len(sizes), len(taus)))
        return each(names, sizes), each(names, taus)

    def _enhancing(self) -> list[tuple[list[tuple[str, Any]], list[tuple[str, Any]]]]:
        return [
            self._components("F", "facilitation"),
            self._components("A", "augmentation"),
            self._components("P", "potentiation"),
        ]

    def rest(self) -> Values:
        """No enhancement, no depression."""
        enhanced = {name: 0 for sizes, _ in self._enhancing() for name, _ in sizes}
        return enhanced | {name: 1 for name, _ in self._components("D", "depression")[0]}

    def drift(self, state: Values) -> Values:
        """Enhancement decays to 0, depression relaxes to 1."""
        decay = {name: -state[name] / tau for _, taus in self._enhancing() for name, tau in taus}
        recovery = {name: (1 - state[name]) / tau for name, tau in self._components("D", "depression")[1]}
        return decay | recovery

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Read the product, then enhance and depress."""
        after, release = dict(state), self.amplitude
        for sizes, _ in self._enhancing():
            release = release * (1 + sum(state[name] for name, _ in sizes))
            after |= {name: state[name] + size for name, size in sizes}
        depressions = self._components("D", "depression")[0]
        after |= {name: factor * state[name] for name, factor in depressions}
        return after, release * math.prod(state[name] for name, _ in depressions)
