"""Topology of states: whether they lie on a ring, by persistent homology with shuffled controls."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.spatial.distance import cdist

from fwsim.errors import ConfigError, whole
from fwsim.measure.recorded import recorded
from fwsim.measure.similarity import States, sample_matrix
from fwsim.names import known_arguments
from fwsim.recording.labels import labelled_dataset
from fwsim.requirements import required
from fwsim.seeds import check_seed

LEVEL = 0.05
"""A loop is significant if its p-value is at most this."""


@known_arguments
def loops(
    states: States,
    dim: str | tuple[str, ...] = ("trial", "time"),
    *,
    points: int = 60,
    components: int = 6,
    shuffles: int = 39,
    seed: int = 0,
) -> xr.Dataset:
    """Loops in a cloud of states, by persistent homology: one on a ring, two on a torus, none on a line or in a blob.

    States are reduced to their first principal components, and to points that lie far from each other. Points are
    joined if their distance is at most r, and r grows: a loop is born at one distance and filled at another. A long
    lifetime is a loop of the cloud; short ones are gaps between points. How long is long comes from shuffled states, in
    which every principal component keeps its values, but at other samples: they have the same variances in the same
    directions, and no other shape.

    Parameters
    ----------
    states
        A recording with `hidden` or `rate`, a DataArray with dimension `unit`, or an array or tensor
        `[..., sample, unit]`. Of spikes, give `firing_rate(run, bin=...)`.
    dim
        Dimensions of a DataArray that are samples; missing dimensions are ignored.
    points
        Number of states that are kept. The time needed grows with its third power.
    components
        Number of principal components; fewer if there are fewer units.
    shuffles
        Number of shuffled controls. The smallest possible p-value is 1/(shuffles + 1).
    seed
        Of the first point and the shuffles.

    Returns
    -------
    Dataset
        For loops by lifetime, the longest first: `birth[loop]`, `death[loop]`, `lifetime[loop]` in the unit of the
        states; `p_value[loop]`, the share of controls (and the states themselves) whose longest loop is as long;
        `significant[loop]`, p at most 0.05. `ring` says whether exactly one loop is significant.

    Raises
    ------
    ConfigError, ShapeError
        The package gudhi is not installed; an argument is not allowed; states are NaN or infinite, or do not vary.

    Notes
    -----
    Vietoris–Rips complexes up to triangles, from the package gudhi (extra `topology`). Controls are shuffled as by
    Gardner et al. 2022, Nature 602:123, but by principal components: shuffled units lose their correlations, so that a
    cloud in a few directions has longer loops than they have. Points are chosen by distance, so a single state far away
    from all others is kept too; average states over time if they are noisy.

    Examples
    --------
    >>> angle = 2 * np.pi * np.arange(60) / 60
    >>> ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    >>> found = loops(ring)
    >>> bool(found.ring), found.death.values[:1].round(3)
    (True, array([1.732]))
    """
    whole("points", points, least=4)
    whole("components", components, least=1)
    whole("shuffles", shuffles, least=19)
    check_seed(seed)
    matrix = sample_matrix("states", states, dim)
    if not np.isfinite(matrix).all() or len(matrix) < 4:
        raise ConfigError(
            "states are NaN or infinite, or fewer than four; leave out such trials or give more times"
        )
    if not (matrix - matrix.mean(0)).any():
        raise ConfigError("states do not vary; there is no shape to find")
    required("gudhi", "loops", extra="topology")
    random = np.random.default_rng(seed)
    reduced = _reduced(matrix, components)
    found = _lifetimes(_landmarks(reduced, points, random))
    longest = np.zeros(shuffles)
    for k in range(shuffles):
        control = _lifetimes(_landmarks(random.permuted(reduced, axis=0), points, random))
        longest[k] = np.max(control[:, 1] - control[:, 0], initial=0.0)
    lifetime = found[:, 1] - found[:, 0]
    p_value = (1 + (longest[None] >= lifetime[:, None]).sum(1)) / (1 + shuffles)
    significant = p_value <= LEVEL
    unit = "1"
    if isinstance(states, xr.DataArray | xr.Dataset):
        unit = recorded(states, "hidden", "rate").attrs.get("units", "1")
    return labelled_dataset(
        {
            "birth": ("loop", found[:, 0], unit, "distance at which the loop appears"),
            "death": ("loop", found[:, 1], unit, "distance at which the loop is filled"),
            "lifetime": ("loop", lifetime, unit, "lifetime of the loop"),
            "p_value": ("loop", p_value, "1", "p-value against shuffled states"),
            "significant": ("loop", significant, "1", "significant loop"),
            "ring": ((), int(significant.sum()) == 1, "1", "exactly one significant loop"),
        }
    )


def _reduced(matrix: np.ndarray, components: int) -> np.ndarray:
    """States `[sample, component]` along the directions of largest variance."""
    centred = matrix - matrix.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:components].T


def _landmarks(states: np.ndarray, points: int, random: np.random.Generator) -> np.ndarray:
    """Points each of which is as far as possible from those chosen before."""
    chosen = [int(random.integers(len(states)))]
    nearest = cdist(states, states[chosen])[:, 0]
    while len(chosen) < points and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, cdist(states, states[chosen[-1:]])[:, 0])
    return states[chosen]


def _lifetimes(points: np.ndarray) -> np.ndarray:
    """Birth and death of the loops of a cloud, `[loop, 2]`, the longest first."""
    import gudhi

    distances = cdist(points, points)
    filled = float(
        distances.max(1).min()
    )  # at this distance, one point is joined to all, and no loop is left
    complex_ = gudhi.RipsComplex(distance_matrix=distances, max_edge_length=filled)
    tree = complex_.create_simplex_tree(max_dimension=1)
    tree.collapse_edges(nb_iterations=3)
    tree.expansion(2)
    tree.compute_persistence(homology_coeff_field=2, min_persistence=0.0)
    found = np.asarray(tree.persistence_intervals_in_dimension(1), dtype=float).reshape(-1, 2)
    found[:, 1] = np.minimum(found[:, 1], filled)
    return found[np.argsort(found[:, 0] - found[:, 1], kind="stable")]
