"""Search for the best parameters of an experiment: a sampler of Optuna chooses the points of sweeps."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, choice, whole
from fwsim.names import known_arguments
from fwsim.paths import home_path
from fwsim.recording import labelled_dataset
from fwsim.requirements import required
from fwsim.seeds import check_seed
from fwsim.study import manifest, runs
from fwsim.study.config import Config
from fwsim.study.experiment import Experiment, load_experiment
from fwsim.study.files import StudyError
from fwsim.study.runs import Run
from fwsim.study.sweeps.budget import Budget, parse_budget
from fwsim.study.sweeps.ranges import Range, parse_ranges
from fwsim.study.sweeps.run import SweepPlan, resume_sweep, sweep
from fwsim.study.sweeps.take import single

SAMPLERS = ("tpe", "random", "cmaes", "gp", "qmc")
DIRECTIONS = ("minimize", "maximize")


@known_arguments
def search(
    experiment: str | Path | ModuleType | Experiment,
    over: Mapping[str, str],
    objective: str,
    *,
    sampler: str = "tpe",
    direction: str = "minimize",
    trials: int = 50,
    at_once: int = 8,
    budget: Mapping[str, Any] | None = None,
    pruner: str | None = None,
    seeds: int | str = 1,
    seed: int = 0,
    config: Config | Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    **options: Any,
) -> xr.Dataset:
    """Search for the parameters at which a recorded variable is smallest or largest.

    Each round is an ordinary sweep over points that the sampler asks for, and whose results it is told. The rounds are
    the only state: the same call with the same folder opens finished rounds, resumes an interrupted one, and goes on;
    with more `trials` it goes further.

    Parameters
    ----------
    experiment, config
        As in `sweep`.
    over
        Parameter → `"0.1:100:log"`, `"0:1:lin"`, or values to choose from, `"relu,tanh"`.
    objective
        Variable of the recordings; what counts is its mean over all that it has at a point, seeds included.
    sampler
        Of Optuna: `"tpe"`, `"random"`, `"cmaes"`, `"gp"` or `"qmc"`.
    direction
        `"minimize"` or `"maximize"`.
    trials
        Number of points in all.
    at_once
        Number of points of a round, which do not know of each other.
    budget
        A parameter that says what a point costs, and its values, the smallest first: `{"epochs": "5,20,80"}`. Each
        point runs with the first value, and with the next one, from the start, unless the pruner stops it. Without a
        budget no point is stopped.
    pruner
        Which points the budget stops. `"median"`, the default: those whose best value so far is worse than the median
        of completed points at the same amount, once four are complete. `"halving"`: those that are not in the best
        third of the points so far (asynchronous successive halving, Li et al. 2020, arXiv 1810.05934). Both are
        Optuna's.
    seeds
        Seeds of every point.
    seed
        Seed of the sampler.
    folder
        Folder of the rounds; by default `runs/<experiment>-<date>-<time>-search`.
    options
        Further ones of `sweep`: `quick`, `device`, `workers`, `scheduler`, `cluster`, `batch_size`, `batch_memory`.

    Returns
    -------
    Dataset
        `objective [search]`, NaN for points that failed or were stopped; the parameters, and the round, as coordinates.
        The attribute `best` is the index of the best point, `folder` the folder. With a budget, its parameter is a
        coordinate too, with the value that was reached, and `reached [search]` is the objective there.

    Raises
    ------
    ConfigError
        Optuna is not installed, an argument is not allowed, or the folder holds another search.
    StudyError
        All points failed.
    """
    optuna = required("optuna", "a search", extra="optuna")
    choice("sampler", sampler, SAMPLERS)
    choice("direction", direction, DIRECTIONS)
    whole("trials", trials, least=1)
    whole("at_once", at_once, least=1)
    check_seed(seed)
    experiment = load_experiment(experiment)
    ranges = parse_ranges(experiment, over)
    costs = parse_budget(experiment, budget, pruner, ranges)
    place = runs.fresh_folder(experiment.name, "search") if folder is None else folder
    path = home_path(place, "folder", new=True)
    if os.path.lexists(path / manifest.FILE):
        raise manifest.is_a_run(path)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of samplers that Optuna calls experimental
        prunes = None if costs is None else costs.optuna_pruner(optuna)
        study = optuna.create_study(
            direction=direction, sampler=_sampler(optuna, sampler, seed), pruner=prunes
        )
    sweeps = _Sweeps(experiment, tuple(each.name for each in ranges), objective, seeds, config, options)
    ended: list[_Ended] = []
    for number, begin in enumerate(range(0, trials, at_once)):
        count = min(at_once, trials - begin)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = [study.ask(_distributions(optuna, ranges)) for _ in range(at_once)][:count]
        rows = [tuple(_value(each, trial.params[each.name]) for each in ranges) for trial in asked]
        found = _round(sweeps, costs, asked, rows, path / f"round-{number:03d}")
        for trial, each in zip(asked, found):
            _tell(optuna, study, trial, each)
        ended += [replace(each, round=number) for each in found]
    return _result(ranges, ended, costs, objective, direction, path)


@dataclass(frozen=True)
class _Ended:
    """How a point of the search ended: its parameters, the objective where it ended, and the budget there."""

    row: tuple[Any, ...]
    value: float
    stopped: bool = False
    amount: Any = None
    round: int = 0


def _tell(optuna: Any, study: Any, trial: Any, ended: _Ended) -> None:
    """Tell Optuna's study how a trial ended."""
    states = optuna.trial.TrialState
    if not np.isfinite(ended.value):
        study.tell(trial, state=states.FAIL)
    elif ended.stopped:
        study.tell(trial, state=states.PRUNED)  # with the value that was reported last
    else:
        study.tell(trial, float(ended.value))


