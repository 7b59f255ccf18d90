"""Decoding across time: whether a memory has a stable code, a rotating code, or none in the recorded activity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, ShapeError, number, whole
from fwsim.measure.codes import codes
from fwsim.measure.discriminant import discriminant
from fwsim.measure.recorded import described, plain, recorded, require_entries, same_order
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.requirements import required
from fwsim.seeds import check_seed, numpy_generator, seed_of_32_bits

Reader = Callable[[np.ndarray, np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""From training states `[trial, unit]`, their labels `[labelling, trial]`, other states `[trial, time, unit]` and the
time of training to guesses: with the first labelling `[trial, time]`, with all `[labelling, trial]` at that time."""


@known_arguments
def decode(
    run: xr.Dataset | xr.DataArray,
    labels: ArrayLike,
    *,
    folds: int = 5,
    classifier: Any = None,
    seed: int = 0,
    level: float = 0.95,
    permutations: int = 200,
) -> xr.Dataset:
    """Train a linear decoder of a label at each time, and test it at every time on other trials.

    The same is done with labels that are permuted between trials. At a time where a code is found, the accuracy is so
    high that no time reaches it in all but 1 − `level` of the permutations: in data without any code, the chance that
    one is found at any time is 1 − `level` at most.

    That no code is found does not show that there is none. `"silent"` and `"absent"` therefore need a test of
    equivalence: the accuracy is too low for half of the usual gain over chance. `margin` says how much that is.

    Parameters
    ----------
    run
        A recording with `hidden` or `rate`, or a DataArray with dimensions `trial`, `time`, `unit`.
    labels
        What each trial stored, `[trial]`.
    folds
        Number of parts of the stratified cross-validation.
    classifier
        A scikit-learn classifier, which is trained again for each permutation; by default linear discriminant analysis
        with shrinkage (Ledoit–Wolf), for all permutations at once.
    seed
        Seed of the assignment of trials to these parts, and of the permutations.
    level
        Probability that no verdict is wrong by chance at any time, for each kind of verdict.
    permutations
        Number of permutations of the labels, within parts.

    Returns
    -------
    Dataset
        `accuracy[train_time, test_time]`; `chance`, the fraction of the most frequent label; `guessing[time]`, the
        mean accuracy with permuted labels, over which gains are counted; `p_value[time]`, corrected for all times;
        `threshold`, the smallest accuracy that is decodable; `decodable[time]`; `stability[time]`, the gain of decoders
        between this time and the other decodable ones, as a share of the gain at this time; `margin`, half of the mean
        gain of the decodable times, or of that of a perfect decoder if there are none; `p_absent[time]`, the
        probability of an accuracy this low or lower if the gain were `margin`.

        `code[time]`: `"stable"` (decoders of other times keep more than half of the gain); `"rotating"` (less);
        `"decodable"` (which of the two is not certain); `"silent"` (the gain is below `margin`, but there is a code
        before and after: the memory is in variables that were not recorded); `"absent"` (below `margin`, not between
        such times); `"undecided"` (neither a code nor its absence is certain; give more trials).

    Notes
    -----
    King & Dehaene 2014, Trends Cogn. Sci. 18:203; Stokes 2015, Trends Cogn. Sci. 19:394; largest statistic of all:
    Nichols & Holmes 2002, Hum. Brain Mapp. 15:1; equivalence: Lakens 2017, Soc. Psychol. Personal. Sci. 8:355.
    """
    values = recorded(run, "hidden", "rate")
    require_entries(values, "trial", "time", "unit")
    whole("folds", folds, least=2)
    check_seed(seed)
    number("level", level, above=0, below=1)
    whole("permutations", permutations, least=1)
    if 1 / (1 + permutations) > 1 - level + 1e-12:
        raise ConfigError(
            f"permutations={permutations} cannot reach level={level:g}; "
            f"give {int(np.ceil(level / (1 - level) - 1e-9))} or more"
        )
    same_order("labels", labels, values, "trial")
    if isinstance(labels, xr.DataArray) and labels.dims != ("trial",):
        raise ShapeError(
            f"labels have dimensions {list(labels.dims)}; give one label for each trial, [trial]"
        )
    labels = _labels(labels)
    if labels.shape != (values.sizes["trial"],):
        raise ShapeError(
            f"labels have shape {list(labels.shape)}; expected [trial] with {values.sizes['trial']} trials"
        )
    classes, code, counts = np.unique(labels, return_inverse=True, return_counts=True)
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
    reader = _reader(classifier, len(classes))
    parts = _parts(code, folds, seed)
    labellings = _permuted(code, parts, permutations, seed)
    right, permuted = _cross_temporal(states.astype(float), labellings, parts, reader)
    return _dataset(right, permuted, float(counts.max() / counts.sum()), level, values)


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


