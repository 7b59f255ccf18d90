"""Which criterion, blind to a protocol, chooses the rule that predicts it best? On recordings of known synapses.

    python docs/results/synapse_choice.py [RECORDINGS]

draws that many recordings (3) of each of four synapses, whose cells are the same in all protocols or differ in every
parameter and in the gain by 8 % from protocol to protocol, lets `fwsim.compare_rules` choose with two intraclass
correlations, and prints the error of the protocol left out, as a share of the mean squared response: geometric means
over recordings. About eight minutes of CPU. The design of the blind choice in docs/results/synapse_fit.md rests on it.
"""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pandas as pd

import fwsim as fw
from fwsim.engine.threads import use_threads
from fwsim.fitting import TRAINS, synthetic_table
from fwsim.rules import PresynapticRule
from fwsim.rules.parameters import replaced
from fwsim.study import files

ENHANCEMENT = {
    "facilitation": (0.5, 0.25), "tau_facilitation": (0.05, 0.3), "augmentation": (0.03,), "tau_augmentation": (7.0,),
    "potentiation": (), "tau_potentiation": (), "depression": (0.97,), "tau_depression": (0.1,),
}  # fmt: skip
SYNAPSES = {  # and the gain that makes first responses about 1
    "Tsodyks–Markram": (fw.TsodyksMarkram(U=0.05, tau_rec=0.05, tau_facil=0.5), 20.0),
    "enhancement": (fw.Enhancement(**ENHANCEMENT), 1.0),
    "logistic": (fw.LinearNonlinear(baseline=-2.3, a=(0.5, 0.3), tau_trace=(0.05, 0.3)), 11.0),
    "cloglog": (
        fw.LinearNonlinear(baseline=-2.0, a=(0.45, 0.3), tau_trace=(0.05, 0.5), readout="cloglog"), 7.8,
    ),
}  # fmt: skip
LEFT_OUT = {
    "Tsodyks–Markram mongillo2008", "Tsodyks–Markram mixed", "Varela 0 D", "Varela 2 D", "enhancement 1 F 1 A 0 D",
}  # fmt: skip
CELLS = (0.0, 0.08)
CORRELATIONS = (0.0, 0.02)


def main(recordings: int = 3) -> None:
    """Print the table."""
    use_threads(1)
    made = files.load(files.find("synapse_fit"), ("candidates",))
    rules = {name: rule for name, rule in made.candidates().items() if name not in LEFT_OUT}
    rows = []
    for cells, correlation, synapse, seed in itertools.product(
        CELLS, CORRELATIONS, SYNAPSES, range(recordings)
    ):
        table = recording(*SYNAPSES[synapse], seed, cells)
        compared = fw.compare_rules(rules, table, starts=8, intraclass_correlation=correlation)
        by = {str(c): compared.chosen_error.sel(criterion=c) for c in compared.criterion.values}
        by |= {f"always {r}": compared.held_out_error.sel(rule=r) for r in rules}
        by["best in hindsight"] = compared.held_out_error.min("rule")
        size = float((compared.measured**2).mean())
        rows += [(cells, correlation, how, math.log(float(error.mean()) / size)) for how, error in by.items()]
    frame = pd.DataFrame(rows, columns=["cells", "correlation", "chosen by", "error"])
    print(np.exp(frame.pivot_table("error", "chosen by", ["cells", "correlation"])).round(4).to_string())


def recording(rule: PresynapticRule, gain: float, seed: int, cells: float) -> pd.DataFrame:
    """Sweeps of all protocols; each protocol has its own cells."""
    random = np.random.default_rng(seed)
    parts = []
    for k, (name, times) in enumerate(TRAINS.items()):
        other = lambda _, value, __: float(value) * math.exp(cells * random.standard_normal())  # noqa: E731
        mine = replaced(rule, other)
        size = gain * math.exp(cells * random.standard_normal())
        parts.append(synthetic_table(mine, {name: times}, sweeps=250, gain=size, cv=0.65, seed=10 * seed + k))
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
