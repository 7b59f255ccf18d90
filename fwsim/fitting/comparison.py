"""Comparison of rules: how well each predicts a protocol to which it was not fitted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fwsim.errors import ConfigError, type_of, whole
from fwsim.fitting.choice import choose
from fwsim.fitting.differences import differences
from fwsim.fitting.estimate import SAME_MAXIMUM, climb_all, problem_of
from fwsim.fitting.optimise import Problem
from fwsim.fitting.posterior import curvature
from fwsim.fitting.responses import SAME_TIME, Responses, gather
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.rules.parameters import declared
from fwsim.rules.rule import PresynapticRule
from fwsim.seeds import check_seed, torch_generator
from fwsim.units import outside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Folds:
    """The sets of fitted protocols: all, all but one, all but two; `kept` `[fold, protocol]` marks them."""

    kept: Tensor
    single: Tensor
    """Index of the set without this protocol, `[protocol]`."""
    double: Tensor
    """Index of the set without these two, `[protocol, protocol]`; the diagonal is `single`."""


@known_arguments
def compare_rules(
    rules: Sequence[PresynapticRule] | Mapping[str, PresynapticRule],
    responses: pd.DataFrame | xr.Dataset | Responses,
    *,
    noise: str = "gamma",
    gain: str = "shared",
    intraclass_correlation: float = 0.0,
    fixed: Mapping[str, str | Sequence[str]] | None = None,
    starts: int = 24,
    seed: int = 0,
    progress: bool | None = None,
) -> xr.Dataset:
    """Fit every rule to all protocols but one, and predict that one; for each protocol.

    Which rule predicts best is answered by `difference`, with its standard error: rules that are not `told_apart` from
    the best are as good, as far as these data can say. Squared errors are given too, but find the right rule least
    often. All rules are treated in the same way. To show the value of a choice among them, the choice is also made
    without the predicted protocol, see `fwsim.fitting.choose`.

    Parameters
    ----------
    rules
        Instances, with any numbers of components; or a dict of names and instances.
    responses
        At least three protocols; see `fwsim.fitting.gather`.
    noise, gain, intraclass_correlation, starts, seed
        As in `fwsim.fit`. With `gain="protocol"` a new protocol is predicted with the geometric mean of the gains.
    fixed
        Parameters that keep their value, by the name of the rule in this comparison.
    progress
        Progress bar: `None` means on a terminal or in a notebook, `False` never.

    Returns
    -------
    Dataset
        Errors are means over pulses of (mean response − prediction)². `held_out_error` and `held_out_shape_error`
        `[rule, protocol]` are for the protocol left out, the latter with its best gain; `fitted_error`; `prediction`
        (protocol left out) and `fitted` `[rule, protocol, pulse]`; `log_likelihood`, `aic`, `bic`, `tic`,
        `parameters`, `agreement` `[rule]`; `log_predictive_density`, `difference`, `difference_error`, `told_apart`
        `[rule]`, which say whether the protocols left out tell the best rule from the others (`differences`; units are
        cells if the table has several, else sweeps); `held_out_log_likelihood`; `inner_error`, `inner_log_likelihood`,
        `inner_tic` `[rule, protocol]`, which do not use the protocol; and the choice by these, `chosen`,
        `chosen_error`, `chosen_shape_error` `[criterion, protocol]`. A rule that gives no positive responses from any
        starting point has NaN, with a warning, and is never chosen.

    Raises
    ------
    ConfigError
        Fewer than three protocols, no rule, none that gives positive responses, or an argument that `fwsim.fit`
        refuses.
    """
    import xarray as xr

    whole("starts", starts, least=1)
    check_seed(seed)
    named = named_rules(rules)
    if fixed is not None and not isinstance(fixed, Mapping):
        raise ConfigError(
            f"fixed={fixed!r} is not allowed; give a dict of names of rules and of their parameters"
        )
    data = gather(responses).clustered(intraclass_correlation)
    if len(data.protocols) < 3:
        raise ConfigError(
            f"responses have {len(data.protocols)} protocols; leaving one out needs at least 3, else use fwsim.fit"
        )
    kept = dict(fixed or {})
    unknown = [label for label in kept if label not in named]
    if unknown:
        raise ConfigError(
            f"fixed names {unknown[0]!r}, which is not compared; use {', '.join(map(repr, named))}"
        )
    problems = {
        label: problem_of(rule, data, noise, gain, kept.get(label, ())) for label, rule in named.items()
    }
    folds = every_fold(len(data.protocols))
    columns: list[dict[str, Tensor]] = []
    with track("comparing rules", len(problems), show=progress) as advance:
        for label, problem in problems.items():
            columns.append(_leave_out(problem, data, folds, starts, seed))
            advance(rule=label)
    stacked = {name: torch.stack([column[name] for column in columns]) for name in columns[0]}
    _say_what_failed(list(named), stacked["log_likelihood"], starts)
    density = xr.DataArray(stacked.pop("density").numpy(), {"rule": list(named)}, ("rule", "unit"))
    return _dataset(list(named), data, stacked).merge(differences(density))


def _say_what_failed(names: list[str], log_likelihood: Tensor, starts: int) -> None:
    """Warn of rules without a fit `[rule]`, or raise `ConfigError` if no rule has one."""
    failed = [name for name, value in zip(names, log_likelihood.tolist()) if math.isnan(value)]
    text = f"{', '.join(failed)} gave no positive responses from any of {starts} starts"
    if len(failed) == len(names):
        raise ConfigError(f"{text}; give rules that release at every pulse, or more starts")
    if failed:
        warnings.warn(f"{text}; its numbers are NaN, and it is not chosen", stacklevel=outside())


def named_rules(
    rules: Sequence[PresynapticRule] | Mapping[str, PresynapticRule],
) -> dict[str, PresynapticRule]:
    """Rules by name; raise unless they are presynaptic rules."""
    if isinstance(rules, str) or not isinstance(rules, (Mapping, Sequence)):
        raise ConfigError(f"rules is {type_of(rules)}; give a list of rules, or a dict of names and rules")
    if not rules:
        raise ConfigError("there is no rule to compare; give instances of presynaptic rules")
    strange = [
        r
        for r in (rules.values() if isinstance(rules, Mapping) else rules)
        if not isinstance(r, PresynapticRule)
    ]
    if strange:
        raise ConfigError(f"{strange[0]!r} cannot be compared; give instances of presynaptic rules")
    return dict(rules) if isinstance(rules, Mapping) else dict(zip(labels(rules), rules))


def labels(rules: Sequence[PresynapticRule]) -> list[str]:
    """Class, options and numbers of components of each rule, with a number if these are not unique."""
    found: list[str] = []
    for rule in rules:
        specs = declared(rule)
        options = [str(getattr(rule, f.name)) for f in fields(rule) if isinstance(getattr(rule, f.name), str)]
        counts = [
            str(len(getattr(rule, name)))
            for name, s in specs.items()
            if s.components and not name.startswith("tau")
        ]
        text = " ".join([type(rule).__name__, *options, "+".join(counts)]).strip()
        found.append(text)
    again = {text for text in found if found.count(text) > 1}
    return [
        f"{text} #{found[: k + 1].count(text)}" if text in again else text for k, text in enumerate(found)
    ]


def every_fold(protocols: int) -> Folds:
    """Sets of fitted protocols for a number of protocols."""
    left_out = [(), *((k,) for k in range(protocols)), *combinations(range(protocols), 2)]
    kept = torch.ones(len(left_out), protocols, dtype=torch.bool)
    double = torch.zeros(protocols, protocols, dtype=torch.long)
    for fold, out in enumerate(left_out):
        kept[fold, list(out)] = False
        if out:
            double[out[0], out[-1]] = double[out[-1], out[0]] = fold
    return Folds(kept, double.diagonal(), double)


def squared_error(measured: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over pulses of the squared difference, with the given and with the best gain; `[..., pulse]` → `[...]`."""
    known = ~measured.isnan()
    measured, predicted = torch.where(known, measured, 0.0), torch.where(known, predicted, 0.0)
    number = known.sum(-1)
    gain = (measured * predicted).sum(-1, keepdim=True) / (predicted**2).sum(-1, keepdim=True)
    return tuple(((measured - p) ** 2).sum(-1) / number for p in (predicted, gain * predicted))  # type: ignore[return-value]


