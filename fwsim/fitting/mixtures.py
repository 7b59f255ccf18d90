"""Are there clusters among units that are known only by draws of their posterior?

A posterior was drawn with a normal distribution as the prior. The evidence for another prior, relative to that one, is
the mean over the draws of the ratio of the two densities. So mixtures of normal distributions can be fitted to units
(expectation and maximisation over units, draws and components) without their likelihoods, and what a unit leaves open
makes no cluster. Mixtures are compared by units that they were not fitted to.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray

STEPS = 40  # of expectation and maximisation
STARTS = 3  # mixtures that are begun, of which the best one stays


class Mixture(NamedTuple):
    """Weights `[component]`, means `[component, axis]` and covariances `[component, axis, axis]`."""

    weight: Array
    mean: Array
    covariance: Array

    def log_parts(self, z: Array) -> Array:
        """Log of weight times density of each component at `[..., axis]`, `[..., component]`."""
        return np.stack(
            [np.log(w) + log_normal(z, m, c) for w, m, c in zip(self.weight, self.mean, self.covariance)], -1
        )

    def log_evidence(self, z: Array, prior: Array) -> Array:
        """Of each unit, relative to the prior of its draws; `z` `[unit, draw, axis]`, log `prior` `[unit, draw]`."""
        ratio = np.logaddexp.reduce(self.log_parts(z), -1) - prior
        return np.logaddexp.reduce(ratio, -1) - np.log(ratio.shape[-1])

    def modes(self) -> int:
        """Number of maxima of the density, found by climbing from the mean of every component."""
        found: list[Array] = []
        precision = np.linalg.inv(self.covariance)
        for z in self.mean:
            for _ in range(500):
                parts = self.log_parts(z)
                share = np.exp(parts - parts.max())
                pull = np.einsum("k,kij,kj->i", share, precision, self.mean)
                z = np.linalg.solve(np.einsum("k,kij->ij", share, precision), pull)
            if not any(np.abs(z - other).max() < 0.05 for other in found):
                found.append(z)
        return len(found)


def log_normal(z: Array, mean: Array, covariance: Array) -> Array:
    """Log density of a normal distribution, `[..., axis]` → `[...]`; `mean` and `covariance` broadcast."""
    root = np.linalg.cholesky(covariance)
    off = (
        np.linalg.solve(root, (z - mean)[..., None])[..., 0]
        if root.ndim > 2
        else (z - mean) @ np.linalg.inv(root).T
    )
    size = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(-1)
    return -0.5 * (off**2).sum(-1) - size - 0.5 * z.shape[-1] * np.log(2 * np.pi)


def fitted_mixture(z: Array, prior: Array, components: int, random: np.random.Generator) -> Mixture:
    """The mixture of largest evidence among a few starts.

    Covariances are held away from 0 by the size of a few units with the covariance of all.

    Parameters
    ----------
    z
        Draws of units, `[unit, draw, axis]`.
    prior
        Log density of the prior with which they were drawn, `[unit, draw]`.
    components
        Number of normal distributions.
    random
        Source of the starts.
    """
    size = z.shape[-1]
    whole = np.cov(z.reshape(-1, size).T).reshape(size, size)
    held = size + 2.0
    best, most = None, -np.inf
    for _ in range(STARTS if components > 1 else 1):
        centres = z.mean(1)[random.choice(len(z), components, replace=False)]
        mixture = Mixture(np.full(components, 1 / components), centres, np.repeat(whole[None], components, 0))
        for _ in range(STEPS):
            parts = mixture.log_parts(z) - prior[..., None]
            most_of_unit = parts.max((1, 2), keepdims=True)
            share = np.exp(parts - most_of_unit)
            share /= share.sum((1, 2), keepdims=True)
            number = share.sum((0, 1))
            mean = np.einsum("udk,udi->ki", share, z) / number[:, None]
            scatter = []
            for k in range(components):
                off = z - mean[k]
                scatter.append(np.einsum("ud,udi,udj->ij", share[..., k], off, off, optimize=True))
            pooled = held * whole / components ** (2 / size)
            covariance = (np.stack(scatter) + pooled) / (number + held)[:, None, None]
            mixture = Mixture((number + 1) / (len(z) + components), mean, covariance)
        total = mixture.log_evidence(z, prior).sum()
        if total > most:
            best, most = mixture, total
    assert best is not None
    return best


def left_out_evidence(z: Array, prior: Array, most: int, *, folds: int = 5, seed: int = 0) -> Array:
    """Log evidence of each unit by mixtures of 1 … `most` components fitted to the others, `[components, unit]`."""
    random = np.random.default_rng(seed)
    fold = random.permutation(len(z)) % folds
    found = np.empty((most, len(z)))
    for each in range(folds):
        out = fold == each
        for k in range(most):
            mixture = fitted_mixture(z[~out], prior[~out], k + 1, random)
            found[k, out] = mixture.log_evidence(z[out], prior[out])
    return found
