"""Posteriors of fits as trees of ArviZ."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from fwsim.errors import ConfigError, whole
from fwsim.fitting.coordinates import Coordinates
from fwsim.fitting.fitted import Fit
from fwsim.fitting.population import FittedPopulation
from fwsim.fitting.posterior import Posterior
from fwsim.fitting.sampling import WALKERS, Chains
from fwsim.names import known_arguments
from fwsim.requirements import required
from fwsim.seeds import check_seed


@known_arguments
def to_arviz(fitted: Fit | Posterior | Chains | FittedPopulation, *, draws: int = 4000, seed: int = 0) -> Any:
    """Convert a posterior to a tree of ArviZ, for its plots, summaries and comparisons.

    Parameters
    ----------
    fitted
        `Chains` of `Fit.sample_posterior`: every walker is a chain. A `Posterior` (Laplace), or a `Fit`, whose Laplace
        posterior is taken and whose responses are the observed data: one chain of independent draws. Or a
        `FittedPopulation`.
    draws
        Number of draws from Laplace's approximation.
    seed
        Of these draws.

    Returns
    -------
    arviz.InferenceData, or from ArviZ 1 on xarray.DataTree
        `posterior` with every parameter, in its unit, over `chain` and `draw`; of a `Fit` also `observed_data` with
        `response [protocol, pulse]`, the mean over sweeps. Of a `FittedPopulation`, parameters are by `cell`, and those
        of groups, such as `mean_U` and `spread_U`, are by `group` and on the unbounded scale.

    Raises
    ------
    ConfigError
        ArviZ is not installed, or it is no posterior.
    """
    arviz = required("arviz", "to_arviz", extra="arviz")
    whole("draws", draws, least=2)
    check_seed(seed)
    if not isinstance(fitted, Fit | Posterior | Chains | FittedPopulation):
        raise ConfigError(
            f"to_arviz takes a Fit, a Posterior, Chains or a FittedPopulation, not {type(fitted).__name__}"
        )
    groups: dict[str, xr.Dataset] = {}
    if isinstance(fitted, FittedPopulation):
        groups["posterior"] = _population(fitted)
    elif isinstance(fitted, Chains):
        walkers = WALKERS * len(fitted.at.axes)
        z = fitted.draws.reshape(-1, walkers, len(fitted.at.axes)).swapaxes(0, 1)
        groups["posterior"] = _parameters(fitted.at, fitted.at.values(z).numpy())
    else:
        laplace = fitted.posterior if isinstance(fitted, Fit) else fitted
        values = laplace.at.values(laplace.sample(draws, seed=seed)).numpy()
        groups["posterior"] = _parameters(laplace.at, values[None])
    if isinstance(fitted, Fit):
        measured = fitted.residuals().measured.rename("response").reset_coords(drop=True)
        groups["observed_data"] = measured.to_dataset()
    if int(arviz.__version__.partition(".")[0]) >= 1:  # whose InferenceData is a DataTree by another name
        return xr.DataTree.from_dict(groups)
    return arviz.InferenceData(**groups)


def _population(fitted: FittedPopulation) -> xr.Dataset:
    """Draws of cells in the parameters' units, and of groups as mean and standard deviation of coordinates."""
    chains = int(fitted.chain.max()) + 1

    def by_chain(draws: Tensor) -> np.ndarray:
        return draws.unflatten(0, (chains, -1)).numpy()

    places = ("chain", "draw")
    variables = {}
    for k, axis in enumerate(fitted.cells.axes):
        note = {"units": axis.unit, "long_name": axis.name}
        variables[axis.name] = ((*places, "cell"), by_chain(axis.back(fitted.z[..., k])), note)
        if fitted.pooled:
            for kind, draws in (("mean", fitted.mean), ("spread", fitted.spread)):
                note = {"units": "1", "long_name": f"{kind} over cells of the {axis.scale} of {axis.name}"}
                variables[f"{kind}_{axis.name}"] = ((*places, "group"), by_chain(draws[..., k]), note)
    coords = {"cell": list(fitted.cells.names)} | ({"group": list(fitted.groups)} if fitted.pooled else {})
    return xr.Dataset(variables, coords, {"inference_library": "fwsim"})


def _parameters(at: Coordinates, values: np.ndarray) -> xr.Dataset:
    """Draws `[chain, draw, axis]` as a dataset."""
    coords = {"chain": np.arange(values.shape[0]), "draw": np.arange(values.shape[1])}
    variables = {
        axis.name: (("chain", "draw"), values[..., place], {"units": axis.unit, "long_name": axis.name})
        for place, axis in enumerate(at.axes)
    }
    return xr.Dataset(variables, coords, {"inference_library": "fwsim"})
