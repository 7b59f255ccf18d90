"""Ten chaotic flows and their exponents in the data file of dysts.

    python tests/measure/chaotic_flows.py

writes docs/results/lyapunov_exponents.csv. Equations and parameters are those of dysts 0.96 (Gilpin 2021,
arXiv 2110.05266), whose data file `chaotic_attractors.json` has the values: a largest exponent from pairs of
trajectories (`maximum_lyapunov_estimated`) and a spectrum (`lyapunov_spectrum_estimated`). It has no errors. The
criteria, set before the run: the second exponent is 0 within three standard errors and 0.5 % of the spread of the
spectrum; the sum is the divergence, where it is constant, to 0.1 %; the largest exponent lies between both values of
dysts, widened by three standard errors and by the second exponent of dysts, which should be 0 too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

import fwsim as fw

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SEED = 0
STEPS_PER_PERIOD = 60  # unless a flow has its own number
JOINED = 6  # steps of Runge–Kutta between two orthogonalisations


@dataclass(frozen=True)
class Flow:
    """A vector field, a state on its attractor, its period in s, and the exponents of dysts."""

    field: Callable[[Tensor], Tensor]
    start: tuple[float, ...]
    period: float
    pairs: float
    spectrum: tuple[float, ...]
    divergence: float | None = None  # where it is constant
    steps: int = STEPS_PER_PERIOD


def columns(*values: Tensor) -> Tensor:
    return torch.stack(values, -1)


def lorenz(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(10 * (y - x), x * (28 - z) - y, x * y - 2.667 * z)


def rossler(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7))


def chen(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(35 * (y - x), -7 * x - x * z + 28 * y, x * y - 3 * z)


def halvorsen(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(
        -1.4 * x - 4 * y - 4 * z - y**2, -1.4 * y - 4 * z - 4 * x - z**2, -1.4 * z - 4 * x - 4 * y - x**2
    )


def sprott_b(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(y * z, x - y, 1 - x * y)


def sprott_e(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(y * z, x**2 - y, 1 - 4 * x)


def sprott_jerk(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(y, z, -x + y**2 - 2.017 * z)


def rucklidge(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(-2 * x + 6.7 * y - y * z, x, -z + y**2)


def genesio_tesi(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    return columns(y, z, -x - 1.1 * y - 0.44 * z + x**2)


COUPLING = -torch.tensor(
    [
        [0, 1, 0, 0, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [0, 1, 1, 1, 0, 0],
    ],
    dtype=torch.float64,
)


def hopfield(v: Tensor) -> Tensor:
    return -v / 2.5 + (1 + torch.tanh(10 * v @ COUPLING.T)) / 2 - 0.5


FLOWS = {
    "Lorenz": Flow(
        lorenz, (-9.787, -15.039, 20.534), 1.5008, 0.8917, (1.0911, 0.0299, -14.9156), -10 - 1 - 2.667
    ),
    "Rossler": Flow(rossler, (6.513, 0.477, 0.342), 5.9086, 0.1506, (0.0763, 0.0075, -5.7410)),
    "Chen": Flow(chen, (3.269, 5.299, 19.435), 0.58689, 2.0060, (2.0471, -0.0503, -11.8418), -35 + 28 - 3),
    "Halvorsen": Flow(
        halvorsen, (-8.681, -2.474, 0.071), 1.4889, 0.6964, (0.5862, -0.0320, -4.6876), -3 * 1.4
    ),
    "SprottB": Flow(sprott_b, (1.688, 1.485, -0.537), 11.0501, 0.2067, (0.2199, 0.0052, -1.2146), -1.0),
    "SprottE": Flow(sprott_e, (0.617, 0.666, -1.658), 7.6275, 0.0902, (0.0983, -0.0003, -1.0954), -1.0),
    "SprottJerk": Flow(
        sprott_jerk, (-0.541, 0.594, 0.451), 11.921, 0.0879, (0.0674, -0.0008, -2.1347), -2.017, 150
    ),
    "Rucklidge": Flow(
        rucklidge, (1.926, 3.192, 5.783), 6.0721, 0.1936, (0.1829, -0.0039, -3.2151), -2.0 - 1.0
    ),
    "GenesioTesi": Flow(
        genesio_tesi, (-0.054, -0.262, 0.335), 5.9431, 0.1051, (0.0997, 0.0004, -0.5282), -0.44
    ),
    "Hopfield": Flow(
        hopfield,
        (-0.671, -0.242, -0.056, 0.347, 0.453, 0.784),
        10.865,
        0.5684,
        (0.0773, -0.0002, -0.2908, -0.3691, -0.4060, -1.4425),
    ),
}


def runge_kutta(field: Callable[[Tensor], Tensor], dt: float) -> Callable[[Tensor], Tensor]:
    def step(x: Tensor) -> Tensor:
        for _ in range(JOINED):
            k1 = field(x)
            k2 = field(x + dt / 2 * k1)
            k3 = field(x + dt / 2 * k2)
            k4 = field(x + dt * k3)
            x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x

    return step


def starts(flow: Flow, trials: int) -> Tensor:
    """States on the attractor at random times, so that trials have all phases of an oscillation, `[trial, unit]`."""
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(trials, len(flow.start), dtype=torch.float64, generator=generator)
    x = torch.tensor(flow.start, dtype=torch.float64) + 1e-3 * noise
    calls = flow.steps // JOINED
    when = torch.randint(20 * calls, 40 * calls, (trials,), generator=generator)
    step, kept = runge_kutta(flow.field, flow.period / flow.steps), x.clone()
    for call in range(40 * calls):
        x = step(x)
        kept[when == call] = x[when == call]
    return kept


def exponents(name: str, trials: int, periods: int, transient: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Mean exponents of `trials` trajectories, and their standard errors, `[mode]`."""
    flow = FLOWS[name]
    dt, calls = flow.period / flow.steps, flow.steps // JOINED
    found = fw.measure.lyapunov_exponents(
        runge_kutta(flow.field, dt),
        starts(flow, trials),
        periods * calls,
        dt * JOINED,
        transient=transient * calls,
    )
    values = found["exponent"].values
    return values.mean(0), values.std(0, ddof=1) / math.sqrt(trials)


def row(name: str, trials: int = 400, periods: int = 15) -> dict[str, str]:
    """What the table says about a flow; intervals are Student's t over trajectories."""
    flow = FLOWS[name]
    mean, error = exponents(name, trials, periods)
    wide = stats.t.ppf(0.975, trials - 1) * error
    found = {
        name: f"{mean[k]:.4f} ± {wide[k]:.4f}"
        for name, k in {"fwsim: largest": 0, "second": 1, "last": -1}.items()
    }
    theirs = ", ".join(f"{flow.spectrum[k]:.4f}" for k in (0, 1, -1))
    return {"system": name, **found, "dysts: pairs": f"{flow.pairs:.4f}", "dysts: spectrum": theirs}


if __name__ == "__main__":
    pd.DataFrame([row(name) for name in FLOWS]).to_csv(RESULTS / "lyapunov_exponents.csv", index=False)