def _round(
    sweeps: _Sweeps, budget: Budget | None, asked: list[Any], rows: list[tuple[Any, ...]], folder: Path
) -> list[_Ended]:
    """Run the points of a round; with a budget, those that are not stopped once more with each larger amount.

    Whether a point is stopped depends on points before it only, so a longer search decides as a shorter one did.
    """
    if budget is None:
        return [_Ended(row, value) for row, value in zip(rows, sweeps.values((), rows, folder))]
    ended: dict[int, _Ended] = {}
    going = list(range(len(rows)))
    for level, amount in enumerate(budget.amounts):
        place = folder if level == 0 else folder.with_name(f"{folder.name}-{budget.name}-{amount:g}")
        values = sweeps.values((budget.name,), [(*rows[each], amount) for each in going], place)
        last, left = level == len(budget.amounts) - 1, []
        for each, value in zip(going, values):
            stops = not last and np.isfinite(value) and budget.stops(asked[each], level, value)
            ended[each] = _Ended(rows[each], value, stops, amount)
            if np.isfinite(value) and not stops:
                left.append(each)
        going = left
        if not going:
            break
    return [ended[each] for each in range(len(rows))]


def _sampler(optuna: Any, name: str, seed: int) -> Any:
    kinds = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=seed),
    }
    try:
        return kinds[name]()
    except ImportError as error:
        raise ConfigError(
            f"sampler={name!r} needs a package that is not installed: {error}; use 'tpe'"
        ) from error


def _distributions(optuna: Any, ranges: tuple[Range, ...]) -> dict[str, Any]:
    kinds = optuna.distributions
    found: dict[str, Any] = {}
    for each in ranges:
        if each.scale == "choice":
            found[each.name] = kinds.CategoricalDistribution(list(range(len(each.values))))
        else:
            kind = kinds.IntDistribution if each.whole else kinds.FloatDistribution
            found[each.name] = kind(*each.values, log=each.scale == "log")
    return found


