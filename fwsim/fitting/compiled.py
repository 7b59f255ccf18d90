"""The likelihoods of `fwsim.fitting.quanta` by the native engine, with the same numbers."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from fwsim.engine.native.library import library, obstacle
from fwsim.rules.derive.sites import SiteChances

MOST = 64  # sites of the exact likelihood, in `quanta.cpp`


def available(exact: int) -> bool:
    """Whether the native engine can serve."""
    return exact <= MOST and obstacle() is None


def sweep_log_likelihood(
    response: Tensor,
    train: Tensor,
    chances: SiteChances,
    sites: Tensor,
    gain: Tensor,
    noise: Tensor,
    cv: float,
    exact: int,
    outliers: float = 0.0,
) -> Tensor:
    """Log-likelihood of every sweep, exact up to `exact` sites.

    Parameters
    ----------
    response, train
        `[sweep, pulse]`, and the train of each sweep.
    chances
        Of one site, `[chain, train, pulse]`, without NaN.
    sites, gain, noise
        `[chain, sweep]`.
    cv, exact, outliers
        Coefficient of variation of a quantum, largest number of sites of the exact likelihood, share of outliers.

    Returns
    -------
    Tensor
        `[chain, sweep]`.
    """
    whole = sites < exact + 0.5
    sites = torch.where(whole, sites.round(), sites)
    result = torch.empty_like(sites)
    release, refill = (part.contiguous() for part in chances)
    tensors = [
        response.contiguous(),
        train.contiguous(),
        release,
        refill,
        sites,
        gain / sites,
        noise.contiguous(),
    ]
    library().fwsim_quanta(
        *(ctypes.c_int64(size) for size in (*sites.shape, *release.shape[1:], exact)),
        *(ctypes.c_void_p(each.data_ptr()) for each in tensors),
        ctypes.c_double(cv),
        ctypes.c_double(outliers),
        ctypes.c_void_p(result.data_ptr()),
    )
    return result
