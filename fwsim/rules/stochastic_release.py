"""Release that varies from trial to trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError, number, whole
from fwsim.rules.rule import PresynapticRule, Values
from fwsim.seeds import torch_generator

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class StochasticRelease(PresynapticRule):
    """Any presynaptic rule with n release sites, each of which releases with the rule's probability.

    Of n sites, k release (binomial). Each quantum has mean 1/n and coefficient of variation `cv` (normal).
    So one response is (k + cv √k ξ)/n with mean `release`, as in the rule. The state is that of the
    rule: depletion is the average one, not that of single sites.

    Source: the quantal model (del Castillo & Katz 1954, J. Physiol. 124:560).

    Parameters
    ----------
    rule
        Gives the release probability, in [0, 1].
    sites
        Number of release sites n.
    cv
        Coefficient of variation of one quantum, at least 0.
    """

    rule: PresynapticRule
    sites: int = 1
    cv: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.rule, PresynapticRule) or isinstance(self.rule, StochasticRelease):
            given = type(self.rule).__name__
            raise ConfigError(f"StochasticRelease: rule is a {given}; give a deterministic presynaptic rule")
        whole("StochasticRelease: sites", self.sites, least=1)
        number("StochasticRelease: cv", self.cv, least=0)
        super().__post_init__()

    def rest(self) -> Values:
        """As in the rule."""
        return self.rule.rest()

    def drift(self, state: Values) -> Values:
        """As in the rule."""
        return self.rule.drift(state)

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """As in the rule, whose release is the mean here: rates and steady states are those of the mean."""
        return self.rule.on_pre(state)

    def respond(self, times: Tensor, *, generator: torch.Generator | None = None, seed: int = 0) -> Tensor:
        """One random response to each spike.

        Parameters
        ----------
        times
            As in every rule.
        generator
            Source of randomness; `None`: a new one of `seed`, so that equal calls give equal results.
        seed
            Any integer of at least 0.

        Raises
        ------
        ConfigError
            The rule's release is not in [0, 1], so it is no probability.
        """
        probability = self.rule.respond(times)
        generator = generator or torch_generator(seed, device=times.device)
        return sample_release(probability, self.sites, self.cv, generator)


def sample_release(probability: Tensor, sites: int, cv: float, generator: torch.Generator) -> Tensor:
    """Draw (k + cv √k ξ)/n with k binomial, NaN where `probability` is NaN."""
    known = ~probability.isnan()
    chance = torch.where(known, probability, 0.0).detach()
    if bool(((chance < 0) | (chance > 1)).any()):
        raise ConfigError(
            f"release reached {chance.max().item():.3g}, which is no probability; lower the rule's amplitude"
        )
    released = torch.binomial(torch.full_like(chance, sites), chance, generator=generator)
    noise = torch.randn(chance.shape, generator=generator, dtype=chance.dtype, device=chance.device)
    return torch.where(known, (released + cv * released.sqrt() * noise) / sites, torch.nan)
