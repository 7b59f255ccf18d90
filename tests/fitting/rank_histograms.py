"""Simulation-based calibration: places of true parameters among posterior draws are uniform, if the sampler is right.

    python tests/fitting/rank_histograms.py

prints a row for each rule, number of sites and share of outliers: true values inside central 95 % intervals, and the
smallest p. Parameters of many cells are drawn from the prior, responses from the parameters (Talts et al. 2018,
arXiv:1804.06788). `places` fits all cells at once, each by itself with that prior, so it tests likelihood and chains.
`places_of_one` gives the likelihood one unknown parameter at a time, whose posterior is summed up on a grid: exact, and
cheap enough for every rule.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.stats import chisquare

import fwsim as fw
from fwsim.fitting.cells import SITES, Cells, recorded_cells
from fwsim.fitting.population_run import PopulationRun
from fwsim.fitting.quanta import simulate
from fwsim.rules.derive.sites import SiteChances
from tests.fitting.recorded import TRAINS

RULES = {
    "Tsodyks–Markram": fw.TsodyksMarkram(0.3, 0.2, 0.1),
    "Tsodyks–Markram, mongillo2008": fw.TsodyksMarkram(0.3, 0.2, 0.1, "mongillo2008"),
    "Tsodyks–Markram, mixed": fw.TsodyksMarkram(0.3, 0.2, 0.1, "mixed"),
    "independent depression": fw.IndependentDepression(0.3, 0.2, 0.1),
    "augmented release": fw.AugmentedRelease(0.3, 0.2, 0.1, 0.1, 2.0),
    "calcium-dependent recovery": fw.CalciumRecovery(0.3, 0.7, 0.1, 0.2),
    "linear–nonlinear 1, logistic": fw.LinearNonlinear(-1.0, (-0.3,), (0.2,), readout="logistic"),
    "linear–nonlinear 2, cloglog": fw.LinearNonlinear(-1.0, (-0.3, 0.3), (0.05, 0.5)),
    "Varela": fw.Varela(0.3, 0.1, (0.8,), (0.3,)),
    "enhancement": fw.Enhancement((0.3,), (0.1,), (0.05,), (2.0,), (), ()),
}
NOISES = {"single sites": (64, (1.5, 20.0)), "many sites": (0, (20.0, 150.0))}
"""Sites up to which the likelihood is exact, and the range of sites of the prior."""
CELLS, SWEEPS, BINS = 200, 4, 8
POINTS, WIDE = 401, 5.0
"""Values of a parameter on a grid, and its half width in standard deviations of the prior."""


def blank(rule: fw.rules.PresynapticRule, noise: str, cells: int) -> Cells:
    """Cells whose responses are still to be drawn."""
    exact, sites = NOISES[noise]
    rows = [
        {
            "cell": f"{cell:04}",
            "protocol": name,
            "sweep": s,
            "pulse": k,
            "time_s": t,
            "amplitude": 1.0,
            "class": "a",
        }
        for cell in range(cells)
        for name, train in TRAINS.items()
        for s in range(SWEEPS)
        for k, t in enumerate(train)
    ]
    found = recorded_cells(rule, pd.DataFrame(rows), "class", (), 0.3, exact)
    axes = [replace(axis, spread=sites) if axis == SITES else axis for axis in found.axes]
    return replace(found, axes=tuple(axes))


def places(
    rule: fw.rules.PresynapticRule,
    noise: str,
    cells: int,
    warmup: int,
    moves: int,
    seed: int = 0,
    outliers: float = 0.0,
) -> pd.DataFrame:
    """Share of draws below the true value, a row for each cell and a column for each parameter."""
    cells_, true = responding(rule, noise, cells, outliers, torch.Generator().manual_seed(seed))
    z = PopulationRun(cells_, 1, warmup, moves, False, seed).draws(None, False).z
    return pd.DataFrame((z < true).double().mean(0).numpy(), columns=[axis.name for axis in cells_.axes])


def places_of_one(
    rule: fw.rules.PresynapticRule,
    noise: str,
    cells: int,
    seed: int = 0,
    outliers: float = 0.0,
    assumed: float | None = None,
) -> pd.DataFrame:
    """Posterior probability of a smaller value, with all other parameters known; rows and columns as in `places`.

    `assumed` is a coefficient of variation of quanta other than the true one, to see that it is found.
    """
    found, true = responding(rule, noise, cells, outliers, torch.Generator().manual_seed(seed))
    found = found if assumed is None else replace(found, cv=assumed)
    centre, width = found.prior()
    steps = torch.linspace(-WIDE, WIDE, POINTS, dtype=torch.float64)
    columns = {}
    for k, axis in enumerate(found.axes):
        grid = centre[k] + width[k] * steps
        z = true.repeat(POINTS, 1, 1)
        z[..., k] = grid[:, None]
        log = found.log_likelihood(z) - 0.5 * steps[:, None] ** 2
        weight = (log - log.amax(0)).exp()
        share = ((true[:, k] - grid[0]) / (grid[1] - grid[0]) - torch.arange(POINTS)[:, None] + 0.5).clamp(
            0, 1
        )
        columns[axis.name] = ((weight * share).sum(0) / weight.sum(0)).numpy()
    return pd.DataFrame(columns)


def responding(
    rule: fw.rules.PresynapticRule, noise: str, cells: int, outliers: float, generator: torch.Generator
) -> tuple[Cells, torch.Tensor]:
    """Cells with responses, and their true coordinates `[cell, axis]`, drawn from the prior."""
    found = replace(blank(rule, noise, cells), outliers=outliers)
    true = possible(found, generator)
    sites = found.sites_at(true).round()[found.sweep_cell]
    gain, level = (part[found.sweep_cell, 0] for part in found.gain_and_noise_at(true))
    chances = found.rule_at(true[found.train_cell]).site_chances(found.times)
    chances = SiteChances(*(part[found.sweep_train].nan_to_num(0.0) for part in chances))
    drawn = simulate(chances, sites, gain / sites, level, found.cv, generator, outliers)
    return replace(found, response=torch.where(found.response.isnan(), torch.nan, drawn)), true


def possible(cells: Cells, generator: torch.Generator) -> torch.Tensor:
    """Draws from the prior `[cell, axis]`, where release is a probability at every spike."""
    centre, width = cells.prior()
    shape = len(cells.names), len(centre)
    true = centre + width * torch.randn(shape, generator=generator, dtype=torch.float64)
    while True:
        release = cells.rule_at(true[cells.train_cell]).site_chances(cells.times).release
        wrong = ~((release >= 0) & (release <= 1) | cells.times.isnan()).all(-1)
        wrong = torch.zeros(len(true), dtype=torch.long).index_add(0, cells.train_cell, wrong.long()) > 0
        if not bool(wrong.any()):
            return true
        again = centre + width * torch.randn(shape, generator=generator, dtype=torch.float64)
        true = torch.where(wrong[:, None], again, true)


def smallest_p(place: pd.DataFrame) -> float:
    """Smallest p of χ² tests that the places of a parameter are uniform, times the number of parameters."""
    counts = [np.histogram(place[name], BINS, (0, 1))[0] for name in place]
    return min(1.0, len(counts) * min(chisquare(each).pvalue for each in counts))


def inside(place: pd.DataFrame, level: float = 0.95) -> float:
    """Share of true values inside central intervals, over all cells and parameters."""
    return float(((place > 0.5 - level / 2) & (place < 0.5 + level / 2)).to_numpy().mean())


if __name__ == "__main__":
    for noise in NOISES:
        for name, rule in RULES.items():
            for outliers in (0.0, 0.03):
                place = places(rule, noise, CELLS, 1500, 4000, outliers=outliers)
                row = (
                    f"| {name} | {noise} | {outliers} | {100 * inside(place):.1f} | {smallest_p(place):.2g} |"
                )
                print(row, flush=True)
