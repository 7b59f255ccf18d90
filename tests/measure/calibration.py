"""How often intervals cover the true value, and verdicts are wrong, in simulated data.

    python tests/measure/calibration.py [TEXT]

prints the table of docs/results/calibration.md, or the rows whose names contain the text. Each case is a function of
the number of data sets, and returns how often the true value was covered, or no verdict was wrong.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy.signal import lfilter

import fwsim as fw
from fwsim.fitting import differences, synthetic_table
from fwsim.rules.derive.sampling import sample_poisson
from fwsim.rules.parameters import as_tensors
from fwsim.study import Design
from fwsim.study.sweeps.ranges import Range
from tests.fitting.recorded import MEAN, population

SETS = 300
COVER = (0.95, 0.95)
AT_LEAST = (0.95, 1.0)

Case = Callable[[int], float]
CASES: dict[str, tuple[Case, tuple[float, float]]] = {}
"""Each case with the smallest and the largest rate that it should have in infinitely many data sets."""


def case(name: str, expected: tuple[float, float] = COVER) -> Callable[[Case], Case]:
    """Add a function to the cases."""

    def add(function: Case) -> Case:
        CASES[name] = (function, expected)
        return function

    return add


def share(inside: list[bool] | np.ndarray) -> float:
    return float(np.mean(inside))


# --- intervals over repetitions --------------------------------------------------------------------------


@case("`bootstrap`, mean of 3 networks")
def three_networks(sets: int) -> float:
    return over_repetitions(3, sets)


@case("`bootstrap`, mean of 5 networks")
def five_networks(sets: int) -> float:
    return over_repetitions(5, sets)


def over_repetitions(count: int, sets: int) -> float:
    values = np.random.default_rng(count).normal(size=(count, sets))
    _, low, high = fw.measure.bootstrap(values)
    return share((low <= 0) & (high >= 0))


@case("`bootstrap`, a function of the mean of 3 networks")
def function_of_three(sets: int) -> float:
    random, inside = np.random.default_rng(1), []
    for seed in range(sets):
        values = 3 + random.normal(size=(3, 2))
        _, low, high = fw.measure.bootstrap(
            values, lambda mean: np.exp(mean[0] - mean[1]), draws=2000, seed=seed
        )
        inside.append(low <= 1 <= high)
    return share(inside)


@case("`welch`, difference of 5 and 5 networks with spreads of 1 and 3")
def two_groups(sets: int) -> float:
    random, inside = np.random.default_rng(2), []
    for _ in range(sets):
        _, low, high = fw.measure.welch(random.normal(size=5), 3 * random.normal(size=5))
        inside.append(low <= 0 <= high)
    return share(inside)


@case("`basins`, volume from 200 starts")
def volume(sets: int) -> float:
    generator, inside = torch.Generator().manual_seed(0), []
    for _ in range(sets):
        starts = torch.rand(200, 1, generator=generator, dtype=torch.float64) - 0.3
        found = fw.measure.basins(lambda x: torch.tanh(3 * x), starts, iterations=100)
        inside.append(bool(found.volume_low[0] <= 0.7 <= found.volume_high[0]))
    return share(inside)


# --- autocorrelation time --------------------------------------------------------------------------------


def exponential_process(trials: int, length: int, sets: int, tau: float = 10.0) -> xr.DataArray:
    """Gaussian, stationary, with the autocorrelation exp(−h/tau): `[trial, time, unit]`, a data set a unit."""
    decay = math.exp(-1 / tau)
    noise = np.random.default_rng(trials + length).standard_normal((trials, length, sets))
    noise[:, 1:] *= math.sqrt(1 - decay**2)
    return xr.DataArray(lfilter([1], [1, -decay], noise, axis=1), dims=("trial", "time", "unit"))


def covered(values: xr.DataArray, tau: float = 10.0) -> float:
    found = fw.measure.autocorrelation_time(values)
    return share((found.tau_low <= tau) & (tau <= found.tau_high))


@case("`autocorrelation_time`, one trial of 50 τ")
def one_long_trial(sets: int) -> float:
    return covered(exponential_process(1, 500, sets))


@case("`autocorrelation_time`, 10 trials of 10 τ")
def ten_trials(sets: int) -> float:
    return covered(exponential_process(10, 100, sets))


@case("`autocorrelation_time`, 100 trials of 3 τ")
def many_short_trials(sets: int) -> float:
    return covered(exponential_process(100, 30, sets))


@case("`autocorrelation_time`, means of trials and an evoked response")
def trials_with_means(sets: int) -> float:
    means = xr.DataArray(np.random.default_rng(0).normal(size=20), dims="trial")
    evoked = xr.DataArray(3 * np.sin(np.arange(200) / 20), dims="time")
    return covered(exponential_process(20, 200, sets) + means + evoked)


@case("`autocorrelation_time`, one trial of 3 τ: not `resolved`, or covered", AT_LEAST)
def short_trial(sets: int) -> float:
    found = fw.measure.autocorrelation_time(exponential_process(1, 30, sets))
    return share(~found.resolved | ((found.tau_low <= 10) & (found.tau_high >= 10)))


# --- decoding --------------------------------------------------------------------------------------------

TIMES, UNITS = 12, 12


def decoded(kind: str, trials: int, size: float, sets: int) -> list[set[str]]:
    """Verdicts that `decode` gives at any time of each data set."""
    labels, found = np.arange(trials) % 2, []
    sign = 2.0 * labels - 1
    for seed in range(sets):
        states = np.random.default_rng(seed).normal(size=(trials, TIMES, UNITS))
        for t in range(TIMES):
            if kind == "constant" or (kind == "silent" and not 3 <= t < 9):
                states[:, t, 0] += size * sign
            if kind == "rotating":
                states[:, t, t] += size * sign
        run = xr.DataArray(states, dims=("trial", "time", "unit"))
        found.append(set(fw.measure.decode(run, labels, permutations=99, seed=seed).code.values.tolist()))
    return found


def without(found: list[set[str]], *wrong: str) -> float:
    return share([not codes & set(wrong) for codes in found])


@case("`decode`, no code in 40 trials: none found at any time", AT_LEAST)
def no_code(sets: int) -> float:
    return without(decoded("none", 40, 0.0, sets), "decodable", "stable", "rotating")


@case("`decode`, weak constant code (accuracy 0.7), 40 trials: never silent, absent or rotating", AT_LEAST)
def weak_code(sets: int) -> float:
    return without(decoded("constant", 40, 0.8, sets), "silent", "absent", "rotating")


@case("`decode`, constant code (accuracy 0.75), 100 trials: never silent, absent or rotating", AT_LEAST)
def constant_code(sets: int) -> float:
    return without(decoded("constant", 100, 0.8, sets), "silent", "absent", "rotating")


@case("`decode`, rotating code, 100 trials: never silent, absent or stable", AT_LEAST)
def rotating_code(sets: int) -> float:
    return without(decoded("rotating", 100, 1.5, sets), "silent", "absent", "stable")


@case("`decode`, silent from the 4th to the 9th of 12 times, 200 trials: called silent", (0.8, 1.0))
def silent_code(sets: int) -> float:
    return share(["silent" in codes for codes in decoded("silent", 200, 1.2, sets)])


# --- laws of forgetting ----------------------------------------------------------------------------------

LAG = np.arange(60.0)
LAWS = {
    "exponential": np.exp(-LAG / 20),
    "power law": (1 + LAG / 3) ** -0.8,
    "two exponentials": 0.7 * np.exp(-LAG / 4) + 0.3 * np.exp(-LAG / 40),
}


def kept(law: str, streams: int, correlation: float, sets: int) -> float:
    """How often the true law is not rejected, with errors of neighbouring lags that are correlated."""
    right = []
    for seed in range(sets):
        noise = np.random.default_rng(seed).standard_normal((streams, len(LAG)))
        noise[:, 1:] *= math.sqrt(1 - correlation**2)
        values = LAWS[law] + 0.03 * math.sqrt(streams) * lfilter([1], [1, -correlation], noise, axis=1)
        curves = xr.DataArray(values, dims=("trial", "lag"), coords={"lag": LAG})
        found = fw.measure.forgetting_curve(curves if streams > 1 else curves[0])
        right.append(not bool(found.rejected.sel(law=law)))
    return share(right)


@case("`forgetting_curve`, exponential, 8 streams, correlated lags: not rejected", AT_LEAST)
def exponential_streams(sets: int) -> float:
    return kept("exponential", 8, 0.8, sets)


# --- fits of one synapse ---------------------------------------------------------------------------------

SYNAPSES = 500  # each fitted with 200 replicates
TRUE = fw.TsodyksMarkram(U=0.2, tau_rec=0.12, tau_facil=0.4)
START = fw.TsodyksMarkram(U=0.5, tau_rec=0.5, tau_facil=0.05)
FITTED = {"U": 0.2, "tau_rec": 0.12, "tau_facil": 0.4, "gain": 5.0}
TRAIN = tuple(0.05 * k for k in range(10))


@cache
def fits(sweeps: int) -> dict[str, list[float]]:
    """Share of what is covered in each data set, by kind of interval, and verdicts that are right."""
    counted: dict[str, list[float]] = {}
    mean = 5 * TRUE.respond(torch.tensor(TRAIN, dtype=torch.float64)).numpy()
    for seed in range(SYNAPSES):
        table = synthetic_table(TRUE, sweeps=sweeps, gain=5.0, cv=0.4, seed=seed)
        fit = fw.fit(START, table, starts=6, seed=seed)
        kinds = {"bootstrap": fit.intervals, "Laplace": fit.posterior.intervals()}
        held = {
            kind: [found[name].low <= value <= found[name].high for name, value in FITTED.items()]
            for kind, found in kinds.items()
        }
        known = [name not in fit.undetermined for name in FITTED]
        held["determined"] = [not sure or right for sure, right in zip(known, held["bootstrap"])]
        bands = fit.bands(TRAIN, seed=seed)
        new = synthetic_table(TRUE, {"new": TRAIN}, sweeps=10, gain=5.0, cv=0.4, seed=SYNAPSES + seed)
        single = new.pivot(index="sweep", columns="pulse", values="amplitude").to_numpy()
        held["mean"] = [*((bands.mean_low.values <= mean) & (mean <= bands.mean_high.values))]
        held["response"] = [
            *((bands.response_low.values <= single) & (single <= bands.response_high.values)).ravel()
        ]
        for kind, right in held.items():
            counted.setdefault(kind, []).append(share(right))
    return counted


def add_fit(name: str, kind: str, sweeps: int, expected: tuple[float, float] = COVER) -> None:
    @case(f"{name}, {sweeps} sweeps of each train ({SYNAPSES} sets)", expected)
    def covered_fit(sets: int) -> float:
        return share(fits(sweeps)[kind])


for _sweeps in (8, 30):
    add_fit("`fit`, intervals of the bootstrap", "bootstrap", _sweeps)
    add_fit("`fit`, intervals of Laplace’s approximation", "Laplace", _sweeps)
    add_fit("`Fit.undetermined`: not determined, or covered", "determined", _sweeps, AT_LEAST)
    add_fit("`Fit.bands`, mean response", "mean", _sweeps)
    add_fit("`Fit.bands`, single responses", "response", _sweeps)


# --- comparisons of rules --------------------------------------------------------------------------------


def equally_good(units: int, sets: int) -> float:
    random, right = np.random.default_rng(units), []
    for _ in range(5 * sets):  # they are cheap
        density = xr.DataArray(random.normal(size=(2, units)), {"rule": ["one", "other"]}, ("rule", "unit"))
        right.append(not differences(density).told_apart.any())
    return share(right)


@case(
    "`compare_rules`, `compare_populations`: two rules that are equally good for 8 cells, not told apart",
    AT_LEAST,
)
def eight_cells(sets: int) -> float:
    return equally_good(8, sets)


@case("the same for 50 cells", AT_LEAST)
def fifty_cells(sets: int) -> float:
    return equally_good(50, sets)


@case("`shares`, share of the first of three rules in 40 units")
def share_of_rules(sets: int) -> float:
    """Shares come from the prior of the measure, and every unit is one number around its rule's mean."""
    random, inside, middle = np.random.default_rng(3), [], np.array([[-1.0], [0.0], [1.0]])
    for seed in range(sets):
        true = random.dirichlet(np.ones(3))
        values = middle[random.choice(3, 40, p=true), 0] + random.normal(size=40)
        density = xr.DataArray(-((values - middle) ** 2) / 2, {"rule": ["a", "b", "c"]}, ("rule", "unit"))
        found = fw.fitting.shares(density, draws=500, seed=seed).sel(rule="a")
        inside.append(bool(found.share_low <= true[0] <= found.share_high))
    return share(inside)


