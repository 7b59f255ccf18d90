"""Linear discriminant analysis for many assignments of labels to the same states at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_SHRINKAGE = 1e-4
"""Keeps the covariance invertible when states do not vary within a class."""


@dataclass(frozen=True, eq=False)
class Discriminant:
    """Linear scores of each class. Call it on states `[..., unit]` to get guesses `[labelling, ...]`.

    Parameters
    ----------
    origin, scale
        Mean and standard deviation of the training states, `[unit]`.
    weights
        `[labelling, class, unit]`, of scaled states.
    offset
        `[labelling, class]`.
    """

    origin: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offset: np.ndarray

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """Class of the largest score, `[labelling, ...]`."""
        scaled = ((states - self.origin) / self.scale).reshape(-1, states.shape[-1])
        scores = scaled @ self.weights.swapaxes(1, 2) + self.offset[:, None]
        return scores.argmax(-1).reshape(-1, *states.shape[:-1])

    def only(self, labelling: int) -> Discriminant:
        """The discriminant of one of the labellings."""
        chosen = slice(labelling, labelling + 1)
        return Discriminant(self.origin, self.scale, self.weights[chosen], self.offset[chosen])


def discriminant(states: np.ndarray, labels: np.ndarray, classes: int) -> Discriminant:
    """Train on `states [trial, unit]` for each row of `labels [labelling, trial]`, integers below `classes`.

    The covariance within classes is shrunk towards a multiple of the identity. The shrinkage is that of Ledoit & Wolf
    2004 (J. Multivar. Anal. 88:365) for the scaled states, so that it is the same for all labellings. The covariance
    within classes is the total one minus that of the class means, whose rank is small: one inverse serves all
    labellings (Woodbury's identity).
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    origin, scale = states.mean(0), states.std(0)
    scale = np.where(scale > 1e-12 * np.abs(states).max(initial=0.0), scale, 1.0)
    scaled = (states - origin) / scale
    trials, units = scaled.shape
    shrinkage = max(float(ledoit_wolf_shrinkage(scaled, assume_centered=True)), LEAST_SHRINKAGE)
    kept = 1 - shrinkage
    total = scaled.T @ scaled / trials
    identity = np.eye(units) * (np.trace(total) / units or 1.0)
    total = kept * total + shrinkage * identity

    member = (labels[..., None] == np.arange(classes)).astype(float)  # [labelling, trial, class]
    share = member.mean(1)
    means = member.swapaxes(1, 2) @ scaled / (trials * share[..., None])
    through = means @ np.linalg.inv(total)
    between = through @ means.swapaxes(1, 2)  # [labelling, class, class]
    weights = np.linalg.solve(np.eye(classes) - kept * between * share[:, None, :], through)
    offset = np.log(share) - 0.5 * (weights * means).sum(-1)
    return Discriminant(origin, scale, weights, offset)
