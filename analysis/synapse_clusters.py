"""Are recorded pairs clusters, or one continuous distribution?

Beninger, Rossbroich, Tóth & Naud 2024 (Cell Rep. 43:113785) found five clusters of synaptic dynamics in mice and a
similar number in humans. Here mixtures of 1 to 7 normal distributions of a rule's coordinates (logits and logarithms)
are compared by pairs that they were not fitted to, with what a pair leaves open taken into account. Best on runs of
`synapse_classes` with `--groups species`, whose pairs were fitted with one normal distribution for each species.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.errors import RecordingError
from fwsim.fitting.mixtures import fitted_mixture, left_out_evidence, log_normal
from fwsim.recording import labelled_dataset
from fwsim.study import COLOURS, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself
MOST = 7  # components
LEAST = 20  # pairs of a species
DRAWS = 60  # of each pair
ERRORS = 2.0  # standard errors that show a difference
PUBLISHED = 5  # clusters


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Log evidence of each number of components for each species, over one component, and modes of the best."""
    loaded = recording.load()
    every = max(1, loaded.sizes["draw"] // DRAWS)
    loaded = loaded.isel(draw=slice(None, None, every))
    z = loaded.place.transpose("cell", "draw", "axis").values
    groups = [str(name) for name in loaded.group.values]
    row = [groups.index(str(name)) for name in loaded.group_of_cell.values]
    mean = loaded.mean_of_group.transpose("group", "draw", "axis").values[row]
    covariance = loaded.covariance_of_group.transpose("group", "draw", "axis", "axis_too").values[row]
    prior = log_normal(z, mean, covariance)
    species = np.array([str(name) for name in loaded.species.values])
    names, kept, modes = [], [], []
    for name in np.unique(species):
        chosen = species == name
        if chosen.sum() < LEAST:
            continue
        found = left_out_evidence(z[chosen], prior[chosen], MOST)
        off = found - found[0]
        pairs = chosen.sum()
        best = int(found.sum(1).argmax())
        five = [found[PUBLISHED - 1] - found[k] for k in range(PUBLISHED - 1)]
        worst = min(five, key=lambda each: each.sum() / (np.sqrt(pairs) * each.std(ddof=1)))
        kept.append((off.sum(1), np.sqrt(pairs) * off.std(1, ddof=1), pairs, worst))
        whole = fitted_mixture(z[chosen], prior[chosen], best + 1, np.random.default_rng(0))
        modes.append((best + 1, whole.modes()))
        names.append(str(name))
    if not names:
        raise RecordingError(f"no species has {LEAST} pairs or more; give a run of more pairs")
    order = ("species", "components")
    return labelled_dataset(
        {
            "gain": (order, [each[0] for each in kept], "1", "log evidence over one component, in nats"),
            "gain_error": (order, [each[1] for each in kept], "1", "its standard error over pairs"),
            "pairs": ("species", [each[2] for each in kept], "1", "pairs"),
            "five": (
                "species",
                [each[3].sum() for each in kept],
                "1",
                "smallest gain of five over fewer, in nats",
            ),
            "five_error": (
                "species",
                [np.sqrt(len(each[3])) * each[3].std(ddof=1) for each in kept],
                "1",
                "its standard error over pairs",
            ),
            "best": ("species", [each[0] for each in modes], "1", "components of largest evidence"),
            "modes": ("species", [each[1] for each in modes], "1", "maxima of the density of that mixture"),
        },
        {"species": np.array(names, dtype=object), "components": np.arange(1, MOST + 1)},
        recording.attrs,
    )


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make a row for each species and number of components."""
    rows: list[dict[str, object]] = []
    for name in result.species.values:
        one = result.sel(species=name)
        for k in result.components.values:
            part = one.sel(components=k)
            rows.append({
                "species": str(name),
                "pairs": int(one.pairs),
                "components": int(k),
                "over one (nats)": formatted(part.gain, "+.1f"),
                "error": formatted(part.gain_error, ".1f"),
                "shown": "yes" if part.gain > ERRORS * part.gain_error else "no",
                "modes": int(one.modes) if k == int(one.best) else "",
            })  # fmt: skip
    return rows


EXPLAINED = {
    "over one*": "log evidence of pairs that the mixture was not fitted to, over one normal distribution",
    "error": "standard error over pairs",
    "shown": "whether the gain exceeds two standard errors",
    "modes": "maxima of the density of the mixture with the largest evidence",
}
CAPTIONS = {
    "*": (
        "Log evidence of pairs left out, by mixtures of several normal distributions, over a single one, with two "
        "standard errors over pairs."
    ),
}


def plot(result: xr.Dataset) -> Figure:
    """Draw the gain of each number of components."""
    made, axis = figure(width="single", aspect=0.8)
    for k, (name, colour) in enumerate(zip(result.species.values, ("orange", "green", "blue"))):
        one = result.sel(species=name)
        place = result.components + 0.1 * k
        axis.errorbar(
            place, one.gain, yerr=ERRORS * one.gain_error, fmt="o-", color=COLOURS[colour], label=str(name)
        )
    axis.axhline(0, color=COLOURS["black"], lw=0.5)
    axis.set(xlabel="components of the mixture", ylabel="gain over one (nats)")
    axis.legend(loc="upper left")
    return made