def _value(each: Range, asked: Any) -> Any:
    if each.scale == "choice":
        return each.values[asked]
    return asked if each.whole else float(f"{asked:.12g}")


@dataclass(frozen=True)
class _Sweeps:
    """What all sweeps of a search have in common; the parameters as in `search`, `names` those that are searched."""

    experiment: Experiment
    names: tuple[str, ...]
    objective: str
    seeds: int | str
    config: Config | Mapping[str, Any] | None
    options: Mapping[str, Any]

    def values(self, further: tuple[str, ...], rows: list[tuple[Any, ...]], folder: Path) -> list[float]:
        """Objective of each row, values of `names` and of `further`; points that a folder has are not run again.

        A round that was the last one of a shorter search has only its first rows; the others are in a folder beside it.
        """
        names = (*self.names, *further)
        known: dict[tuple[Any, ...], float] = {}
        while missing := [row for row in dict.fromkeys(rows) if row not in known]:
            place = folder.with_name(f"{folder.name}-{len(known)}") if known else folder
            kept = _rows(place, names, missing) if place.exists() else missing
            try:
                recording = self._recording(place, names, missing)
                known |= dict(zip(kept, _means(recording, self.objective, names[0])))
            except StudyError:
                if not (place / "failed.csv").is_file():
                    raise
                known |= dict.fromkeys(kept, np.nan)  # all points failed, which the sampler is told
        return [known[row] for row in rows]

    def _recording(self, place: Path, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> xr.Dataset:
        """Recording of a finished sweep, of one that is resumed, or of a new one."""
        if place.exists():
            run = Run(place)
            return run.recording if run.state == "finished" else resume_sweep(run)
        columns = list(zip(*rows))
        over: Any = {names: columns} if len(names) > 1 else {names[0]: list(columns[0])}
        return sweep(self.experiment, over, self.seeds, self.config, folder=place, **self.options)


def _means(recording: xr.Dataset, objective: str, point: str) -> list[float]:
    """Mean of the objective at every point."""
    if objective not in recording.data_vars:
        known = ", ".join(map(str, recording.data_vars))
        raise ConfigError(f"objective={objective!r} is not recorded; use one of {known}")
    values = recording[objective].astype(float)
    return values.mean([dim for dim in values.dims if dim != point]).values.tolist()


def _rows(folder: Path, names: tuple[str, ...], asked: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Points of a round that was begun before, of which those that are asked for now are the first, or the reverse."""
    axes = SweepPlan.kept(Run(folder).manifest["sweep"]).axes
    kept = (
        [tuple(map(single, row)) for row in axes[0].rows] if len(axes) == 1 and axes[0].names == names else []
    )
    both = min(len(kept), len(asked))
    if not both or kept[:both] != asked[:both]:
        raise ConfigError(
            f"{folder} is a round of another search; give another folder, or the same arguments"
        )
    return kept


def _result(
    ranges: tuple[Range, ...],
    ended: list[_Ended],
    budget: Budget | None,
    objective: str,
    direction: str,
    folder: Path,
) -> xr.Dataset:
    reached = np.array([each.value for each in ended])
    values = np.where([each.stopped for each in ended], np.nan, reached)
    if not np.isfinite(values).any():
        raise StudyError(f"all {len(values)} points of the search failed; see failed.csv in {folder}")
    best = int(np.nanargmin(values) if direction == "minimize" else np.nanargmax(values))
    coords: dict[str, Any] = {
        each.name: ("search", [end.row[place] for end in ended]) for place, each in enumerate(ranges)
    }
    coords["round"] = ("search", [each.round for each in ended])
    variables = {"objective": ("search", values, "1", f"mean of {objective}")}
    if budget is not None:
        coords[budget.name] = ("search", [each.amount for each in ended])
        variables["reached"] = ("search", reached, "1", f"mean of {objective} with the {budget.name} reached")
    found = labelled_dataset(variables, coords)
    return found.assign_attrs(best=best, direction=direction, folder=str(folder))
