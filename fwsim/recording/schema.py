"""The schema of recordings: variables, dimensions, units; the same for rate and spiking runs.

Policy: a new variable or attribute does not change `SCHEMA`. A change in the meaning of
stored data raises it by one. A reader opens older recordings with the present names (`older.py`)
and refuses a number that it does not know.

1 → 2: the dimension of the inner loop is `iteration`; it was `inner`, like the variable.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 2

STREAMED = ("time", "spike")
"""The dimensions along which a recording grows. A variable has exactly one of them."""


@dataclass(frozen=True)
class Variable:
    """The meaning of a recorded variable.

    Parameters
    ----------
    dimensions
        Names in storage order; a recorded variable has `"time"` or `"spike"` among them.
    units
        SI unit, `"1"` for a pure number.
    long_name
        Label of an axis, without the unit.
    dtype
        Storage type. `None`: as in the network.
    """

    dimensions: tuple[str, ...]
    units: str
    long_name: str
    dtype: str | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of an array of this variable."""
        return {"units": self.units, "long_name": self.long_name}


BY_UNIT = ("trial", "time", "unit")
BY_PROJECTION = ("trial", "time", "projection", "unit")
BY_SYNAPSE = ("trial", "time", "projection", "post", "pre")
"""Dimensions of neurons, of plastic presynaptic terminals, and of single synapses."""

VARIABLES = {
    "hidden": Variable(BY_UNIT, "1", "hidden state"),
    "rate": Variable(BY_UNIT, "Hz", "firing rate"),
    "inner": Variable(("trial", "time", "iteration", "unit"), "1", "state of the inner loop"),
    "attention": Variable(("trial", "time", "iteration", "past"), "1", "attention to past states"),
    "memory": Variable(("trial", "time", "timescale", "post", "pre"), "1", "fast weight"),
    "u": Variable(BY_PROJECTION, "1", "utilisation of synaptic resources"),
    "x": Variable(BY_PROJECTION, "1", "available synaptic resources"),
    "release": Variable(BY_PROJECTION, "1", "release per spike"),
    "spike_time": Variable(("spike",), "s", "time of the spike", "float64"),
    "spike_unit": Variable(("spike",), "1", "unit that fired", "int32"),
    "spike_trial": Variable(("spike",), "1", "trial of the spike", "int32"),
    "step": Variable((), "1", "steps done since the network was at rest", "int64"),
}

OPTIONAL = ("timescale", "projection")
"""Dimensions that a recorded variable lacks if the run does not have them."""

BY_NEURON = ("unit", "post", "pre")
"""Dimensions with a coordinate of population names, if there are populations."""

COORDINATES = {
    "time": Variable(("time",), "s", "time", "float64"),
    "trial": Variable(("trial",), "1", "trial", "int64"),
    "unit": Variable(("unit",), "1", "unit", "int64"),
    "past": Variable(("past",), "1", "step of the attended state", "int64"),
    "timescale": Variable(("timescale",), "s", "time constant of decay", "float64"),
    "post": Variable(("post",), "1", "postsynaptic unit", "int64"),
    "pre": Variable(("pre",), "1", "presynaptic unit", "int64"),
    "projection": Variable(("projection",), "1", "projection", "int64"),
    "iteration": Variable(("iteration",), "1", "iteration of the inner loop", "int64"),
}


def population_of(dimension: str) -> str:
    """Name of the coordinate with the populations along a dimension: `population`, `pre_population`, …"""
    return dimension.removesuffix("unit") + ("population" if dimension.endswith("unit") else "_population")
