"""How many units each rule describes best, where single units do not say it for certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fwsim.errors import ShapeError, whole
from fwsim.fitting.checks import check_level
from fwsim.fitting.differences import by_rule
from fwsim.names import known_arguments
from fwsim.recording import labelled_dataset
from fwsim.seeds import check_seed

if TYPE_CHECKING:
    import xarray as xr

BURNED = 200  # draws before the first that is kept


@known_arguments
def shares(density: xr.DataArray, *, level: float = 0.95, draws: int = 4000, seed: int = 0) -> xr.Dataset:
    """Share of units that each rule describes, from the log predictive densities of what the rules did not see.

    Every unit follows one of the rules, and each rule has an unknown share of all units, with a uniform prior. A unit
    whose densities are equal says nothing about the shares; if all are, intervals are those of the prior. So counts
    contain what is undetermined, and need no threshold for single units.

    Parameters
    ----------
    density
        `[rule, unit]` in nats. A unit that a rule lacks (NaN) does not count.
    level
        Probability of the intervals.
    draws
        Number of draws of shares and of the rules of units, in turn.
    seed
        Of these draws.

    Returns
    -------
    Dataset
        `share`, `share_low`, `share_high` `[rule]` in the population of which the units are a sample, and `number`,
        `number_low`, `number_high` `[rule]` among these units: medians and central intervals.

    Notes
    -----
    Source: Stephan, Penny, Daunizeau, Moran & Friston 2009, NeuroImage 46:1004, with predictive densities in place of
    evidences, and draws in place of a variational approximation.
    """
    check_level(level)
    whole("draws", draws, least=1)
    check_seed(seed)
    values = by_rule(density)
    values = values[:, ~np.isnan(values).any(0)]
    if not values.shape[1]:
        raise ShapeError("no unit has a density for every rule; give rules that were all tried on some units")
    random = np.random.default_rng(seed)
    chance = np.exp(values - values.max(0))
    share = np.full(len(values), 1 / len(values))
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(BURNED + draws):
        upto = np.cumsum(share[:, None] * chance, 0)
        rule = (random.random(values.shape[1]) * upto[-1] > upto).sum(0)
        number = np.bincount(rule, minlength=len(values))
        share = random.dirichlet(1.0 + number)
        kept.append((share, number))
    ends = [0.5, 0.5 - level / 2, 0.5 + level / 2]
    found = {}
    parts = zip(*kept[BURNED:])
    for name, part, text in zip(("share", "number"), parts, ("share of all units", "number of these units")):
        for suffix, values in zip(("", "_low", "_high"), np.quantile(np.stack(part), ends, axis=0)):
            label = f"{text} that the rule describes" + (
                f", {suffix[1:]} end of its interval" if suffix else ""
            )
            found[f"{name}{suffix}"] = ("rule", values, "1", label)
    return labelled_dataset(found, {"rule": np.array(density["rule"].values, dtype=object)})
