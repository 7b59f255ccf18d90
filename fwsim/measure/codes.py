"""What accuracies of decoders say about a code: tests of its presence, of its absence, of its stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

SHARE = 0.5
"""A code is stable if decoders of other times keep more than this share of the gain over chance, rotating if they keep
less; a time has no code if its gain is smaller than this share of the usual one."""

ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Codes:
    """Verdicts at every time, `[time]`; all tests are valid for all times together.

    Parameters
    ----------
    p_value
        Probability that the largest accuracy of any time is at least this high without a code.
    threshold
        Smallest accuracy, a number, that is decodable.
    decodable
        Whether `p_value` is at most 1 − level.
    stability
        Gain of decoders between this time and the other decodable ones, as a share of the gain at this time.
    margin
        Gain over chance, a number, whose absence is tested.
    p_absent
        Probability of an accuracy this low or lower if the gain were `margin`.
    kind
        `"stable"`, `"rotating"`, `"decodable"`, `"silent"`, `"absent"` or `"undecided"`.
    """

    p_value: np.ndarray
    threshold: float
    decodable: np.ndarray
    stability: np.ndarray
    margin: float
    p_absent: np.ndarray
    kind: np.ndarray


def codes(right: np.ndarray, permuted: np.ndarray, level: float) -> Codes:
    """Judge guesses that are right, `[train_time, test_time, trial]`, by the accuracy with permuted labels.

    Parameters
    ----------
    right
        Whether decoders that were trained at one time guess the label of a left-out trial at another.
    permuted
        `[permutation, time]`; trained and tested at the same time.
    level
        Probability that no verdict of a kind is wrong at any time.
    """
    times, trials = len(right), right.shape[-1]
    own = np.diagonal(right.mean(-1))
    chance = permuted.mean(0)
    by_chance = chance * (1 - chance)
    # Trials share decoders, so that accuracies vary more than those of independent guesses.
    inflation = np.sqrt(permuted.var(0).mean() / (by_chance.mean() / trials))
    p_value, threshold = _largest(own, permuted, level)
    decodable = p_value <= 1 - level + ROUNDING

    gain = right[np.arange(times), np.arange(times)] - chance[:, None]  # [time, trial]
    kept = _kept(right - chance[:, None], decodable)
    excess = kept - SHARE * gain
    error = inflation * np.sqrt((excess.var(-1) + 1 / trials**2) / trials)
    with np.errstate(invalid="ignore", divide="ignore"):
        stability = kept.mean(-1) / gain.mean(-1)
        z = excess.mean(-1) / error
    seen = np.select([_holm(ndtr(-z), level), _holm(ndtr(z), level)], ["stable", "rotating"], "decodable")

    usual = gain[decodable].mean() if decodable.any() else 1 - chance.mean()
    margin = float(SHARE * usual)
    if_there = np.clip(chance + margin, 0.0, 1 - 0.5 / trials)
    p_absent = ndtr((own - if_there) / (inflation * np.sqrt(if_there * (1 - if_there) / trials)))
    none = ~decodable & _holm(p_absent, level)
    before = np.logical_or.accumulate(decodable)
    after = np.logical_or.accumulate(decodable[::-1])[::-1]
    unseen = np.select([none & before & after, none], ["silent", "absent"], "undecided")
    kind = np.where(decodable, seen, unseen).astype(object)
    return Codes(p_value, threshold, decodable, stability, margin, p_absent, kind)


def _largest(own: np.ndarray, permuted: np.ndarray, level: float) -> tuple[np.ndarray, float]:
    """P-values of accuracies `[time]` by the largest of all times in each permutation; the smallest accuracy found."""
    largest = np.sort(permuted.max(1))
    p_value = (1 + (largest >= own[:, None] - ROUNDING).sum(1)) / (1 + len(largest))
    above = int((1 - level) * (1 + len(largest)) + ROUNDING) - 1  # permutations that may be as large
    return p_value, float(largest[len(largest) - 1 - above])


def _holm(p: np.ndarray, level: float) -> np.ndarray:
    """Which of p-values are small enough for all of them together (Holm 1979, Scand. J. Stat. 6:65); NaN never is."""
    order = np.argsort(np.nan_to_num(p, nan=1.0))
    passed = np.zeros(len(p), bool)
    passed[order] = np.logical_and.accumulate(p[order] <= (1 - level) / np.arange(len(p), 0, -1))
    return passed


def _kept(gain: np.ndarray, decodable: np.ndarray) -> np.ndarray:
    """Mean gain of decoders between a decodable time and the others, `[time, trial]`; NaN if there is none."""
    kept = np.full(gain.shape[1:], np.nan)
    for t in np.flatnonzero(decodable):
        others = np.flatnonzero(decodable & (np.arange(len(gain)) != t))
        if len(others):
            kept[t] = (gain[others, t].mean(0) + gain[t, others].mean(0)) / 2
    return kept