@known_arguments
def noise_floor(responses: pd.DataFrame | xr.Dataset | Responses) -> pd.DataFrame:
    """Differences between protocols at pulses where they are the same stimulus.

    Returns
    -------
    DataFrame
        For each pair of protocols that begin with the same two or more pulses: their number, the mean
        squared difference of the mean responses, and the part of it that sampling within each protocol explains.
        The rest comes from other cells or conditions, and no rule can predict it.
    """
    import pandas as pd

    data = gather(responses)
    moments = data.moments()
    since = data.times - data.times[:, :1]
    rows = []
    for i, j in combinations(range(len(data.protocols)), 2):
        same = ((since[i] - since[j]).abs() <= SAME_TIME).long().cumprod(0).bool()
        if int(same.sum()) < 2:
            continue
        difference = (moments.mean[i] - moments.mean[j])[same]
        sampling = (moments.variance / moments.count)[[i, j]].sum(0)[same]
        rows.append(
            {
                "protocols": f"{data.protocols[i]}, {data.protocols[j]}",
                "pulses": int(same.sum()),
                "squared_difference": float((difference**2).nanmean()),
                "from_sampling": float(sampling.nanmean()),
            }
        )
    return pd.DataFrame(rows, columns=["protocols", "pulses", "squared_difference", "from_sampling"])


