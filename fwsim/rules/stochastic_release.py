"""Release that varies from trial to trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError, choice, number, whole
from fwsim.rules.rule import PresynapticRule, Values
from fwsim.seeds import torch_generator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor


DEPLETIONS = ("mean", "site")
NO_STATE = "state is not for depletion='site', whose sites are full when a train begins; use depletion='mean'"


@dataclass(frozen=True, eq=False)
class StochasticRelease(PresynapticRule):
    """Any presynaptic rule with n release sites, each of which releases with the rule's probability.

    Of n sites, k release (binomial). Each quantum has mean 1/n and coefficient of variation `cv` (normal).
    So one response is (k + cv √k ξ)/n with mean `release`, as in the rule.

    With `depletion="mean"`, every draw has the rule's probability, whatever was released before: depletion is the
    average one. With `depletion="site"`, each site that released is empty until it refills, so that a large response is
    followed by smaller ones (with n = 1, U = 0.5, τ_rec = 0.8 s, 30 ms apart, two responses correlate by −0.55). The
    means are the same. Rules without resources (`LinearNonlinear`, `Varela`) deplete no sites.

    Sources: the quantal model (del Castillo & Katz 1954, J. Physiol. 124:560); single sites as in NEST's
    `quantal_stp_synapse` (Fuhrmann, Segev, Markram & Tsodyks 2002, J. Neurophysiol. 87:140).

    Parameters
    ----------
    rule
        Gives the release probability, in [0, 1].
    sites
        Number of release sites n.
    cv
        Coefficient of variation of one quantum, at least 0.
    depletion
        `"mean"` or `"site"`.
    """

    rule: PresynapticRule
    sites: int = 1
    cv: float = 0.0
    depletion: str = "mean"

    def __post_init__(self) -> None:
        if not isinstance(self.rule, PresynapticRule) or isinstance(self.rule, StochasticRelease):
            given = type(self.rule).__name__
            raise ConfigError(f"StochasticRelease: rule is a {given}; give a deterministic presynaptic rule")
        whole("StochasticRelease: sites", self.sites, least=1)
        number("StochasticRelease: cv", self.cv, least=0)
        choice("StochasticRelease: depletion", self.depletion, DEPLETIONS)
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

    def respond(
        self,
        times: ArrayLike | Tensor,
        *,
        state: Mapping[str, Any] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> Tensor:
        """One random response to each spike.

        Parameters
        ----------
        times
            As in every rule.
        state
            As in every rule, with `depletion="mean"`.
        generator
            Source of randomness; `None`: a new one of `seed`, so that equal calls give equal results.
        seed
            Any integer of at least 0.

        Raises
        ------
        ConfigError
            The rule's release is not in [0, 1], so it is no probability; or its sites have no two-state form, or are
            to begin in another state than full.
        """
        if state is not None and self.depletion == "site":
            raise ConfigError(NO_STATE)
        if self.depletion == "site":
            chances = self.rule.site_chances(times)
            generator = generator or torch_generator(seed, device=chances.release.device)
            released = release_from_sites(chances.release, chances.refill, self.sites, generator)
            return _response(released, self.sites, self.cv, generator)
        probability = self.rule.respond(times, state=state)
        generator = generator or torch_generator(seed, device=probability.device)
        return sample_release(probability, self.sites, self.cv, generator)


def sample_release(probability: Tensor, sites: int, cv: float, generator: torch.Generator) -> Tensor:
    """Draw (k + cv √k ξ)/n with k binomial, NaN where `probability` is NaN."""
    known = ~probability.isnan()
    chance = torch.where(known, _checked(probability), 0.0)
    released = torch.binomial(torch.full_like(chance, sites), chance, generator=generator)
    return _response(torch.where(known, released, torch.nan), sites, cv, generator)


def release_from_sites(release: Tensor, refill: Tensor, sites: Any, generator: torch.Generator) -> Tensor:
    """Number of sites that release at each spike `[..., spike]`, if they deplete one by one.

    `release` and `refill` are the chances of one site (`rule.site_chances`); `sites` is a whole number or a tensor of
    them, `[...]`. NaN where `release` is NaN.
    """
    release, refill = _checked(release), refill.detach()
    sites = torch.as_tensor(sites, dtype=release.dtype, device=release.device).expand(release.shape[:-1])
    full, found = sites.contiguous(), []
    for p, r in zip(release.unbind(-1), refill.unbind(-1)):
        known = ~p.isnan()
        released = torch.binomial(full, torch.where(known, p, 0.0), generator=generator)
        left = full - released
        full = left + torch.binomial(sites - left, torch.where(known, r, 0.0), generator=generator)
        found.append(torch.where(known, released, torch.nan))
    return torch.stack(found, -1) if found else torch.empty_like(release)


def _checked(probability: Tensor) -> Tensor:
    """Without gradients; raise unless every value is a probability or NaN."""
    probability = probability.detach()
    known = probability[~probability.isnan()]
    if bool(((known < 0) | (known > 1)).any()):
        raise ConfigError(
            f"release reached {known.max().item():.3g}, which is no probability; lower the rule's amplitude"
        )
    return probability


def _response(released: Tensor, sites: int, cv: float, generator: torch.Generator) -> Tensor:
    """(k + cv √k ξ)/n, NaN where k is NaN."""
    noise = torch.randn(released.shape, generator=generator, dtype=released.dtype, device=released.device)
    return (released + cv * released.sqrt() * noise) / sites
