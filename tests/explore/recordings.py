"""Small recordings of the three kinds of run."""

import numpy as np
import torch

import fwsim as fw
from fwsim import ms
from fwsim.recording import Extent, Recorder, provenance
from fwsim.spiking import Circuit, Connection, Population
from fwsim.spiking import simulate as spike


def fast_weights(to=None, steps=40, **options):
    """A fast-weight network with all that its inner loop needs."""
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(3, 6, fw.Hebbian(tau=[2.0, 20.0], eta=[0.3, 0.1]), inner_steps=2, **options)
    x = torch.randn(2, steps, 3)
    run = fw.simulate(net, x, record=["hidden", "inner", "attention", "memory"], to=to)
    if to is not None:
        return run
    with torch.no_grad():
        hidden, _ = net(x)
        before = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], 1)
        run["sustained"] = ("trial", "time", "unit"), (before @ net.W.T + x @ net.C.T + net.b).numpy()
        run["gain"], run["bias"] = ("unit", net.gain.numpy()), ("unit", net.bias.numpy())
    return run


def rates(steps=60):
    """A rate network with plastic synapses."""
    torch.manual_seed(0)
    projection = fw.Projection(0.1 * torch.randn(5, 5), synapse=fw.TsodyksMarkram())
    net = fw.RateNetwork(projection, tau=10 * ms, dt=1 * ms)
    return fw.simulate(net, torch.rand(2, steps, 5) * 20, record=["rate", "u", "x"])


def spikes(trials=2, to=None):
    """A spiking circuit."""
    noisy = Population("E", 20, background=0.019, noise=0.004)
    circuit = Circuit([noisy], [Connection("E", "E", 2e-4, 0.2, fw.TsodyksMarkram())], dt=1 * ms)
    return spike(circuit, steps=500, trials=trials, seed=1, to=to)


def long(to, steps=1_000_000, units=100, block=50_000):
    """A recording of made-up states, much longer than it takes to simulate."""
    extent = Extent(steps, 1e-3, {"trial": 1, "unit": units})
    attributes = provenance({"network": "made up"}, seed=0, device="cpu", dtype="float32")
    recorder = Recorder(["hidden"], extent, attributes=attributes, to=to)
    phase = np.linspace(0, 2 * np.pi, units)
    for start in range(0, steps, block):
        time = np.arange(start, start + block)[:, None] * 1e-3
        recorder.write("hidden", np.sin(time + phase).astype(np.float32)[None])
    return recorder.finish({"hidden": np.zeros((1, units), np.float32), "step": steps})
