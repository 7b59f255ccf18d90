"""Sensitivity of a result to parameters over whole ranges: designs of points for a sweep, and indices of SALib."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, ShapeError, choice, whole
from fwsim.names import known_arguments
from fwsim.recording import labelled_dataset
from fwsim.requirements import required
from fwsim.seeds import check_seed
from fwsim.study.experiment import Experiment, load_experiment
from fwsim.study.sweeps.ranges import Range, parse_ranges

METHODS = ("sobol", "morris")


@dataclass(frozen=True, eq=False)
class Design:
    """Points of a sensitivity analysis; see `design`.

    Parameters
    ----------
    ranges
        Of the parameters.
    method
        `"sobol"` or `"morris"`.
    unit
        The points in the unit cube, `[sample, parameter]`, as SALib wants them back.
    seed
        Of the design and of the bootstrap of the indices.
    """

    ranges: tuple[Range, ...]
    method: str
    unit: np.ndarray
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(each.name for each in self.ranges)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Values of all samples in SI, `[sample][parameter]`."""
        return list(zip(*(each.at(self.unit[:, place]) for place, each in enumerate(self.ranges))))

    @property
    def over(self) -> dict[Any, Any]:
        """What to sweep over: `fw.sweep(experiment, design.over)`. Samples that are equal are one point."""
        columns = list(zip(*dict.fromkeys(self.rows)))
        if len(columns) == 1:
            return {self.names[0]: list(columns[0])}
        return {self.names: [list(column) for column in columns]}

    def indices(self, result: xr.DataArray, *, level: float = 0.95) -> xr.Dataset:
        """Indices of a result of the sweep.

        Parameters
        ----------
        result
            One number for each point, `[first parameter]`, such as `recording.error.mean(["seed", "trial"])`.
        level
            Of the bootstrap intervals.

        Returns
        -------
        Dataset
            Sobol: `first [parameter]` (share of the variance from this parameter alone), `total [parameter]` (with all
            its interactions), `second [parameter, other]` (of pairs, NaN on and below the diagonal). Morris: `mean`,
            `mean_absolute` and `sd [parameter]` of elementary effects, over a whole range. `<name>_error` is half the
            width of an interval.

        Raises
        ------
        ShapeError
            Not one number for each point.
        ConfigError
            Some are NaN, as where a point failed.
        """
        required("SALib", "indices of sensitivity", extra="sensitivity")
        rows = self.rows
        points = {row: place for place, row in enumerate(dict.fromkeys(rows))}
        if result.dims != (self.names[0],) or result.size != len(points):
            raise ShapeError(
                f"result has dimensions {dict(result.sizes)}; give one number for each of the {len(points)} points, "
                f"({self.names[0]},): average over the others"
            )
        values = result.values.astype(float)
        if not np.isfinite(values).all():
            raise ConfigError(
                f"result is NaN at {int((~np.isfinite(values)).sum())} points; indices need all: resume the sweep with "
                "retry_failed"
            )
        outcome = values[[points[row] for row in rows]]
        analyse = _sobol if self.method == "sobol" else _morris
        return analyse(self, outcome, level)

    @property
    def problem(self) -> dict[str, Any]:
        """The parameters as SALib describes them."""
        return {
            "num_vars": len(self.names),
            "names": list(self.names),
            "bounds": [[0.0, 1.0]] * len(self.names),
        }


@known_arguments
def design(
    experiment: str | Path | ModuleType | Experiment,
    over: Mapping[str, str],
    *,
    method: str = "sobol",
    samples: int = 64,
    seed: int = 0,
) -> Design:
    """Choose the points for a global sensitivity analysis.

    Sources: Saltelli et al. 2010, Comput. Phys. Commun. 181:259 (Sobol); Morris 1991, Technometrics 33:161.

    Parameters
    ----------
    experiment
        A name, a path or a module.
    over
        Parameter → `"0.1:100:log"`, `"0:1:lin"`, or values of equal weight, `"1,2"`.
    method
        `"sobol"`: shares of variance, from samples · (2 · parameters + 2) points. `"morris"`: elementary effects, from
        samples · (parameters + 1) points.
    samples
        Number of base points, for Sobol a power of 2; or of trajectories.
    seed
        Of the design.

    Raises
    ------
    ConfigError
        SALib is not installed, or an argument is not allowed.
    """
    required("SALib", "a sensitivity analysis", extra="sensitivity")
    choice("method", method, METHODS)
    whole("samples", samples, least=2)
    check_seed(seed)
    ranges = parse_ranges(load_experiment(experiment), over)
    if len(ranges) < 2:
        raise ConfigError("a sensitivity analysis compares parameters; give at least two")
    if method == "sobol" and samples & (samples - 1):
        raise ConfigError(f"samples={samples} is no power of 2, which Sobol sequences need")
    from SALib.sample import morris, sobol

    empty = Design(ranges, method, np.empty((0, len(ranges))), seed)
    if method == "sobol":
        unit = sobol.sample(empty.problem, samples, calc_second_order=True, seed=seed)
    else:
        unit = morris.sample(empty.problem, samples, num_levels=4, seed=seed)
    return Design(ranges, method, np.asarray(unit), seed)


def _sobol(design: Design, outcome: np.ndarray, level: float) -> xr.Dataset:
    from SALib.analyze import sobol

    if not np.ptp(outcome):
        raise ConfigError("result is the same at all points, so no parameter has a share of its variance")
    found = sobol.analyze(design.problem, outcome, calc_second_order=True, conf_level=level, seed=design.seed)
    words = {
        "S1": "share of variance, alone",
        "ST": "share of variance, with interactions",
        "S2": "share, of pairs",
    }
    return _labelled(design, found, {"first": "S1", "total": "ST", "second": "S2"}, words)


def _morris(design: Design, outcome: np.ndarray, level: float) -> xr.Dataset:
    from SALib.analyze import morris

    found = morris.analyze(
        design.problem, design.unit, outcome, conf_level=level, num_levels=4, seed=design.seed
    )
    words = {
        "mu": "mean elementary effect",
        "mu_star": "mean absolute elementary effect",
        "sigma": "its deviation",
    }
    return _labelled(design, found, {"mean": "mu", "mean_absolute": "mu_star", "sd": "sigma"}, words)


def _labelled(
    design: Design, found: Mapping[str, Any], names: Mapping[str, str], words: Mapping[str, str]
) -> xr.Dataset:
    variables: dict[str, Any] = {}
    for name, key in names.items():
        dims = ("parameter", "other") if key == "S2" else ("parameter",)
        variables[name] = (dims, np.asarray(found[key], float), "1", words[key])
        if f"{key}_conf" in found:
            about = f"half the interval: {words[key]}"
            variables[f"{name}_error"] = (dims, np.asarray(found[f"{key}_conf"], float), "1", about)
    labels = np.array(design.names)
    coords = {"parameter": labels} | ({"other": labels} if "second" in names else {})
    return labelled_dataset(variables, coords, {"method": design.method, "samples": len(design.unit)})