# --- populations of cells --------------------------------------------------------------------------------

CLASSES, CELLS, SWEEPS = 200, 8, 6
PARAMETERS = ("U", "tau_rec", "tau_facil")


@cache
def places() -> dict[str, np.ndarray]:
    """Share of draws below the true mean and spread of every parameter of classes of simulated cells, `[class]`."""
    random = torch.Generator().manual_seed(777)
    means, spreads, tables = [], [], []
    for k in range(CLASSES):
        means.append(MEAN.double() + 0.5 * torch.randn(3, generator=random, dtype=torch.float64))
        spreads.append(0.3 + 0.3 * torch.rand(3, generator=random, dtype=torch.float64))
        cells, _ = population(CELLS, SWEEPS, seed=k, group=f"g{k}", mean=means[k], spread=spreads[k])
        tables.append(cells)
    start = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1)
    with warnings.catch_warnings():  # that some chains disagree is part of the result
        warnings.simplefilter("ignore")
        fitted = fw.fit_population(
            start, pd.concat(tables, ignore_index=True), warmup=700, moves=1500, exact=0, progress=False
        )
    order = [fitted.groups.index(f"g{k}") for k in range(CLASSES)]
    both = {"mean": (fitted.mean, means), "spread": (fitted.spread, spreads)}
    return {
        f"{kind} of {name}": (draws[:, order, k] < torch.stack(true)[:, k]).double().mean(0).numpy()
        for kind, (draws, true) in both.items()
        for k, name in enumerate(PARAMETERS)
    }


