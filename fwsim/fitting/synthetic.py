"""Responses of a known synapse, to test what a fit can determine before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError, instance, number, whole
from fwsim.fitting.checks import as_times
from fwsim.fitting.noise import named
from fwsim.names import known_arguments
from fwsim.rules.rule import PresynapticRule
from fwsim.rules.tsodyks_markram import TsodyksMarkram
from fwsim.seeds import check_seed, torch_generator

if TYPE_CHECKING:
    import pandas as pd

TRAINS: dict[str, list[float]] = {
    "20Hz": [0.05 * k for k in range(10)],
    "100Hz": [0.01 * k for k in range(10)],
    "20Hz_then_100Hz": [*(0.05 * k for k in range(5)), 0.21],
    "100Hz_then_20Hz": [*(0.01 * k for k in range(5)), 0.09],
    "200Hz": [0.005 * k for k in range(6)],
}
"""Stimulation protocols of Chamberland et al. 2018, PNAS 115:E3548: spike times in s."""


@known_arguments
def synthetic_table(
    rule: PresynapticRule,
    trains: Mapping[str, Sequence[float]] = TRAINS,
    *,
    sweeps: int = 50,
    gain: float = 1.0,
    cv: float = 0.5,
    noise: str = "gamma",
    missing: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw a table of responses in the form that `fwsim.fit` takes.

    Parameters
    ----------
    rule
        The synapse.
    trains
        Protocol → spike times in s.
    sweeps
        Number of sweeps of each protocol.
    gain
        Mean response to a release of 1.
    cv
        Coefficient of variation of single responses.
    noise
        `"gamma"` or `"normal"`.
    missing
        Fraction of missing responses.
    seed
        Seed of the responses.
    """
    import pandas as pd

    instance("rule", rule, PresynapticRule, "a presynaptic rule, such as a TsodyksMarkram")
    if not isinstance(trains, Mapping) or not trains:
        raise ConfigError(f"trains are {trains!r}; give a dict of protocols and their spike times in s")
    whole("sweeps", sweeps, least=1)
    check_seed(seed)
    number("cv", cv, above=0)
    number("gain", gain, above=0)
    number("missing", missing, least=0)
    if missing >= 1:
        raise ConfigError(f"missing={missing!r} is not allowed; give a fraction from 0 to below 1")
    kind = named(noise)
    generator = torch_generator(seed)
    one = torch.ones((), dtype=torch.float64)
    rows: list[dict[str, Any]] = []
    for protocol, given in trains.items():
        train = as_times(given)
        if train.ndim != 1 or not bool((train.isfinite() & (train >= 0)).all()):
            raise ConfigError(f"the train of {protocol!r} is {given!r}; give times in s from 0 on, [spike]")
        times = train.tolist()
        mean = gain * rule.respond(train)
        mean = mean.expand(sweeps, -1)
        amplitude = kind.sample(mean, kind.spread(mean, one * cv**2, one * 2.0, 1.0), generator)
        lost = torch.rand(mean.shape, generator=generator, dtype=torch.float64) < missing
        rows += [
            {"protocol": protocol, "sweep": s, "pulse": k, "time_s": t, "amplitude": float(amplitude[s, k])}
            for s in range(sweeps)
            for k, t in enumerate(times)
            if not lost[s, k]
        ]
    return pd.DataFrame(rows)


PAIRS = {"mouse a→b": (0.6, 0.4, 0.01), "mouse c→d": (0.1, 0.1, 0.5)}
"""Classes of `synthetic_pairs`: U, tau_rec and tau_facil of their typical pair."""


@known_arguments
def synthetic_pairs(seed: int = 0) -> pd.DataFrame:
    """Draw pairs of two classes as `read_pairs` gives recorded ones: four of each class, at 10, 20 and 50 Hz."""
    import numpy as np
    import pandas as pd

    check_seed(seed)
    random = np.random.default_rng(seed)
    trains = {f"{rate} Hz": [j / rate for j in range(8)] for rate in (10, 20, 50)}
    tables = []
    for name, values in PAIRS.items():
        for k in range(4):
            U, tau_rec, tau_facil = np.array(values) * np.exp(0.2 * random.standard_normal(3))
            rule = TsodyksMarkram(U=U, tau_rec=tau_rec, tau_facil=tau_facil)
            drawn = synthetic_table(rule, trains, sweeps=6, cv=0.4, seed=int(random.integers(2**31)))
            rate = drawn.protocol.str.split().str[0].astype(float)
            labels = {"pair": f"{name} {k}", "class": name, "species": "mouse", "calcium_mM": 1.3}
            tables.append(drawn.assign(frequency_Hz=rate, recovery_s=0.1, **labels))
    return pd.concat(tables, ignore_index=True)
