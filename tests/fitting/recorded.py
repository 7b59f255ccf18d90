"""Tables of cells whose synapses are known: sites that deplete one by one, quanta that vary, and recording noise."""

import numpy as np
import pandas as pd
import torch

import fwsim as fw
from fwsim.fitting.quanta import simulate
from fwsim.fitting.synphys import COLUMNS
from fwsim.rules.derive.sites import SiteChances

TRAINS = {"20": [0.05 * k for k in range(8)], "100": [*(0.01 * k for k in range(8)), 0.57, 0.58]}
MEAN, SPREAD = torch.tensor([-0.4, -1.6, -1.6]), torch.tensor([0.5, 0.4, 0.4])


def one_cell(rule, sites, gain, noise, sweeps, generator, trains=TRAINS, cv=0.3):
    """Responses of one synapse, a row each."""
    rows = []
    for name, times in trains.items():
        chances = rule.site_chances(torch.tensor(times, dtype=torch.float64))
        chances = SiteChances(*(part.expand(sweeps, -1) for part in chances))
        one = torch.ones(sweeps, dtype=torch.float64)
        y = simulate(chances, one * sites, one * gain / sites, one * noise, cv, generator)
        rows += [
            {"protocol": name, "sweep": s, "pulse": k, "time_s": t, "amplitude": float(y[s, k])}
            for s in range(sweeps)
            for k, t in enumerate(times)
        ]
    return pd.DataFrame(rows)


def population(cells, sweeps, *, seed=0, group="a", sites=(10, 21), mean=MEAN, spread=SPREAD, noise=0.2):
    """Cells of one group, and their true U, tau_rec, tau_facil as coordinates `[cell, 3]`."""
    generator = torch.Generator().manual_seed(seed)
    tables, truth = [], []
    for cell in range(cells):
        z = mean.double() + spread.double() * torch.randn(3, generator=generator, dtype=torch.float64)
        rule = fw.TsodyksMarkram(float(torch.sigmoid(z[0])), float(z[1].exp()), float(z[2].exp()))
        count = int(torch.randint(*sites, (), generator=generator))
        gain = float((1 + 0.3 * torch.randn((), generator=generator)).exp())
        table = one_cell(rule, count, gain, noise, sweeps, generator)
        tables.append(table.assign(cell=f"{group}{cell}", **{"class": group}))
        truth.append(z)
    return pd.concat(tables, ignore_index=True), torch.stack(truth)


def sample_of_pairs(folder, seed=0):
    """A small file in the layout of the synaptic physiology, with failures, a missing pulse and both signs."""
    random = np.random.default_rng(seed)
    rows = []
    for pair, clamp, sign in ((7, "ic", 1.0), (7, "vc", -10.0), (8, "ic", 0.5)):
        for k, (rate, rest) in enumerate([(20.0, 0.25)] * 3 + [(50.0, 1.002)]):
            found = sign * random.gamma(4.0, 0.25, 12)
            found[2] = 1e-9 * sign
            if k == 0:
                found[11] = np.nan
            names = ("mouse", 1.3, "sst" if pair == 8 else "sim1", "sim1", pair, clamp, rate, rest, k)
            rows.append([*names, *found])
    columns = list(COLUMNS)
    table = pd.DataFrame(rows, columns=[*columns, *(f"pulse_{k}" for k in range(1, 13))])
    table.to_csv(folder / "pairs.csv.gz", index=False)
    return table
