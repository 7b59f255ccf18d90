"""plastic_phases: small networks are where mean field says, and their steps are those of `RateNetwork`."""

from pathlib import Path

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import ConfigError, study
from fwsim.study import files

ROOT = Path(__file__).parents[2]
experiment = files.load(ROOT / "experiments" / "plastic_phases.py", ("run",))
analysis = files.load(ROOT / "analysis" / "plastic_phases.py", ("analyse", "table", "plot"))

SMALL = {
    "units": 200, "networks": 2, "coupling": (0.75, 2.0), "plasticity": (0.0, 0.8, 1.6), "tau_memory": (1.0,),
    "transient": 20.0, "watched": 40.0, "lowered": (8.0, 2.4, 1.0),
}  # fmt: skip


def mean_field(coupling, k, tau, step, start):
    """In place of the solution, whose tests are elsewhere: chaos above g = 1, which can be frozen from k = 1 on."""
    return None if coupling < 1 else ((0.5 + 0.2 * k, 5.0 + 5 * k, 1.2 - 0.2 * k), np.ones(1))


def test_phases_are_those_of_mean_field(tmp_path, monkeypatch):
    monkeypatch.setattr(analysis, "PATHS", 80)
    (square, *_), _ = analysis.chaotic(2.0, 0.8, 2.5, 0.25, None)
    assert analysis.chaotic(0.75, 0.0, 2.5, 0.25, None) is None
    monkeypatch.setattr(analysis, "chaotic", mean_field)
    run = study.run("plastic_phases", SMALL, seed=3, folder=tmp_path / "run")
    result = analysis.analyse(run.recording)
    names = np.array(analysis.PHASES)[result["phase"].transpose("network", "coupling", "plasticity").values]
    assert set(names[:, 0, 0]) == {"silent"}  # g below 1, no plasticity
    assert set(names[:, 1, 0]) == {"active"}
    assert set(names[:, 1, 2]) <= {"active, can be frozen", "at rest"}
    assert float(result["mean_square"].sel(coupling=2.0, plasticity=0.8).mean()) == pytest.approx(
        square, abs=0.1
    )
    assert result["freezing"].values == pytest.approx([np.nan, 1.0], nan_ok=True)
    assert np.isnan(result["expected_square"].sel(coupling=0.75, plasticity=0.0))
    assert (result["lost"] == 8.0).all()
    rows = analysis.table(result)
    assert len(rows) == 11
    assert rows[0]["networks"] == "2 silent"
    assert len(analysis.plot(result).axes) == 3


def test_steps_are_those_of_a_rate_network():
    generator = torch.Generator().manual_seed(0)
    W, h = (
        torch.randn(50, 50, generator=generator).double() / 50**0.5,
        torch.randn(1, 50, generator=generator),
    )
    settings, dt = [(2.0, 1.0, 2.5), (1.5, -0.7, 4.0), (1.0, 2.0, 4.0)], 0.02
    net = experiment.Network(W.float(), h.expand(3, -1), torch.tensor(settings, dtype=torch.float64), dt)
    second = [net.memories[0].second, net.memories[1].second, net.memories[1].second]
    rates, first = net.advance(100), torch.tanh(h.double())
    net.halt()
    held = net.advance(40)
    for row, (g, k, tau) in enumerate(settings):
        memory = fw.Hebbian(tau=tau, eta_rate=k / (50 * tau))
        wired = fw.RateNetwork(fw.Projection(g * W), tau=1.0, gain=fw.tanh, memory=memory, dt=dt).double()
        start = fw.State(h.double(), memory=(k / 50 * second[row] * first.T @ first)[None, None])
        run = fw.simulate(wired, None, steps=100, state=start, record=["rate"])
        assert rates[row].numpy() == pytest.approx(run["rate"].values[0, -1], abs=2e-3)
        state = fw.load_state(run)
        still = fw.RateNetwork(
            fw.Projection(g * W + state.memory[0, 0]), tau=1.0, gain=fw.tanh, dt=dt
        ).double()
        after = fw.simulate(still, None, steps=40, state=fw.State(state.hidden), record=["rate"])
        assert held[row].numpy() == pytest.approx(after["rate"].values[0, -1], abs=2e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"watched": 1.0}, "watched=1 s is too short .* at least 2"),
        ({"halted": 1.5}, "halted=1.5 s is too short"),
        ({"plasticity": ()}, "plasticity"),
    ],
)
def test_what_cannot_be_analysed_is_refused(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        study.run("plastic_phases", {**SMALL, **given}, folder=tmp_path / "run")