def _reader(classifier: Any, classes: int) -> Reader:
    """How labels are read from states: by linear discriminants, or by a classifier that the user gives."""
    required("sklearn.discriminant_analysis", "decode", extra="decode")
    if classifier is None:
        return partial(_by_discriminant, classes=classes)
    if not all(hasattr(classifier, name) for name in ("fit", "predict", "get_params")) or isinstance(
        classifier, type
    ):
        raise ConfigError(
            f"classifier={classifier!r} is none; give an instance of a classifier of scikit-learn"
        )
    return partial(_by_classifier, classifier)


def _by_discriminant(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, t: int, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    if len(train) <= classes:
        raise _untrainable(len(train), "as many labels as trials")
    trained = discriminant(train, labels, classes)
    return trained.only(0)(test)[0], trained(test[:, t])


def _by_classifier(
    classifier: Any, train: np.ndarray, labels: np.ndarray, test: np.ndarray, t: int
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.base import clone

    try:
        trained = [clone(classifier).fit(train, row) for row in labels]
    except ValueError as error:
        raise _untrainable(len(train), (str(error).splitlines() or [""])[0]) from error
    trials, times, units = test.shape
    everywhere = trained[0].predict(test.reshape(-1, units)).reshape(trials, times)
    return everywhere, np.array([each.predict(test[:, t]) for each in trained])


def _untrainable(trials: int, reason: str) -> ConfigError:
    return ConfigError(
        f"the classifier cannot be trained on {trials} trials ({reason}); give more trials or another one"
    )


def _parts(labels: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Trials of each part, with equal shares of the labels."""
    from sklearn.model_selection import StratifiedKFold

    split = StratifiedKFold(folds, shuffle=True, random_state=seed_of_32_bits(seed))
    return [part for _, part in split.split(labels, labels)]


def _permuted(labels: np.ndarray, parts: list[np.ndarray], permutations: int, seed: int) -> np.ndarray:
    """The labels, then permutations of them within parts, `[labelling, trial]`; so all have the same parts."""
    random = numpy_generator(seed)
    rows = np.tile(labels, (1 + permutations, 1))
    for part in parts:
        rows[1:, part] = random.permuted(rows[1:, part], axis=1)
    return rows


def _cross_temporal(
    states: np.ndarray, labellings: np.ndarray, parts: list[np.ndarray], reader: Reader
) -> tuple[np.ndarray, np.ndarray]:
    """What is right `[train_time, test_time, trial]`; accuracy with permuted labels `[permutation, time]`."""
    trials, times, _ = states.shape
    right, by_chance = np.zeros((times, times, trials), bool), np.zeros((len(labellings), times))
    with track("decoding", times * len(parts)) as advance:
        for test in parts:
            train = np.setdiff1d(np.arange(trials), test)
            for t in range(times):
                everywhere, here = reader(states[train, t], labellings[:, train], states[test], t)
                right[t][:, test] = (everywhere == labellings[0, test, None]).T
                by_chance[:, t] += (here == labellings[:, test]).sum(1)
                advance()
    return right, by_chance[1:] / trials


def _dataset(
    right: np.ndarray, permuted: np.ndarray, chance: float, level: float, values: xr.DataArray
) -> xr.Dataset:
    found = codes(right, permuted, level)
    time = values["time"].values.copy() if "time" in values.coords else np.arange(values.sizes["time"])
    seconds = {"units": "s"}
    variables = {
        "accuracy": (("train_time", "test_time"), right.mean(-1), "decoding accuracy"),
        "chance": ((), chance, "accuracy of guessing the most frequent label"),
        "guessing": (("time",), permuted.mean(0), "accuracy with permuted labels"),
        "p_value": (("time",), found.p_value, "p-value of a code, for all times together"),
        "threshold": ((), found.threshold, "smallest accuracy that is decodable"),
        "decodable": (("time",), found.decodable, "decodable"),
        "stability": (("time",), found.stability, "share of the gain that decoders of other times keep"),
        "margin": ((), found.margin, "gain whose absence is tested"),
        "p_absent": (("time",), found.p_absent, "p-value of the absence of a code"),
        "code": (("time",), found.kind, "kind of code"),
    }
    dataset = xr.Dataset(
        coords={
            "time": ("time", time, seconds | {"long_name": "time"}),
            "train_time": ("train_time", time, seconds | {"long_name": "time of training"}),
            "test_time": ("test_time", time, seconds | {"long_name": "time of testing"}),
        },
        attrs={"level": level, "permutations": len(permuted)},
    )
    for name, (dims, data, label) in variables.items():
        dataset[name] = described(xr.DataArray(data, dims=dims), name, "1", label)
    return dataset
