"""Comparison of rules on many cells: each predicts what was left out of its fit, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsim.errors import ConfigError
from fwsim.fitting.comparison import named_rules
from fwsim.fitting.differences import differences
from fwsim.fitting.population import fit_population
from fwsim.names import known_arguments
from fwsim.rules.rule import PresynapticRule

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@known_arguments
def compare_populations(
    rules: Sequence[PresynapticRule] | Mapping[str, PresynapticRule],
    table: pd.DataFrame,
    *,
    held_out: str = "held_out",
    options: Mapping[str, Any] | None = None,
    **shared: Any,
) -> xr.Dataset:
    """Fit each rule to many cells without some responses, and predict those; see `fwsim.fit_population`.

    Parameters
    ----------
    rules
        Instances, or a dict of names and instances.
    table
        As in `fwsim.fit_population`, with a column of truth values for what is left out: some responses of a sweep,
        whole sweeps, or whole protocols of a cell. Each cell must keep some responses.
    held_out
        Name of that column.
    options
        Options of `fit_population` for single rules, by their name in this comparison: `{"alone": {"pooled": False}}`.
    shared
        Options of `fit_population` for all rules.

    Returns
    -------
    Dataset
        `density` `[rule, cell]`, log predictive density of what was left out in nats, and what `differences` finds in
        it, with standard errors over cells.

    Raises
    ------
    ConfigError
        There is no such column, nothing is left out, a cell keeps nothing, or `fit_population` refuses something.
    """
    import xarray as xr

    named = named_rules(rules)
    own = dict(options or {})
    unknown = [name for name in own if name not in named]
    if unknown:
        raise ConfigError(f"options name {unknown[0]!r}, which is not compared; use {', '.join(named)}")
    known = without_held_out(table, held_out)
    density = []
    for name, rule in named.items():
        population = fit_population(rule, known, **{**shared, **own.get(name, {})})
        density.append(population.log_predictive(table))
    joined = xr.concat(density, xr.DataArray(np.array(list(named), dtype=object), dims="rule", name="rule"))
    return differences(joined).merge(joined.rename("density").to_dataset())


@known_arguments
def without_held_out(table: pd.DataFrame, held_out: str = "held_out") -> pd.DataFrame:
    """The table with the responses that are left out as missing, so that times of pulses stay.

    Parameters
    ----------
    table
        As in `fwsim.fit_population`, with a column of truth values for what is left out. Each cell must keep something.
    held_out
        Name of that column.

    Raises
    ------
    ConfigError
        There is no such column, nothing is left out, or a cell keeps nothing.
    """
    if held_out not in getattr(table, "columns", ()):
        raise ConfigError(f"the table has no column {held_out!r}; mark there what is left out of the fits")
    out = table[held_out].astype(bool)
    if not out.any():
        raise ConfigError(f"column {held_out!r} leaves nothing out; mark responses to predict")
    name = "cell" if "cell" in table else "pair"
    if name in table:
        left = (~out & table["amplitude"].notna()).groupby(table[name]).any()
        if not left.all():
            raise ConfigError(
                f"{name} {left.idxmin()!r} keeps no response; leave out fewer, or the whole {name}"
            )
    known = table.assign(amplitude=table["amplitude"].mask(out))
    return known[known.groupby("protocol")["amplitude"].transform("count") > 0]
