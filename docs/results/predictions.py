"""Predictions of two protocols of the mossy fibres that nobody here has seen, by every rule; written before the data.

    python docs/results/predictions.py FOLDER

FOLDER holds the CSV files of chamberland2018. Each rule of `experiments/synapse_fit.py` is fitted to all of them, with
the sweeps of a protocol counted by their design effect. `predictions.json` has, for each pulse, the mean response, its
interval (sweeps resampled), and the interval of a single response. Responses are relative to the first of their cell.
"""

from __future__ import annotations

import json
import runpy
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

import fwsim as fw

INTERVALS = {  # s between pulses
    "10Hz_then_100Hz": (0.1, 0.1, 0.1, 0.1, 0.01),
    "irregular": (0.006, 0.0909, 0.0125, 0.0256, 0.009),
}
OPTIONS: dict[str, Any] = {"starts": 12, "replicates": 100, "intraclass_correlation": 0.02, "seed": 0}
LEVEL = 0.95
FIGURES = 4  # significant ones


def predicted(rule: Any, data: Any, fixed: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Bands of both protocols by one rule."""
    fit = fw.fit(rule, data, fixed=fixed, level=LEVEL, **OPTIONS)
    found = {}
    for name, intervals in INTERVALS.items():
        bands = fit.bands(list(accumulate((0.0, *intervals))))
        found[name] = {key: [float(f"{v:.{FIGURES}g}") for v in bands[key].values] for key in bands.data_vars}
    return found


def main(folder: str) -> None:
    """Fit every rule, and write what is known after each."""
    experiment = runpy.run_path(str(Path(__file__).parents[2] / "experiments" / "synapse_fit.py"))
    data = fw.fitting.gather(fw.fitting.read_table(folder))
    rules = {name: (rule, ()) for name, rule in experiment["candidates"]().items()}
    rules |= {name: (rule, ("tau_trace",)) for name, rule in experiment["published"]().items()}
    made: dict[str, Any] = {
        "command": "python docs/results/predictions.py FOLDER",
        "fitted": list(data.protocols),
        "options": OPTIONS,
        "level": LEVEL,
        "intervals_s": {name: list(values) for name, values in INTERVALS.items()},
        "rules": {},
    }
    for name, (rule, fixed) in rules.items():
        made["rules"][name] = predicted(rule, data, fixed)
        text = json.dumps(made, ensure_ascii=False, indent=1)
        Path(__file__).with_suffix(".json").write_text(text + "\n")
        print(name, made["rules"][name]["irregular"]["mean"], flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