def _leave_out(problem: Problem, data: Responses, folds: Folds, starts: int, seed: int) -> dict[str, Tensor]:
    """All results of one rule."""
    moments = data.moments()
    generator = torch_generator(seed)
    ends, values = climb_all(problem, moments.keep(folds.kept), starts, generator)
    each, best = torch.arange(len(ends)), values.argmax(1)
    z, value = ends[each, best], values[each, best]
    value = torch.where(value.isfinite(), value, torch.nan)  # −∞ means that no fit was possible
    predicted = problem.release(z) * _new_gain(problem, z, folds.kept)[:, None, None]
    predicted = torch.where(value.isnan()[:, None, None], torch.nan, predicted)
    fitted = torch.where(value[0].isnan(), torch.nan, problem.mean(z[:1])[0])
    error, shape_error = squared_error(moments.mean, predicted)  # [fold, protocol]
    spread = problem.spread(predicted, z)
    outside = problem.noise.log_likelihood(moments, predicted, spread).sum(-1)
    protocols = torch.arange(folds.kept.shape[1])
    inner = error[folds.double, protocols]  # [left out, predicted]
    others = ~torch.eye(len(protocols), dtype=torch.bool)
    free, singles = len(problem.at.axes), folds.single
    return {
        "held_out_error": error[folds.single, protocols],
        "held_out_shape_error": shape_error[folds.single, protocols],
        "held_out_log_likelihood": outside[folds.single, protocols],
        "density": _densities(
            problem, data, predicted[folds.single, protocols], spread[folds.single, protocols]
        ),
        "prediction": predicted[folds.single, protocols],
        "inner_error": (inner * others).sum(1) / others.sum(1),
        "inner_log_likelihood": (outside[folds.double, protocols] * others).sum(1),
        "inner_tic": 2 * _penalties(problem, data, z[singles], value[singles], folds.kept[singles])
        - 2 * value[singles],
        "fitted": fitted,
        "fitted_error": squared_error(moments.mean, fitted)[0],
        "log_likelihood": value[0],
        "aic": 2 * free - 2 * value[0],
        "bic": free * moments.count.sum().log() - 2 * value[0],
        "tic": 2 * _penalties(problem, data, z[:1], value[:1], folds.kept[:1])[0] - 2 * value[0],
        "parameters": torch.tensor(free),
        "agreement": torch.where(
            value[0].isnan(), torch.nan, (values[0] >= value[0] - SAME_MAXIMUM).double().mean()
        ),
    }


