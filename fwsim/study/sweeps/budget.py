"""Points of a search that are stopped early: each runs with a small budget first, and only good ones with more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fwsim.errors import ConfigError, choice
from fwsim.study.experiment import Experiment
from fwsim.study.sweeps.axes import parse_axes
from fwsim.study.sweeps.ranges import Range
from fwsim.study.sweeps.take import single

PRUNERS = ("median", "halving")
SHARE = 3  # halving leaves the best third of the points


@dataclass(frozen=True)
class Budget:
    """How much a point may cost.

    Parameters
    ----------
    name
        Parameter of the experiment that is the cost, such as `epochs`.
    amounts
        Its values, the smallest first.
    pruner
        Which points do not go on; see `search`.
    """

    name: str
    amounts: tuple[Any, ...]
    pruner: str

    def optuna_pruner(self, optuna: Any) -> Any:
        """Return Optuna's pruner."""
        if self.pruner == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=4)
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=SHARE)

    def stops(self, trial: Any, level: int, value: float) -> bool:
        """Whether a trial of Optuna ends with the value that it has at one of the amounts."""
        trial.report(value, SHARE**level)
        return trial.should_prune()


def parse_budget(
    experiment: Experiment, given: Mapping[str, Any] | None, pruner: str | None, ranges: tuple[Range, ...]
) -> Budget | None:
    """Budget from `{"epochs": "5,20,80"}`, every value checked and in SI; `None` if there is none.

    Raises
    ------
    ConfigError
        It is not one parameter with two rising values or more, or is searched as well; or the pruner is unknown, or
        given without a budget.
    """
    if given is None:
        if pruner is not None:
            raise ConfigError(
                f"pruner={pruner!r} stops points of a budget, and there is none; give a budget too"
            )
        return None
    pruner = PRUNERS[0] if pruner is None else pruner
    choice("pruner", pruner, PRUNERS)
    form = 'give one parameter and rising values, e.g. {"epochs": "5,20,80"}'
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ConfigError(f"budget={given!r} is not allowed; {form}")
    over: dict[Any, Any] = dict(given)
    (axis,) = parse_axes(experiment, over)
    if len(axis.names) != 1 or axis.names[0] in {each.name for each in ranges}:
        raise ConfigError(
            f"budget={given!r} is not allowed; its parameter must be one, and none that is searched"
        )
    amounts = tuple(single(row[0]) for row in axis.rows)
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in amounts)
    if len(amounts) < 2 or not numbers or any(b <= a for a, b in pairwise(amounts)):
        raise ConfigError(f"budget={given!r} is not allowed; {form}")
    return Budget(axis.names[0], amounts, pruner)
