"""In which regime is the network under which drive, does the rate version know, and what reads the memory out?

Shown are the regimes against background in spikes and in rates, the raster with u and x of the cued and of another
pool, the response to the ping for each model, and the lifetime of the memory over τ_facil and τ_rec.
"""

from __future__ import annotations

import xarray as xr

POOLS = 5
REGIMES = ("forgets", "holds", "lost")
EVENT = 30.0
"""Rate of a pool in one sample of 10 ms, in Hz, that makes a population spike."""
HELD = 2.0
"""Least rate in Hz of a cued pool that holds, in the last second of the delay."""
SELECTIVE = 3.0
"""Least ratio of this rate to the mean of the other pools."""
START = 0.2
"""Time in s after which the spontaneous state counts, when the initial potentials are forgotten."""
DRAWS = 2000
"""Bootstrap samples over networks."""


def regime(rate: xr.DataArray, settle: float) -> xr.DataArray:
    """Classify runs by rates `[…, time, unit]`: 0 forgets, 1 holds, 2 lost (a pool is active before the cue)."""
    pools = rate.isel(unit=slice(POOLS))
    before = pools.where((rate["time"] > START) & (rate["time"] <= settle + 1e-9))
    lost = (before > EVENT).any(("time", "unit"))
    late = pools.where(rate["time"] > float(rate["time"][-1]) - 1).mean("time")
    cued, others = late.isel(unit=0), late.isel(unit=slice(1, None)).mean("unit")
    holds = (cued > HELD) & (cued > SELECTIVE * others)
    return xr.where(lost, 2, xr.where(holds, 1, 0)).astype(int)


def events(rate: xr.DataArray) -> xr.DataArray:
    """Count population spikes in the last second: samples above threshold that follow one below."""
    late = rate.where(rate["time"] > float(rate["time"][-1]) - 1, drop=True)
    above = late > EVENT
    return (above & ~above.shift(time=1, fill_value=True)).sum("time")