def _densities(problem: Problem, data: Responses, predicted: Tensor, spread: Tensor) -> Tensor:
    """Log-likelihood of each sweep, or of all sweeps of each cell, under predictions `[protocol, pulse]`."""
    single = data.moments(torch.eye(len(data.amplitude), dtype=torch.float64))
    by_sweep = problem.noise.log_likelihood(single, predicted, spread)
    by_sweep = torch.where(single.count > 0, by_sweep, 0.0).sum((-2, -1))
    by_sweep = torch.where(predicted.isnan().all(), torch.nan, by_sweep)
    if not data.by_cell:
        return by_sweep
    return torch.zeros(len(data.cells), dtype=by_sweep.dtype).index_add_(0, data.cell, by_sweep)


def _penalties(problem: Problem, data: Responses, z: Tensor, value: Tensor, kept: Tensor) -> Tensor:
    """Effective numbers of parameters of fits `[fit, axis]` to the protocols `kept`, NaN where `value` is NaN."""
    found = [
        math.nan if failed else curvature(problem, data, end, protocols).penalty
        for end, failed, protocols in zip(z, value.isnan().tolist(), kept)
    ]
    return torch.tensor(found, dtype=torch.float64)


def _new_gain(problem: Problem, z: Tensor, kept: Tensor) -> Tensor:
    """Gain for a protocol that was not fitted: the geometric mean of the fitted ones, `[fold]`."""
    logs = problem.at.gain_at(z).log()
    if problem.at.gains == 1:
        return logs[:, 0].exp()
    return ((logs * kept).sum(-1) / kept.sum(-1)).exp()


LONG_NAMES = {
    "held_out_error": "mean squared error, protocol left out",
    "held_out_shape_error": "the same with the protocol's best gain",
    "held_out_log_likelihood": "log-likelihood, protocol left out",
    "prediction": "prediction, protocol left out",
    "inner_error": "mean squared error over the other protocols, each left out too",
    "inner_log_likelihood": "log-likelihood of the other protocols, each left out too",
    "inner_tic": "Takeuchi's information criterion of the fit to the other protocols",
    "fitted": "fitted mean response",
    "fitted_error": "mean squared error, protocol included",
    "log_likelihood": "log-likelihood",
    "aic": "Akaike's information criterion",
    "bic": "Bayesian information criterion",
    "tic": "Takeuchi's information criterion, sweeps as units",
    "parameters": "number of parameters, gains and noise included",
    "agreement": "fraction of starts that found the maximum",
}


def _dataset(names: list[str], data: Responses, columns: dict[str, Tensor]) -> xr.Dataset:
    import xarray as xr

    axes = ("rule", "protocol", "pulse")
    moments = data.moments()
    missing = data.times.isnan()
    result = xr.Dataset(coords={"rule": np.array(names, dtype=object)})
    result = result.assign_coords(protocol=np.array(data.protocols, dtype=object))
    for name, values in columns.items():
        if values.ndim == 3:
            values = torch.where(missing, torch.nan, values)
        attrs = {"units": "1", "long_name": LONG_NAMES[name]}
        result[name] = axes[: values.ndim], values.numpy(), attrs
    result = result.merge(choose(result))
    error = (moments.variance / moments.count).sqrt()
    result["measured"] = axes[1:], moments.mean.numpy(), {"units": "1", "long_name": "mean response"}
    result["standard_error"] = axes[1:], error.numpy(), {"units": "1", "long_name": "its standard error"}
    result["pulse"] = "pulse", np.arange(moments.mean.shape[-1]), {"units": "1", "long_name": "pulse"}
    result["time"] = axes[1:], data.times.numpy().copy(), {"units": "s", "long_name": "time"}
    return result.set_coords("time")
