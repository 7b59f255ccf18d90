"""Memory and attention at one time: as recorded, or for a fast-weight run without them, computed from its states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fwsim.explore.scene import Scene
from fwsim.measure.recorded import recorded
from fwsim.recording.display import configured

RECORDED = ("memory", "weight")
LONGEST = 2000  # largest number of past states that are read
NEGLIGIBLE = 1e-3  # a written state may be left out below this fraction of its initial strength


def has_memory(scene: Scene) -> bool:
    """Whether there is a matrix to show."""
    return any(name in scene.run for name in RECORDED) or Written.of(scene) is not None


def memory_matrix(scene: Scene, time: float) -> np.ndarray | None:
    """Matrix `[post, pre]` at a time in s, the sum of all time scales; `None` if there is none."""
    name = next((name for name in RECORDED if name in scene.run), None)
    if name is None:
        written = Written.of(scene)
        return None if written is None else written.matrix(scene, time)
    values = scene.at(name, time)
    if values is None or not {"post", "pre"} <= set(values.dims):
        return None
    values = values.sum("timescale") if "timescale" in values.dims else values
    rest = {dim: 0 for dim in values.dims if dim not in ("post", "pre")}
    return np.asarray(values.isel(rest).transpose("post", "pre"), float)


def attention(scene: Scene, time: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Past steps, ascending, and the attention of each state of the inner loop to them, `[iteration, past]`."""
    if "attention" not in scene.run:
        written = Written.of(scene)
        return None if written is None else written.attention(scene, time)
    values = scene.at("attention", time)
    if values is None:
        return None
    values = values.transpose("iteration", "past")
    past = values["past"].values if "past" in values.coords else np.arange(1, values.sizes["past"] + 1)
    kept = np.flatnonzero(past * float(scene.run.attrs.get("dt", 1.0)) < time * (1 - 1e-9))
    return past[kept], np.asarray(values[:, kept], float)


@dataclass(frozen=True, eq=False)
class Written:
    """The memory of a Hebbian network from its recorded states: A = Σ κ(lag) h hᵀ.

    Parameters
    ----------
    tau, eta
        Time constants in s and strengths of one write, `[timescale]`.
    dt
        Duration of a step in s.
    self_connections
        Whether A has its diagonal.
    before
        Whether a step writes the state from which it begins, instead of its final state.
    """

    tau: np.ndarray
    eta: np.ndarray
    dt: float
    self_connections: bool
    before: bool

    @classmethod
    def of(cls, scene: Scene) -> Written | None:
        """From a recording of every hidden state of such a network since rest; otherwise `None`."""
        run = scene.run
        made = configured(run)
        rule = made.get("memory") or {}
        if made.get("network") != "FastWeightNetwork" or rule.get("rule") != "Hebbian" or "eta" not in rule:
            return None
        if "wiring" in made or rule.get("oja") or rule.get("axes"):  # not κ h hᵀ
            return None
        tau, eta = np.asarray(rule["tau"], float), np.asarray(rule["eta"], float)
        if "hidden" not in run or tau.ndim != 1 or eta.ndim != 1:
            return None
        hidden, dt = recorded(run, "hidden"), float(made["dt"])
        times = hidden["time"].values[:2]
        whole = hidden.sizes["unit"] == made["units"] and np.allclose(times, [dt, 2 * dt][: len(times)])
        return cls(tau, eta, dt, made["self_connections"], made.get("write") == "before") if whole else None

    def kernel(self, lag: np.ndarray) -> np.ndarray:
        """κ, the strength of a state that was written this number of steps ago."""
        return (self.eta * np.exp(-lag[:, None] * self.dt / self.tau)).sum(-1)

    def past(self, scene: Scene, step: int) -> np.ndarray | None:
        """States of the last steps up to this one, `[past, unit]`; `None` if earlier ones still matter."""
        first = max(0, step - LONGEST)
        strongest, oldest = np.abs(self.kernel(np.array([0.0, float(LONGEST)])))
        if first and oldest > NEGLIGIBLE * strongest:
            return None
        return np.asarray(recorded(scene.run, "hidden").transpose("time", "unit")[first:step], float)

    def matrix(self, scene: Scene, time: float) -> np.ndarray | None:
        """The memory after the step that ends at `time`, `[post, pre]`."""
        states = self.past(scene, round(time / self.dt) - self.before)
        if states is None:
            return None
        strength = self.kernel(np.arange(len(states) - 1.0, -1.0, -1.0))
        matrix = (states.T * strength) @ states
        return matrix if self.self_connections else matrix - np.diag(np.diag(matrix))

    def attention(self, scene: Scene, time: float) -> tuple[np.ndarray, np.ndarray] | None:
        """κ h(τ)·h_s for the states that the step ending at `time` reads; see `attention`."""
        step = round(time / self.dt)
        states = self.past(scene, step - 1)
        loop = scene.at("inner", time)
        loop = scene.at("hidden", time) if loop is None else loop
        if states is None or loop is None:
            return None
        lag = np.arange(len(states), 0.0, -1.0) - 1.0
        rows = np.atleast_2d(np.asarray(loop, float))
        return np.arange(step - len(states), step), rows @ states.T * self.kernel(lag)
