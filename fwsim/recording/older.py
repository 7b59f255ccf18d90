"""Recordings of an older schema, with the names of the present one."""

from __future__ import annotations

import xarray as xr

from fwsim.recording.schema import SCHEMA

RENAMED = {1: {"inner": "iteration"}}
"""Schema → old name of a dimension → present name."""


def up_to_date(run: xr.Dataset) -> xr.Dataset:
    """Convert a recording of an older schema to the names of the present one; return others unchanged.

    If the new name of a dimension is in use for another one, that one gets the name of the first variable
    along it, as for a record with its own samples: `settling_iteration`.
    """
    schema = run.attrs.get("fwsim_schema")
    names = dict(RENAMED.get(schema, {})) if type(schema) is int else {}
    if not names:
        return run
    for new in set(names.values()) & set(map(str, run.dims)):
        along = [str(name) for name, each in run.variables.items() if new in each.dims and name != new]
        names[new] = f"{along[0] if along else 'other'}_{new}"
    variables, coordinates = {}, set()
    for name, variable in run.variables.items():
        old = str(name)
        renamed = variable.to_base_variable()
        renamed.dims = tuple(names.get(str(dim), dim) for dim in variable.dims)
        new = names.get(old, old) if variable.dims == (old,) else old
        variables[new] = renamed
        if name in run.coords and (variable.ndim == 1 or name not in variable.dims):
            coordinates.add(new)
    made = xr.Dataset(variables, attrs={**run.attrs, "fwsim_schema": SCHEMA})
    return made.set_coords(coordinates)