def add_class(name: str, expected: tuple[float, float]) -> None:
    @case(f"`fit_population`, {name} in classes of {CELLS} cells ({CLASSES} classes)", expected)
    def covered_class(sets: int) -> float:
        place = places()[name]
        return share((place > 0.025) & (place < 0.975))


for _name in PARAMETERS:
    add_class(f"mean of {_name}", COVER)
for _name in PARAMETERS:
    add_class(f"spread of {_name}", AT_LEAST)


# --- maps ------------------------------------------------------------------------------------------------


HENON = 0.41922  # Sprott 2003, Chaos and Time-Series Analysis


def ring(x: torch.Tensor) -> torch.Tensor:
    """A step of a limit cycle: the radius goes to 1, the angle moves on."""
    radius = x.norm(dim=-1, keepdim=True)
    turned = torch.stack([0.8 * x[:, 0] - 0.6 * x[:, 1], 0.6 * x[:, 0] + 0.8 * x[:, 1]], -1)
    return turned / radius * (1 + 0.5 * (radius - 1))


@case("`lyapunov_exponents`, limit cycle: dimension 1", AT_LEAST)
def limit_cycle(sets: int) -> float:
    start = torch.randn(sets, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return share(fw.measure.lyapunov_exponents(ring, start, 200, transient=50).dimension == 1)


@case("`lyapunov_exponents`, two standard errors around the largest exponent of Hénon’s map, 1000 steps")
def henon(sets: int) -> float:
    start = 0.1 * torch.randn(sets, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def step(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], -1)

    found = fw.measure.lyapunov_exponents(step, start, 1000, transient=100, modes=1)
    return share((abs(found.exponent - HENON) <= 2 * found.error).values)


@case("`fixed_points`, points of a ring: marginal", AT_LEAST)
def marginal(sets: int) -> float:
    start = torch.randn(sets, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def attract(x: torch.Tensor) -> torch.Tensor:
        radius = x.norm(dim=-1, keepdim=True)
        return x / radius * (1 + 0.5 * (radius - 1))

    found = fw.measure.fixed_points(attract, start)
    return share(found.marginal & ~found.stable)


# --- means and indices by sampling -----------------------------------------------------------------------


SAMPLED = 100  # means, each of 400 trains


@case(f"`steady_state`, two standard errors of a sampled mean release ({SAMPLED} sets)")
def sampled_release(sets: int) -> float:
    """Of a rule whose exact mean is known, sampled as those that have none."""
    sets = SAMPLED
    near = TRUE.steady_state(10.0, "mean_field").state
    rates = torch.full((sets,), 10.0, dtype=torch.float64), torch.zeros(sets, dtype=torch.float64)
    start = {name: value.expand(sets) for name, value in near.items()}
    mean, error, _ = sample_poisson(as_tensors(TRUE), *rates, start)
    return share(((mean - TRUE.steady_state(10.0, "poisson").release).abs() <= 2 * error).numpy())


@case("`design`, Sobol’s first and total shares, 256 base points", AT_LEAST)
def shares_of_variance(sets: int) -> float:
    """2a + b + ab of uniform a and b between −½ and ½: variances 4/12, 1/12 and 1/144."""
    from SALib.sample import sobol

    ranges, right = tuple(Range(name, (-0.5, 0.5), "lin") for name in "ab"), []
    first, total = np.array([48.0, 12.0]) / 61, np.array([49.0, 13.0]) / 61
    for seed in range(sets):
        empty = Design(ranges, "sobol", np.empty((0, 2)), seed)
        points = replace(empty, unit=sobol.sample(empty.problem, 256, calc_second_order=True, seed=seed))
        ((names, columns),) = points.over.items()
        a, b = map(np.array, columns)
        found = points.indices(xr.DataArray(2 * a + b + a * b, dims=names[0]))
        right += [*(abs(found["first"] - first) <= found.first_error).values]
        right += [*(abs(found.total - total) <= found.total_error).values]
    return share(right)


# --- topology --------------------------------------------------------------------------------------------

CLOUDS = 200  # sets of states; each is compared with 39 shuffled ones


def embedded(flat: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """States of 20 units with these coordinates `[state, dimension]` in random directions, and noise."""
    directions = np.linalg.qr(random.normal(size=(20, 20)))[0][: flat.shape[1]]
    return flat @ directions + 0.2 * random.normal(size=(len(flat), 20))


def on_circle(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def shapes(draw: Callable[[np.random.Generator], np.ndarray]) -> list[xr.Dataset]:
    """What `loops` finds in each cloud of states."""
    found = []
    for seed in range(CLOUDS):
        random = np.random.default_rng(seed)
        found.append(fw.measure.loops(embedded(draw(random), random), seed=seed))
    return found


@case(f"`loops`, noisy ring, 300 states: called a ring ({CLOUDS} sets)", (0.8, 1.0))
def noisy_ring(sets: int) -> float:
    found = shapes(lambda random: on_circle(random.uniform(0, 2 * np.pi, 300)))
    return share([bool(one.ring) for one in found])


@case(f"`loops`, normal cloud in three directions, 300 states: no loop ({CLOUDS} sets)", AT_LEAST)
def cloud(sets: int) -> float:
    found = shapes(lambda random: random.normal(size=(300, 3)))
    return share([not one.significant.any() for one in found])


@case(f"`loops`, noisy half of a circle, 300 states: no loop ({CLOUDS} sets)", AT_LEAST)
def half_circle(sets: int) -> float:
    found = shapes(lambda random: on_circle(random.uniform(0, np.pi, 300)))
    return share([not one.significant.any() for one in found])


def band(expected: tuple[float, float], sets: int) -> tuple[float, float]:
    """What a rate may be in so many data sets: 0.93 to 0.97 for 0.95, or three standard errors if that is more."""
    low, high = (
        edge + sign * max(0.02, 3 * math.sqrt(edge * (1 - edge) / sets))
        for edge, sign in zip(expected, (-1, 1))
    )
    return low, high


if __name__ == "__main__":
    wanted = " ".join(sys.argv[1:])
    for name, (function, (least, most)) in CASES.items():
        if wanted in name:
            nominal = f"{100 * most:.0f}" if most < 1 else f"≥ {100 * least:.0f}"
            print(f"| {name} | {nominal} | {100 * function(SETS):.1f} |", flush=True)
