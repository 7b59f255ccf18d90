"""Are two rules told apart? Differences of predictive densities, with their errors over independent units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from fwsim.errors import ShapeError, instance
from fwsim.names import known_arguments
from fwsim.recording import labelled_dataset

if TYPE_CHECKING:
    import xarray as xr

LEVEL = 0.95  # probability of the interval that must not hold 0 if two rules are told apart


@known_arguments
def differences(density: xr.DataArray) -> xr.Dataset:
    """Compare rules by the log predictive density of what each did not see.

    Parameters
    ----------
    density
        `[rule, unit]` in nats: units are independent, such as cells (`FittedPopulation.log_predictive`) or sweeps. A
        unit that a rule lacks (NaN) counts for no rule.

    Returns
    -------
    Dataset
        `log_predictive_density` `[rule]`, the sum over units; `difference` `[rule]` from the best rule, at most 0;
        `difference_error` `[rule]`, its standard error √n·SD over the n units of the paired differences; `told_apart`
        `[rule]`, whether the 95 % interval of Student's t around the difference lies below 0. If it does not, the data
        cannot tell the rule from the best one. A rule whose densities are all NaN has NaN.

    Notes
    -----
    Source: Vehtari, Gelman & Gabry 2017, Stat. Comput. 27:1413, §5.
    """
    values = by_rule(density)
    fitted = ~np.isnan(values).all(1)
    known = ~np.isnan(values[fitted]).any(0) if fitted.any() else np.zeros(values.shape[1], bool)
    used = np.where(fitted[:, None], values[:, known], np.nan)
    total = np.where(fitted, used.sum(1), np.nan)
    off = used - used[np.nanargmax(total)] if fitted.any() else used
    units = used.shape[1]
    error = np.sqrt(units) * off.std(1, ddof=1) if units > 1 else np.full(len(values), np.nan)
    difference = np.where(fitted, off.sum(1), np.nan)
    reach = stdtrit(max(units - 1, 1), (1 + LEVEL) / 2)
    return labelled_dataset(
        {
            "log_predictive_density": (
                "rule",
                total,
                "1",
                "log predictive density of what was left out, in nats",
            ),
            "difference": ("rule", difference, "1", "its difference from the best rule"),
            "difference_error": ("rule", error, "1", "standard error of the difference"),
            "told_apart": (
                "rule",
                difference < -reach * error,
                "1",
                "whether the best rule is told from this one",
            ),
        },
        {"rule": np.array(density["rule"].values, dtype=object)},
    )


def by_rule(density: xr.DataArray) -> np.ndarray:
    """Densities `[rule, unit]` as an array; raise unless they have these two dimensions."""
    import xarray as xr

    instance("density", density, xr.DataArray, "log densities [rule, unit] (xarray.DataArray)")
    if density.ndim != 2 or "rule" not in density.dims:
        raise ShapeError(f"density has dimensions {', '.join(map(str, density.dims))}; give [rule, unit]")
    return density.transpose("rule", ...).values
