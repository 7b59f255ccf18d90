"""In a circuit with two stored patterns that do not overlap, the state stays at the one that was called up."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from analysis import attractor_spikes as analysis
from fwsim.study import files, load_experiment

UNITS = 12
PATTERNS = torch.tensor([[1.0, 1, 1] + 9 * [0], 3 * [0] + [1, 1, 1] + 6 * [0]]).double()


@pytest.fixture(scope="module")
def made():
    """The functions of the experiment."""
    return files.load(files.find("attractor_spikes"), ("Config", "in_spikes"))


def loop_of(made, strength=2.0):
    """Two trials, one for each pattern; the field of a pattern is `strength` times its state, if that is 1."""
    matrix = (strength / 3 * PATTERNS.T @ PATTERNS).expand(2, -1, -1)
    return made.Loop(
        matrix, PATTERNS, made.Inhibition(2.5, 0.05, torch.ones(UNITS).double(), torch.zeros(UNITS).double())
    )


def test_the_cell_is_inhibited_and_the_map_is_that_of_the_loop(made):
    """With the memory of a sequence, iterations of `Loop` are those of the network."""
    torch.manual_seed(0)
    net = made.CircuitNetwork(made.Config(units=8)).double()
    with torch.no_grad():
        net.gain.uniform_(0.5, 1.5)
        net.bias.uniform_(-0.1, 0.1)
        x = torch.randn(3, 5, 8).double()
        _, state = net(x[:, :-1])
        sustained = state.hidden @ net.W.T + x[:, -1] @ net.C.T + net.b
        inhibition = made.Inhibition(**net.inhibition, gain=net.gain, bias=net.bias)
        loop = made.Loop(state.memory.sum(1), sustained, inhibition)
        torch.testing.assert_close(loop(torch.relu(sustained)), net(x)[0][:, -1])
    field = torch.tensor([[3.0, 1.0, 1.0, -1.0]])
    rest = field - 1
    torch.testing.assert_close(
        made.Inhibition(2.0, 0.5, torch.ones(4), torch.zeros(4))(field), rest / (0.5 + 2 * 0.5)
    )


def test_fixed_points_in_continuous_time_are_those_of_the_map(made):
    loop, config = loop_of(made), made.Config(shown=1.0, held=2.0)
    states = made.in_rates(loop, config)
    assert states.shape == (2, 60, UNITS)
    torch.testing.assert_close(states[:, -1], loop.settled(), rtol=1e-4, atol=1e-6)
    assert (loop.settled()[:, :6].reshape(2, 2, 3).mean(-1).argmax(-1) == torch.tensor([0, 1])).all()
    gone = made.in_rates(loop._replace(matrix=0 * loop.matrix), config)
    assert float(gone[:, -1].abs().max()) < 1e-6  # without a memory nothing stays


SCALE, COPIES = 10.0, 4


def mean_field(made, loop):
    """Rates over λ of units in spikes: where they end if every neuron has the rate of Siegert's function."""
    gain = fw.siegert(
        tau=made.MEMBRANE, threshold=made.THRESHOLD, reset=0.0, refractory=made.REFRACTORY, sd=made.NOISE
    )
    background, current = gain.rectified(SCALE, *made.RANGE)
    matrix, inhibition = loop.matrix - loop.matrix.mean(1, keepdim=True), loop.inhibition

    def field(rates):
        return (matrix @ rates[..., None])[..., 0]

    rates = loop.settled()
    typical = float(torch.relu(field(rates)).mean()) or 1.0
    for _ in range(300):
        pool = typical * (gain(background + current * field(rates) / typical) / SCALE).mean(1, keepdim=True)
        inhibited = field(rates) / (inhibition.floor + inhibition.strength * pool)
        rates = gain(background + current * (inhibition.gain * inhibited + inhibition.bias)) / SCALE
    return rates


