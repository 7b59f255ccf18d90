"""The fate of a single release site: how likely it releases at a spike, and how likely it refills until the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import sympy
import torch

from fwsim.errors import ConfigError
from fwsim.rules.derive.propagate import transition
from fwsim.rules.derive.respond import check_times, intervals_of, release_at_spikes, spike_times
from fwsim.rules.derive.symbols import Structure, structure
from fwsim.rules.derived import derives
from fwsim.rules.parameters import as_tensors
from fwsim.rules.rule import PresynapticRule, SpikeRule, Values

if TYPE_CHECKING:
    from torch import Tensor


class SiteChances(NamedTuple):
    """Probabilities of one site, `[..., spike]`."""

    release: Tensor
    """That a full site releases at this spike."""
    refill: Tensor
    """That a site which is empty after this spike is full again before the next one; 1 after the last."""


@derives(PresynapticRule)
def site_chances(rule: PresynapticRule, times: Tensor) -> SiteChances:
    """Chances of a single site during a train that begins at rest.

    If the release of a rule is p·x, and removes itself from x, then x is the fraction of full sites: each full one
    releases with probability p, and each empty one refills as x relaxes from 0. In the other rules release does not
    deplete, and all sites are full at every spike.

    Parameters
    ----------
    times
        As in `respond`.

    Raises
    ------
    ConfigError
        Sites of this rule have more than two states (`tm1998`).
    """
    times = spike_times("times", times)
    check_times(rule, "times", times)
    resource = None if has_hidden_sites(rule) else resource_of(structure(rule))
    if resource is None and not has_hidden_sites(rule):
        release = release_at_spikes(rule, times)
        return SiteChances(release, torch.ones_like(release))
    intervals = intervals_of(rule, times)
    steps = transition(rule, intervals)
    rule = as_tensors(rule, dtype=intervals.dtype, device=intervals.device)
    full_sites, with_full_sites = (
        _as_variable(resource) if resource else (rule.full_sites, rule.with_full_sites)
    )
    state = {name: value.expand(intervals.shape[1:]) for name, value in steps.rest.items()}
    full = torch.ones_like(next(iter(state.values())))
    empty = torch.zeros_like(full)
    releases: list[Tensor] = []
    refills: list[Tensor] = []
    for step in steps.unbind(len(intervals)):
        before = step(with_full_sites(state, empty))
        refills.append(full_sites(before).expand_as(full))
        state, output = rule.at_pre(with_full_sites(before, full))
        releases.append(output.expand_as(full))
    release, refill = (torch.stack(part, -1) for part in (releases, [*refills[1:], full]))
    return SiteChances(*(torch.where(times.isnan(), torch.nan, part) for part in (release, refill)))


def has_hidden_sites(rule: SpikeRule) -> bool:
    """Whether the fraction of full sites is no variable of the rule, but a function of its state."""
    return isinstance(rule, PresynapticRule) and type(rule).full_sites is not PresynapticRule.full_sites


def _as_variable(resource: str) -> tuple[Callable[[Values], Tensor], Callable[[Values, Tensor], Values]]:
    """The two functions of sites if a variable is the fraction of full ones."""
    return itemgetter(resource), lambda state, share: {**state, resource: share}


@lru_cache(maxsize=256)
def resource_of(kind: Structure) -> str | None:
    """The variable that is the fraction of full sites, `None` if release depletes nothing.

    Raises
    ------
    ConfigError
        Release depletes a variable that depends on others, so that sites have more states than full and empty; or
        the fraction of full sites is no variable.
    """
    if has_hidden_sites(kind.rule):
        raise ConfigError(
            f"{type(kind.rule).__name__}: the fraction of full sites is no variable of this rule, so they have no code "
            "in simulators; use depletion='mean'"
        )
    after, output = kind.pre
    for name, symbol in kind.state.items():
        if output == 0 or sympy.simplify(after[name] - symbol + output) != 0:
            continue
        others = [value for other, value in after.items() if other != name]
        alone = not any(name in pair and pair != (name, name) for pair in kind.jacobian)
        linear = symbol not in sympy.simplify(output / symbol).free_symbols
        hidden = not any(symbol in sympy.sympify(value).free_symbols for value in others)
        if not (alone and linear and hidden and kind.rest[name] == 1):
            raise ConfigError(
                f"{type(kind.rule).__name__}: a site that released is not just empty, so single sites have no "
                "two-state form; use a rule whose released resources recover at once, such as 'maass2002'"
            )
        return name
    return None
