"""Choice of a rule for each protocol without using that protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fwsim.errors import ConfigError
from fwsim.names import known_arguments

if TYPE_CHECKING:
    import xarray as xr

CRITERIA = {
    "squared error": ("inner_error", 1),
    "log-likelihood": ("inner_log_likelihood", -1),
    "TIC": ("inner_tic", 1),
}
"""Criterion → variable of a comparison, and the sign for which smaller is better."""


@known_arguments
def choose(compared: xr.Dataset) -> xr.Dataset:
    """Choose among all compared rules, for each protocol by the other protocols only.

    Parameters
    ----------
    compared
        From `fwsim.compare_rules`, or several of those joined along further dimensions (for example `variant`).

    Returns
    -------
    Dataset
        `chosen` `[criterion, protocol]`, names joined by commas if there are several dimensions, and the errors of
        the chosen rule on the protocol left out, `chosen_error` and `chosen_shape_error`. Criteria: squared error and
        log-likelihood of each of the other protocols, when it is left out too; Takeuchi's information criterion of
        the fit to the other protocols. A rule with NaN is never chosen. If all have NaN, `chosen` is `"none"` and its
        errors are NaN.
    """
    import xarray as xr

    wanted = [name for name, _ in CRITERIA.values()] + ["held_out_error", "held_out_shape_error"]
    missing = [name for name in wanted if name not in getattr(compared, "data_vars", ())]
    if missing:
        raise ConfigError(f"compared has no {', '.join(missing)}; give what fwsim.compare_rules returns")
    axes = [dim for dim in compared.held_out_error.dims if dim != "protocol"]
    flat = compared.stack(candidate=axes, create_index=False)
    labels = [", ".join(map(str, names)) for names in zip(*(flat[axis].values for axis in axes))]
    names = np.array(labels, dtype=object)
    values = xr.concat(
        [sign * flat[name] for name, sign in CRITERIA.values()],
        xr.DataArray(np.array(list(CRITERIA), dtype=object), dims="criterion", name="criterion"),
    )
    known = values.notnull().any("candidate")
    best = values.clip(max=np.finfo(float).max).fillna(np.inf).argmin("candidate")  # NaN is largest
    result = best.copy(data=np.where(known, names[best.values], "none")).rename("chosen").to_dataset()
    result["chosen"].attrs = {"units": "1", "long_name": "chosen without this protocol"}
    for kind in ("error", "shape_error"):
        source = flat[f"held_out_{kind}"]
        attrs = {"units": "1", "long_name": f"{source.long_name}, of what was chosen"}
        result[f"chosen_{kind}"] = (
            source.isel(candidate=best).where(known).drop_vars(axes, errors="ignore").assign_attrs(attrs)
        )
    return result.transpose("criterion", "protocol")
