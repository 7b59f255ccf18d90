"""Averages of neurons over populations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fwsim.errors import ShapeError, instance
from fwsim.names import known_arguments
from fwsim.spiking.circuit import Circuit, check_circuit

if TYPE_CHECKING:
    import xarray as xr


@known_arguments
def pooled(run: xr.Dataset, circuit: Circuit) -> xr.Dataset:
    """Average a recording of neurons over populations, the units of the circuit's rate version.

    Parameters
    ----------
    run
        From `simulate`.
    circuit
        The circuit of the run.

    Returns
    -------
    xarray.Dataset
        Every variable over `unit`, with populations as units; events are left out.

    Raises
    ------
    ShapeError
        The recording belongs to another circuit, or contains only some units.
    """
    import xarray as xr

    instance("run", run, xr.Dataset, "a recording (xarray.Dataset)")
    check_circuit(circuit)
    if run.sizes.get("unit") != circuit.neurons:
        raise ShapeError(
            f"the recording has {run.sizes.get('unit')} units; record all {circuit.neurons} neurons of the circuit"
        )
    values = run[[name for name, each in run.data_vars.items() if "unit" in each.dims]]
    values = values.drop_vars(["unit", "population"], errors="ignore")
    means = [values.isel(unit=members).mean("unit", keep_attrs=True) for members in circuit.members.values()]
    joined = xr.concat(means, "unit").assign_coords(
        unit=("unit", np.arange(len(means)), run["unit"].attrs),
        population=("unit", np.array(circuit.names, dtype=object), {"long_name": "population"}),
    )
    order = {name: each.dims for name, each in values.data_vars.items()}
    return joined.map(lambda each: each.transpose(*order[each.name])).assign_attrs(run.attrs)
