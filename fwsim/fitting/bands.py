"""Bands of the mean response and of single responses to a train, from random draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fwsim.fitting.percentiles import central

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor


def bands(
    train: Tensor, mean: Tensor, limits: tuple[Tensor, Tensor], single: Tensor, level: float
) -> xr.Dataset:
    """Mean response to a train, with bands for the mean and for a single response.

    Parameters
    ----------
    train
        `[spike]` in s.
    mean, limits
        Mean response and the limits of its band, `[spike]` each.
    single
        Draws of single responses, `[draw, spike]`.
    level
        Probability of both bands.

    Returns
    -------
    Dataset
        `mean`, `mean_low`, `mean_high`, `response_low`, `response_high` over `spike`, with coordinate `time`.
    """
    import xarray as xr

    columns = {"mean": mean}
    for name, (low, high) in (("mean", limits), ("response", central(single, level))):
        columns |= {f"{name}_low": low, f"{name}_high": high}
    attrs = {"units": "1", "long_name": "response"}
    return xr.Dataset(
        {name: ("spike", values.numpy(), attrs) for name, values in columns.items()},
        coords={"time": ("spike", train.numpy().copy(), {"units": "s", "long_name": "time"})},
        attrs={"level": level},
    )
