"""Ranges of parameters without a grid: what samplers draw from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fwsim.errors import ConfigError
from fwsim.study.experiment import Experiment
from fwsim.study.sweeps.axes import only_whole, parse_axes
from fwsim.study.sweeps.take import single

RANGE = re.compile(r"([^:,]+):([^:,]+):\s*(log|lin)\s*\Z")
FORM = "write start:stop:log or start:stop:lin, or values separated by commas"


@dataclass(frozen=True)
class Range:
    """What one parameter may be.

    Parameters
    ----------
    name
        Of the parameter.
    values
        Both ends, in SI; or the values to choose from.
    scale
        `"log"`, `"lin"`, or `"choice"`.
    whole
        Whether only whole numbers are allowed.
    """

    name: str
    values: tuple[Any, ...]
    scale: str
    whole: bool = False

    def at(self, place: np.ndarray) -> list[Any]:
        """Values at places between 0 and 1."""
        if self.scale == "choice":
            return [self.values[min(int(each * len(self.values)), len(self.values) - 1)] for each in place]
        low, high = self.values
        if self.scale == "log":
            found = low * (high / low) ** np.asarray(place)
        else:
            found = low + (high - low) * np.asarray(place)
        return [round(each) if self.whole else float(f"{each:.12g}") for each in found.tolist()]


def parse_ranges(experiment: Experiment, over: Mapping[Any, Any]) -> tuple[Range, ...]:
    """Ranges from `{"tau": "100 ms:10 s:log", "order": "1,2"}`, every value checked and in SI.

    Raises
    ------
    ConfigError
        There is none, a parameter is unknown, or a range is not understood, empty or not allowed.
    """
    if not over:
        raise ConfigError(f"nothing to sample; give the parameters with over: {FORM}")
    return tuple(_range(experiment, name, text) for name, text in over.items())


def _range(experiment: Experiment, name: Any, text: Any) -> Range:
    if not isinstance(name, str) or not isinstance(text, str):
        raise ConfigError(f"{name}={text!r} cannot be sampled; {FORM}, for one parameter at a time")
    match = RANGE.match(text.strip())
    if match is None:
        if ":" in text:
            raise ConfigError(f"{name}={text!r} is no range to sample; {FORM}")
        (axis,) = parse_axes(experiment, {name: text})
        return Range(name, tuple(single(row[0]) for row in axis.rows), "choice")
    (axis,) = parse_axes(experiment, {name: f"{match[1]},{match[2]}"})
    ends = tuple(single(row[0]) for row in axis.rows)
    if not all(isinstance(end, (int, float)) for end in ends) or not ends[0] < ends[1]:
        raise ConfigError(f"{name}={text!r} is no range of numbers, the smaller one first; {FORM}")
    if match[3] == "log" and ends[0] <= 0:
        raise ConfigError(f"{name}={text!r}: a log range needs positive ends; use lin")
    return Range(name, ends, match[3], only_whole(experiment.config.model_fields[name].annotation))
