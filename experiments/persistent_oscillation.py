"""Does Hebbian plasticity keep an oscillation after its input has ended, and does mean field predict it?

Random networks receive an oscillating input with random phases. Plasticity goes on all the time,
τ_A dA/dt = −A + (k/N) φ φᵀ (Wakhloo, Clark & Abbott 2025, bioRxiv 2025.08.20.671131). The input ends, and activity is
watched twice: with A held as it is, and with plasticity that goes on. Recorded are the mean square of the rates, their
projection on the oscillation in the last cycle of the input, and the eigenvalue of J + A of largest size at its end.

Expect an eigenvalue outside the circle of those of J once the input entrains the network, and an oscillation that goes
on, more slowly than the input. The membrane time constant is 1 s, so that all times are in units of it.

    fwsim run persistent_oscillation --units 500 --drive 1 --cycles 20
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from scipy.sparse.linalg import eigs

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds

QUICK = {"units": 300, "networks": 2, "drive": (1.0,), "cycles": 4, "after": 20.0}
CPU_ONLY = True


class Config(Base):
    """A random network, its plasticity, and an oscillating input."""

    units: int = Field(default=2000, ge=20)
    "Units N."
    networks: int = Field(default=3, ge=2)
    "Independent networks, each with its own weights, phases and start."
    coupling: float = Field(default=1.3, gt=0, le=5)
    "Coupling g: J has variance g²/N."
    plasticity: float = Field(default=3.0, gt=0)
    "Plasticity k."
    tau_memory: Seconds = Field(default=15.0, gt=0)
    "Time constant of A."
    drive: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(0.5, 1.0, 1.5), min_length=1)
    "Amplitudes I of the input."
    period: Seconds = Field(default=10.0, gt=0)
    "Period of the input."
    cycles: int = Field(default=6, ge=2)
    "Cycles of the input."
    after: Seconds = Field(default=30.0, gt=0)
    "Time for which activity is watched after the input."
    points: int = Field(default=40, ge=20)
    "Time steps of a cycle."


def run(config: Config, context: Context) -> xr.Dataset:
    """Give every network the input with every amplitude, and watch what is left of it."""
    steps = round(config.after * config.points / config.period)
    if steps < config.points:
        raise fw.ConfigError(
            f"after={config.after:g} s is shorter than a period; give at least {config.period:g}"
        )
    found = []
    with context.progress("runs", config.networks * len(config.drive)) as advance:
        for index in range(config.networks):
            generator = context.generator(f"network {index}")
            weights = torch.randn(config.units, config.units, generator=generator)
            weights *= config.coupling / config.units**0.5
            start = torch.randn(1, config.units, generator=generator)
            phase = 2 * math.pi * torch.rand(config.units, generator=generator)
            rows = []
            for drive in config.drive:
                rows.append(watched(config, weights, start, phase, drive, steps))
                advance()
            found.append(xr.concat(rows, "drive"))
    recording = xr.concat(found, "network").assign_coords(
        drive=list(config.drive), time=np.arange(1, steps + 1) * config.period / config.points
    )
    recording["time"].attrs = {"units": "s", "long_name": "time after the input"}
    return recording


def watched(
    config: Config, weights: torch.Tensor, start: torch.Tensor, phase: torch.Tensor, drive: float, after: int
) -> xr.Dataset:
    """What the input does to a network, and what is left of it."""
    dt, count = config.period / config.points, config.points * config.cycles
    memory = fw.Hebbian(
        tau=config.tau_memory, eta_rate=config.plasticity / (config.units * config.tau_memory)
    )
    net = fw.RateNetwork(fw.Projection(weights), tau=1.0, gain=fw.tanh, memory=memory, dt=dt)
    time = (torch.arange(count) + 0.5) * dt  # an input is constant for a step
    wave = drive * torch.cos(2 * math.pi / config.period * time[:, None] + phase)[None]
    empty = torch.zeros(1, 1, config.units, config.units)
    driven = fw.simulate(net, wave, state=fw.State(start, memory=empty), record=["rate"])
    state = fw.load_state(driven)
    last = driven["rate"].values[0, -config.points :]
    turn = np.exp(-2j * np.pi * np.arange(config.points) / config.points)
    plane = 2 / config.points * turn @ last  # first harmonic of each unit, [unit]
    outlier = largest(weights + state.memory[0, 0])
    held_net = fw.RateNetwork(fw.Projection(weights + state.memory[0, 0]), tau=1.0, gain=fw.tanh, dt=dt)
    held = fw.simulate(held_net, None, steps=after, state=fw.State(state.hidden), record=["rate"])
    plastic = fw.simulate(net, None, steps=after, state=state, record=["rate"])
    values = {
        "driven_square": ((), np.mean(last**2), "mean square rate in the last cycle of the input"),
        "outlier_real": ((), outlier.real, "real part of the outlying eigenvalue"),
        "outlier_imaginary": ((), outlier.imag, "imaginary part of the outlying eigenvalue"),
    }
    for name, found in {"held": held, "plastic": plastic}.items():
        rates = found["rate"].values[0]
        share = 2 * rates @ plane.conj() / np.sum(np.abs(plane) ** 2)
        values |= {
            f"{name}_square": ("time", np.mean(rates**2, axis=1), "mean square rate after the input"),
            f"{name}_real": ("time", share.real, "share of the oscillation, in its phase"),
            f"{name}_imaginary": ("time", share.imag, "share of it, a quarter of a cycle apart"),
        }
    return xr.Dataset(
        {name: labelled(xr.DataArray(value, dims=dims), said) for name, (dims, value, said) in values.items()}
    )


def largest(matrix: torch.Tensor) -> complex:
    """Eigenvalue of largest size among those with a positive imaginary part, or the largest if it is real."""
    found = eigs(
        matrix.double().numpy(), k=4, which="LM", tol=1e-4, v0=np.ones(len(matrix)), return_eigenvectors=False
    )
    first = found[np.argmax(np.abs(found))]
    return complex(first.real, abs(first.imag))
