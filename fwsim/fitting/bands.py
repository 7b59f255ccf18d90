"""Bands of the mean response and of single responses to a train, from random draws of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import xarray as xr


def bands(train: Tensor, mean: Tensor, means: Tensor, single: Tensor, level: float) -> xr.Dataset:
    """Mean response to a train, with bands for the mean and for a single response.

    Parameters
    ----------
    train
        `[spike]` in s.
    mean
        Mean response, `[spike]`.
    means, single
        Draws of the mean response and of single responses, `[draw, spike]`.
    level
        Probability of both bands.

    Returns
    -------
    Dataset
        `mean`, `mean_low`, `mean_high`, `response_low`, `response_high` over `spike`, with coordinate `time`.
    """
    import xarray as xr

    ends = torch.tensor([0.5 - level / 2, 0.5 + level / 2], dtype=torch.float64)
    columns = {"mean": mean}
    for name, draws in (("mean", means), ("response", single)):
        columns[f"{name}_low"], columns[f"{name}_high"] = torch.quantile(draws, ends, dim=0)
    attrs = {"units": "1", "long_name": "response"}
    return xr.Dataset(
        {name: ("spike", values.numpy(), attrs) for name, values in columns.items()},
        coords={"time": ("spike", train.numpy().copy(), {"units": "s", "long_name": "time"})},
        attrs={"level": level},
    )
