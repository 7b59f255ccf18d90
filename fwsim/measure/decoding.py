"""Decoding across time: whether a memory has a stable code, a rotating code, or none in the recorded activity."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.stats import binom

from fwsim.errors import ConfigError, ShapeError, number, whole
from fwsim.measure.recorded import described, plain, recorded, require_entries
from fwsim.progress import track
from fwsim.requirements import required
from fwsim.seeds import check_seed, seed_of_32_bits

STABLE = 0.5
"""A code is stable if decoders of other times have at least this fraction of the present decoder's gain over chance."""


def decode(
    run: xr.Dataset | xr.DataArray,
    labels: ArrayLike,
    *,
    folds: int = 5,
    classifier: Any = None,
    seed: int = 0,
    level: float = 0.99,
) -> xr.Dataset:
    """Train a linear decoder of a label at each time, and test it at every time on other trials.

    Parameters
    ----------
    run
        A recording with `hidden` or `rate`, or a DataArray with dimensions `trial`, `time`, `unit`.
    labels
        What each trial stored, `[trial]`.
    folds
        Number of parts of the stratified cross-validation.
    classifier
        A scikit-learn classifier; by default linear discriminant analysis with shrinkage (Ledoit–Wolf).
    seed
        Seed of the assignment of trials to these parts.
    level
        A time is decodable if the accuracy exceeds this quantile of the binomial distribution of guesses.

    Returns
    -------
    Dataset
        `accuracy[train_time, test_time]`; `chance`, the fraction of the most frequent label; `threshold`, the accuracy
        above which a time is decodable; `decodable[time]`; `stability[time]`, the gain over chance of decoders
        between this time and the other decodable ones, as a fraction of the gain at this time;
        `code[time]`: `"stable"`; `"rotating"` (decodable, stability below 0.5); `"silent"` (not decodable at this time,
        but before and after: the memory is in variables that were not recorded); `"absent"`.

    Notes
    -----
    King & Dehaene 2014, Trends Cogn. Sci. 18:203; Stokes 2015, Trends Cogn. Sci. 19:394; threshold:
    Combrisson & Jerbi 2015, J. Neurosci. Methods 250:126.
    """
    values = recorded(run, "hidden", "rate")
    require_entries(values, "trial", "time", "unit")
    whole("folds", folds, least=2)
    check_seed(seed)
    number("level", level, above=0, below=1)
    labels = _labels(labels)
    if labels.shape != (values.sizes["trial"],):
        raise ShapeError(
            f"labels have shape {list(labels.shape)}; expected [trial] with {values.sizes['trial']} trials"
        )
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < folds:
        raise ConfigError(
            f"labels with counts {dict(zip(classes.tolist(), counts.tolist()))} and folds={folds}: "
            "give at least two labels, each in at least as many trials as there are folds"
        )
    states = values.transpose("trial", "time", "unit").values
    bad = ~np.isfinite(states).all(-1)
    if bad.any():
        trial, time = np.argwhere(bad)[0]
        raise ConfigError(
            f"the states of {bad.any(1).sum()} trials are NaN or infinite somewhere (first: trial {trial}, sample "
            f"{time}); leave those trials or samples out"
        )
    accuracy = _cross_temporal(states, labels, folds, _classifier(classifier), seed)
    chance = float(counts.max() / counts.sum())
    threshold = float(binom.ppf(level, len(labels), chance) / len(labels))
    return _dataset(accuracy, chance, threshold, values)


def _labels(labels: ArrayLike) -> np.ndarray:
    """What each trial stored: texts, truth values or numbers that are not NaN."""
    found = plain(labels, "labels")
    if found.dtype.kind == "T":  # as recordings on disk have them
        missing, found = False, np.array(found.tolist(), str)
    elif found.dtype.kind == "O":
        missing = any(each is None or each != each for each in found.ravel())
        found = found if missing else found.astype(str)
    else:
        missing = found.dtype.kind in "fc" and bool(np.isnan(found).any())
    if found.dtype.kind not in "biufUSOMm":
        raise ConfigError(f"labels are {found.dtype}; give numbers, texts or truth values")
    if missing:
        raise ConfigError("labels are missing (NaN or None) in some trials; leave those trials out")
    return found


def _classifier(classifier: Any) -> Any:
    module = required("sklearn.discriminant_analysis", "decode", extra="decode")
    if classifier is None:
        return module.LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    if not all(hasattr(classifier, name) for name in ("fit", "predict", "get_params")) or isinstance(
        classifier, type
    ):
        raise ConfigError(
            f"classifier={classifier!r} is none; give an instance of a classifier of scikit-learn"
        )
    return classifier


def _cross_temporal(
    states: np.ndarray, labels: np.ndarray, folds: int, classifier: Any, seed: int
) -> np.ndarray:
    """Mean accuracy `[train_time, test_time]` on left-out trials of states `[trial, time, unit]`."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    trials, times, units = states.shape
    right = np.zeros((times, times))
    split = list(
        StratifiedKFold(folds, shuffle=True, random_state=seed_of_32_bits(seed)).split(labels, labels)
    )
    with track("decoding", times * folds) as advance:
        for train, test in split:
            unseen = states[test].reshape(-1, units)
            for t in range(times):
                decoder = _trained(clone(classifier), states[train, t], labels[train])
                guesses = decoder.predict(unseen).reshape(len(test), times)
                right[t] += (guesses == labels[test, None]).sum(0)
                advance()
    return right / trials


def _trained(decoder: Any, states: np.ndarray, labels: np.ndarray) -> Any:
    try:
        return decoder.fit(states, labels)
    except ValueError as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"the classifier cannot be trained on {len(labels)} trials ({reason}); give more trials or another one"
        ) from error


def _dataset(accuracy: np.ndarray, chance: float, threshold: float, values: xr.DataArray) -> xr.Dataset:
    gain = accuracy - chance
    decodable = np.diagonal(accuracy) > threshold
    stability = np.full(len(gain), np.nan)
    for t in np.flatnonzero(decodable):
        others = np.flatnonzero(decodable & (np.arange(len(gain)) != t))
        if len(others):
            stability[t] = (gain[others, t].mean() + gain[t, others].mean()) / 2 / gain[t, t]
    before = np.logical_or.accumulate(decodable)
    after = np.logical_or.accumulate(decodable[::-1])[::-1]
    seen = np.where(stability < STABLE, "rotating", "stable")
    code = np.where(decodable, seen, np.where(before & after, "silent", "absent"))

    time = values["time"].values.copy() if "time" in values.coords else np.arange(values.sizes["time"])
    seconds = {"units": "s"}
    variables = {
        "accuracy": (("train_time", "test_time"), accuracy, "decoding accuracy"),
        "chance": ((), chance, "accuracy of guessing the most frequent label"),
        "threshold": ((), threshold, "accuracy above which a time is decodable"),
        "decodable": (("time",), decodable, "decodable"),
        "stability": (("time",), stability, "share of the gain that decoders of other times keep"),
        "code": (("time",), code.astype(object), "kind of code"),
    }
    dataset = xr.Dataset(
        coords={
            "time": ("time", time, seconds | {"long_name": "time"}),
            "train_time": ("train_time", time, seconds | {"long_name": "time of training"}),
            "test_time": ("test_time", time, seconds | {"long_name": "time of testing"}),
        }
    )
    for name, (dims, data, label) in variables.items():
        dataset[name] = described(xr.DataArray(data, dims=dims), name, "1", label)
    return dataset
