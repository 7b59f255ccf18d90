"""Mean field of a random network with Hebbian plasticity that follows an oscillating input, and what its memory keeps.

    τ dh_i/dt = −h_i + Σ_j (J_ij + A_ij) φ_j + I cos(ω t + θ_i),   φ = tanh h,   J_ij of variance g²/N, θ_i random
    τ_A dA_ij/dt = −A_ij + (k/N) φ_i φ_j

is the network of `plastic_chaos` with an input. Let activity have the period of the input, φ_i = Re Σ_m b_im e^{imωt},
and q_m = ⟨|b_m|²⟩. Then each unit obeys, for harmonic m,

    (1 + i m ω τ) h_m = I e^{iθ} δ_m1 + η_m + κ_m b_m,   ⟨|η_m|²⟩ = g² q_m,
    κ_m = (k/4) Σ_l q_l [1/(1 + i(m − l)ωτ_A) + 1/(1 + i(m + l)ωτ_A)]

with complex normal η. Averaged over a cycle, A = (k/2N) Σ_m Re b_m b_m†. For the eigenvalues of J + A, the products
J^n b_1 have correlations with b_1 that form a geometric series, since J b_1 = η_1: b_1† J^n b_1/N = (g² χ*)ⁿ q_1, with
χ = ⟨∂b_1/∂η_1⟩ = ⟨b_1 η_1*⟩/(g² q_1). So b_1† (λ − J)⁻¹ b_1/N = q_1/(λ − g² χ*), and the rank-two part of the first
harmonic adds the pair of eigenvalues

    λ = g² χ* + k q_1/4 and λ*

if they lie outside the circle of radius g. The question is that of Wakhloo, Clark & Abbott 2025, bioRxiv
2025.08.20.671131, of which the abstract and the public code were read; with one gain for all units the last
equation becomes that of their code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm, qmc

from fwsim.errors import number, whole
from fwsim.names import known_arguments
from fwsim.seeds import check_seed
from fwsim.theory.chaos import STRONGEST

HARMONICS = np.array([1, 3, 5, 7])
"""Of rates; there are no even ones, since tanh is odd."""

CYCLE = 64
"""Points of a cycle."""

ROUNDS = 500
TOLERANCE = 1e-7
SILENT = 1e-4
"""Overlap with the memory below which there is no oscillation."""


@dataclass(frozen=True)
class Entrained:
    """Oscillation of a network that follows its input.

    Parameters
    ----------
    square
        Mean square rate ⟨φ²⟩ over units and time, up to the seventh harmonic.
    first
        Mean square amplitude of the first harmonic, q_1.
    outlier
        Eigenvalue λ of J + A that the oscillation has written; its imaginary part has the sign of the frequency. It is
        among those of J if its size is at most g.
    converged
        Whether the iteration has converged.
    """

    square: float
    first: float
    outlier: complex
    converged: bool
    _solved: _Paths = field(repr=False)

    def held(self) -> HeldOscillation:
        """Oscillation when the input ends and A is held as it is.

        What A has in common with all phases of the cycle is held. It adds (k/4) κ b to the field, where b was the first
        harmonic under the input and κ = ⟨b* c⟩ its overlap with the present one, c. The random part has the covariance
        g² κ with the field that wrote b. The frequency is the one at which κ keeps its phase.
        """
        return _hold(self._solved)


@dataclass(frozen=True)
class HeldOscillation:
    """Oscillation without input, of a memory that is held.

    Parameters
    ----------
    frequency
        Angular frequency by membrane time constant; 0 if there is no oscillation.
    square
        Mean square rate ⟨φ²⟩ over units and time.
    share
        κ/q_1, size of the projection on the oscillation under the input, relative to the one under it.
    converged
        Whether the iteration has converged.
    """

    frequency: float
    square: float
    share: float
    converged: bool


@dataclass(frozen=True, eq=False)
class _Paths:
    """What the mean field has drawn: first harmonics `[path]`, their noise `[path, harmonic]`, and fresh noise."""

    coupling: float
    plasticity: float
    frequency: float
    first: np.ndarray
    noise: np.ndarray
    fresh: np.ndarray


@known_arguments
def entrained_activity(
    coupling: float,
    plasticity: float,
    drive: float,
    frequency: float,
    tau_memory: float,
    *,
    paths: int = 2048,
    seed: int = 0,
) -> Entrained:
    """Oscillation with the frequency of the input, by sampling its mean field.

    The iteration begins with large rates, and finds no other oscillation. That networks follow their input is supposed:
    a weak input does not entrain them.

    Parameters
    ----------
    coupling
        g, with weights of variance g²/N; at most 5.
    plasticity
        k, from 0.
    drive
        Amplitude I of the input, above 0.
    frequency
        Angular frequency ω by membrane time constant.
    tau_memory
        Time constant of the memory in units of the membrane time constant.
    paths
        Number of sampled units, a power of two. Errors decrease nearly with this number, as points of Sobol fill space.
    seed
        Of the points.
    """
    number("coupling", coupling, least=0.0, most=STRONGEST)
    number("plasticity", plasticity, least=0.0)
    number("drive", drive, above=0.0)
    number("frequency", frequency, above=0.0)
    number("tau_memory", tau_memory, above=0.0)
    whole("paths", paths, least=2)
    check_seed(seed)
    noise = _noise(paths, len(HARMONICS) + 1, seed)
    noise, fresh = noise[:, :-1], noise[:, -1]
    power = (4 / math.pi / HARMONICS) ** 2  # of a square wave, the largest rates
    waves = np.broadcast_to(np.sqrt(power), noise.shape)
    lag = 1j * frequency * tau_memory
    kernel = 1 / (1 + lag * np.subtract.outer(HARMONICS, HARMONICS))
    kernel += 1 / (1 + lag * np.add.outer(HARMONICS, HARMONICS))
    for _ in range(ROUNDS):
        random = coupling * np.sqrt(power) * noise
        force = random + plasticity / 4 * (kernel @ power) * waves
        force[:, 0] += drive
        waves = _harmonics(force, frequency)
        before, power = power, (np.abs(waves) ** 2).mean(0)
        converged = bool(np.abs(power - before).max() < TOLERANCE)
        if converged:
            break
    # By Stein's lemma, g² χ* = ⟨b* η⟩/q.
    response = complex((waves[:, 0].conj() * random[:, 0]).mean()) / power[0]
    solved = _Paths(coupling, plasticity, frequency, waves[:, 0], noise, fresh)
    outlier = response + plasticity * power[0] / 4
    return Entrained(float(power.sum() / 2), float(power[0]), outlier, converged, solved)


def _noise(paths: int, count: int, seed: int) -> np.ndarray:
    """Complex normal numbers of variance 1 that fill space evenly, `[path, count]`."""
    points = qmc.Sobol(2 * count, seed=seed).random(paths)
    normal = norm.ppf(np.clip(points, 1e-12, 1 - 1e-12)) / math.sqrt(2)  # infinite on the edge of the cube
    return normal[:, :count] + 1j * normal[:, count:]


def _harmonics(force: np.ndarray, frequency: float) -> np.ndarray:
    """Odd harmonics `[path, harmonic]` of the rates of units under a force with these harmonics."""
    waves = np.zeros((len(force), CYCLE // 2 + 1), complex)
    waves[:, HARMONICS] = force / (1 + 1j * HARMONICS * frequency)
    rates = np.tanh(np.fft.irfft(waves * CYCLE / 2, CYCLE, axis=1))
    return (np.fft.rfft(rates, axis=1) * 2 / CYCLE)[:, HARMONICS]


def _hold(solved: _Paths) -> HeldOscillation:
    """Fixed point of the powers, of the overlap κ and of the frequency."""
    g, written = solved.coupling, solved.first
    norm_ = float((np.abs(written) ** 2).mean())
    power = norm_ / HARMONICS**2
    overlap, frequency = norm_, solved.frequency
    for _ in range(ROUNDS):
        force = g * np.sqrt(power) * solved.noise
        rest = math.sqrt(max(power[0] - overlap**2 / norm_, 0.0))
        force[:, 0] = g * (overlap / math.sqrt(norm_) * solved.noise[:, 0] + rest * solved.fresh)
        force[:, 0] += solved.plasticity / 4 * overlap * written
        waves = _harmonics(force, frequency)
        found = complex((waves[:, 0] * written.conj()).mean())
        lead = math.atan2(found.imag, found.real)
        change = np.array([abs(found) - overlap, lead, *(np.abs(waves) ** 2).mean(0) - power])
        overlap, power = abs(found), power + change[2:]
        frequency += lead * (1 + frequency**2) / 2
        if np.abs(change).max() < TOLERANCE:
            return HeldOscillation(abs(frequency), float(power.sum() / 2), overlap / norm_, True)
        if overlap < SILENT:
            return HeldOscillation(0.0, float(power.sum() / 2), 0.0, True)
    return HeldOscillation(abs(frequency), float(power.sum() / 2), overlap / norm_, False)
