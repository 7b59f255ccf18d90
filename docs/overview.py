"""Draws docs/overview.svg, the figure of the README: python docs/overview.py."""

from pathlib import Path

import numpy as np
import torch

import fwsim as fw
from fwsim import Hz, ms, second
from fwsim.engine.threads import use_threads
from fwsim.study import COLOURS, figure, house_style

N = 200


def forgetting(axes):
    """How long a memory with one time scale, and one with a power law, holds what was written once."""
    memories = {
        "one time scale": (fw.Hebbian(tau=10 * second, eta=1.0), "blue", "-"),
        "power law": (
            fw.Hebbian.power_law(exponent=0.5, shortest=1.0, longest=200.0, strength=1.0),
            "vermillion",
            "--",
        ),
    }
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(4, 300, N, generator=generator, dtype=torch.float64).sign()
    lags = np.unique(np.geomspace(1, 200, 14).round()).astype(int)
    for name, (memory, colour, style) in memories.items():
        net = fw.FastWeightNetwork(1, N, memory, normalise="none").double()
        state = net.initial_state(4)
        for item in items.unbind(1):
            state = net.write(state, item)
        weights = state.memory.sum(1)
        shown = items.flip(1)[:, lags]
        strength = (
            torch.einsum("bln,bnm,blm->bl", shown, weights, shown)
            - weights.diagonal(0, 1, 2).sum(-1)[:, None]
        ) / (N * (N - 1))
        kernel = sum(eta * np.exp(-lags / tau) for eta, tau in zip(memory.eta.tolist(), memory.tau.tolist()))
        axes.plot(lags, kernel, style, color=COLOURS[colour], label=name)
        axes.plot(lags, strength.mean(0).detach(), "o", color=COLOURS[colour])
    axes.set(
        xscale="log",
        xlabel="time since it was written (s)",
        ylabel="strength in the memory",
        title="many time scales",
    )
    axes.legend()


def synapse(axes):
    """What facilitating and depressing synapses release, from tensors and from Brian2."""
    times = torch.arange(12, dtype=torch.float64) / (20 * Hz)
    kinds = {
        "facilitating": (fw.TsodyksMarkram(U=0.1, tau_rec=100 * ms, tau_facil=1500 * ms), "blue", "-"),
        "depressing": (fw.TsodyksMarkram(U=0.5, tau_rec=800 * ms), "vermillion", "--"),
    }
    for name, (rule, colour, style) in kinds.items():
        axes.plot(times, rule.respond(times), style, color=COLOURS[colour], label=name)
        axes.plot(times, fw.spiking.respond(rule, times, dt=0.1 * ms), "o", mfc="none", color=COLOURS[colour])
    axes.plot([], [], "o", mfc="none", color=COLOURS["black"], label="Brian2")
    axes.set(xlabel="time (s)", ylabel="release", title="the same synapse in spikes")
    axes.legend()


def attractors(axes):
    """Where the inner loop takes states, and the fixed points that it ends in."""
    generator = torch.Generator().manual_seed(3)
    patterns = torch.randn(1, 3, N, generator=generator, dtype=torch.float64).sign()
    net = fw.FastWeightNetwork(
        1, N, fw.Hebbian(tau=1e6, eta=1.5 / N), activation="tanh", normalise="none"
    ).double()
    state = net.initial_state(1)
    for pattern in patterns.unbind(1):
        state = net.write(state, pattern)
    weights = state.memory.sum(1)[0].detach()
    basis = torch.linalg.qr(patterns[0].T)[0][:, :2]
    starts = torch.randn(40, 3, generator=generator, dtype=torch.float64) @ patterns[0]
    path = [0.5 * starts / starts.norm(dim=-1, keepdim=True) * N**0.5]
    for _ in range(15):
        path.append(torch.tanh(path[-1] @ weights.T))
    seen = torch.stack(path) @ basis / N**0.5
    axes.plot(*seen.unbind(-1), color=COLOURS["sky"], lw=0.6)
    points = fw.measure.fixed_points(lambda h: torch.tanh(h @ weights.T), path[-1], kind="map")
    ends = points.state.values[points.stable.values] @ basis.numpy() / N**0.5
    axes.plot(*ends.T, "o", color=COLOURS["black"], ms=5)
    axes.set(xlabel="first axis of the patterns", ylabel="second axis", title="attractors")


def main() -> None:
    """Draw all three."""
    use_threads(1)
    with house_style():
        made, (left, middle, right) = figure(1, 3, width="double", aspect=0.85)
        forgetting(left)
        synapse(middle)
        attractors(right)
        made.savefig(Path(__file__).with_name("overview.svg"), facecolor="white")


if __name__ == "__main__":
    main()