def test_spikes_stay_at_the_pattern_too(made):
    """Rates are those of mean field, within three standard errors of spike counts if spikes were Poisson.

    Without a memory, filtered spikes decay from 50 ms (five membrane time constants) after the input on.
    """
    config, loop = made.Config(shown=0.3, held=0.4), loop_of(made)
    empty = loop._replace(matrix=0 * loop.matrix)
    late = made.in_spikes(loop, config, COPIES, SCALE, seed=1)[:, -4:].mean(1)
    gone = made.in_spikes(empty, config, COPIES, SCALE, seed=1)
    # Four samples of spikes that are filtered with the synaptic time constant.
    watched = 3 * made.SAMPLED + made.SYNAPTIC

    def error(rate, units):
        return 3 * (rate / (units * COPIES * SCALE * watched)) ** 0.5

    left = gone[:, round(config.shown / made.SAMPLED)] * math.exp(
        -(config.held - made.SAMPLED) / made.SYNAPTIC
    )
    for trial, (expected, rest) in enumerate(zip(mean_field(made, loop), mean_field(made, empty)[:, 0])):
        active, rest = PATTERNS[trial] > 0, float(rest)
        rate = float(expected[active].mean())
        assert float(late[trial, active].mean()) == pytest.approx(rate, abs=error(rate, 3))
        assert float(late[trial, ~active].mean()) < rest + error(rest, 9)
        assert float((gone[trial, -1] - left[trial])[active].mean()) < rest + error(rest, 3)
        assert float(gone[trial, -1, active].mean()) < rate - error(rate, 3)


def recording(kept, error=0.0):
    """Made-up trials of two versions, of which a share is at the settled state after the query."""
    trials, times = 20, np.array([0.5, 1.0, 1.5, 2.0])
    stored = np.stack([np.eye(2)] * trials)
    at = np.repeat(stored[:, :1], len(times), 1)  # all begin at the first
    lost = np.arange(trials) >= kept * trials
    wandering = at.copy()
    wandering[lost, 1:] = stored[lost, 1][:, None]
    answer = np.stack([np.zeros((trials, len(times))), wandering[..., 1]])
    values = {
        "state": (("version", "trial", "time", "unit"), np.stack([at, wandering])),
        "answer": (("version", "trial", "time"), answer),
        "settled": (("trial", "unit"), stored[:, 0]),
        "settled_answer": ("trial", np.zeros(trials)),
        "target": ("trial", np.zeros(trials)),
        "stored": (("trial", "stored", "unit"), stored),
        "scale": ("version", [1.0, 30.0]),
        "error": ("iteration", [error]),
    }
    coords = {"version": ["rates", "10 neurons a unit"], "time": times, "iteration": [64]}
    return xr.Dataset(values, coords, {"experiment_configuration": '{"shown": 0.5}'})


def test_the_analysis_counts_trials_that_keep_their_state():
    result = analysis.analyse(recording(0.7))
    assert result["kept"].sel(version="rates").values.tolist() == [100] * 4
    assert result["kept"].sel(version="10 neurons a unit").values.tolist() == [100, 70, 70, 70]
    rows = {row["version"]: row for row in analysis.table(result)}
    assert rows["10 neurons a unit"]["kept after 1 s (%)"] == "70.00"
    assert rows["map"]["right at the query's end (%)"] == "100.00"
    assert rows["rates"]["after 1 s"] == "undecided"  # of a single network
    assert set(analysis.plot(result)) == {"survival"}
    assert np.isnan(analysis.analyse(recording(1.0, error=30.0))["kept"]).all()


def test_a_state_that_is_held_for_less_than_a_second_is_asked_for_at_its_end():
    rows = analysis.table(analysis.analyse(recording(0.7).isel(time=[0, 1])))
    assert [name for name in rows[2] if "after" in name] == ["kept after 0.5 s (%)", "after 0.5 s"]


def test_runs_are_joined_by_seed():
    runs = []
    for seed, share in enumerate((0.7, 0.8)):
        attrs = {"experiment_configuration": '{"shown": 0.5, "pairs": 2}', "experiment_seed": seed}
        runs.append(recording(share).assign_attrs(attrs))
    rows = {row["version"]: row for row in analysis.table(analysis.join(runs))}
    assert rows["10 neurons a unit"]["kept after 1 s (%)"].startswith("75.00 [11.47")
    assert rows["10 neurons a unit"]["networks"] == 2


@pytest.mark.slow
def test_a_quick_run(tmp_path):
    experiment = load_experiment("attractor_spikes")
    config = experiment.configure(quick=True)
    result = analysis.analyse(experiment.run(config, fw.study.Context(tmp_path, seed=1)))
    assert result["kept"].shape == (2, 20)
