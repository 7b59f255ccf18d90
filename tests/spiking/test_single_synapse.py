"""The exported Brian2 code against the tensors, on the same spikes."""

import sys

import brian2
import pytest
import torch

import fwsim as fw
from fwsim.rules.rule import PresynapticRule
from tests.rules.cases import CASES, exact, trains

pytestmark = pytest.mark.usefixtures("numpy_target")


DT = 1e-3  # which does not matter (below), and leaves Brian2 few steps


def both(rule, pre, post=None):
    if isinstance(rule, PresynapticRule):
        return rule.respond(pre), fw.spiking.respond(rule, pre, dt=DT)
    return rule.respond(pre, post), fw.spiking.respond(rule, pre, post, dt=DT)


ZEROS = {
    "tm1998_without_inactivation": fw.TsodyksMarkram(0.3, 0.2, 0.5, "tm1998"),
    "tm_without_facilitation": fw.TsodyksMarkram(0.3, 0.2, 0.0),
    "tm_instant": fw.TsodyksMarkram(0.3, 0.0, 0.0, "tm1998", tau_inact=0.1),
    "traces_without_duration": fw.HebbianTraces(tau=1.0, eta=0.5, tau_pre=0.0, tau_post=0.0),
}


@pytest.mark.parametrize("name", [*CASES, *ZEROS])
def test_brian2_agrees_with_respond(name):
    pre, post = trains(4, 15, seed=3, dt=DT), trains(4, 20, seed=4, dt=DT)
    pre[1, -5:] = torch.nan
    post[2, -3:] = torch.nan
    post[3, 5:8] = pre[3, 5:8]  # ties
    post = post.sort(-1).values
    post[3] = torch.cat([post[3].unique(), torch.full((20,), torch.nan).double()])[:20]
    tensors, brian = both((CASES | ZEROS)[name], pre, post)
    torch.testing.assert_close(brian, tensors, rtol=0, atol=1e-10, equal_nan=True)


def test_heterogeneous_synapses():
    rule = fw.TsodyksMarkram(
        U=torch.tensor([0.2, 0.5, 0.9]),
        tau_rec=torch.tensor([0.0, 0.1, 0.8]),
        tau_facil=0.3,
        convention="mongillo2008",
    )
    tensors, brian = both(rule, trains(3, 20, dt=DT))
    torch.testing.assert_close(brian, tensors, rtol=0, atol=1e-10)


def test_time_step_does_not_matter():
    rule, times = CASES["tm1998"], trains(2, 10, dt=1e-3)
    coarse, fine = (fw.spiking.respond(rule, times, dt=dt) for dt in (1e-3, 1e-4))
    torch.testing.assert_close(coarse, fine, rtol=0, atol=1e-12)


def test_stochastic_release_has_the_same_statistics():
    rule = fw.TsodyksMarkram(0.4, 0.2, 0.5)
    noisy = fw.StochasticRelease(rule, sites=4, cv=0.3)
    times = exact([0.01, 0.05, 0.2]).expand(4000, 3)
    sampled, p = fw.spiking.respond(noisy, times, dt=1e-2, seed=1), rule.respond(times[0])
    variance = (p * (1 - p) + 0.3**2 * p) / 4
    assert bool(((sampled.mean(0) - p).abs() < 4 * (variance / 4000).sqrt()).all())
    torch.testing.assert_close(sampled.var(0), variance, rtol=0.1, atol=0)


def test_rule_on_the_neuron():
    """Presynaptic state may live on the neuron, with a prefix, and is up to date when synapses read it."""
    rule = fw.TsodyksMarkram(0.3, 0.2, 0.5, "mongillo2008")
    code = rule.brian2(prefix="ee_")
    times = trains(1, 12)[0]
    source = brian2.SpikeGeneratorGroup(1, [0] * 12, times.numpy() * brian2.second)
    neuron = brian2.NeuronGroup(
        1, "spiking : 1\n" + code.model, threshold="spiking > 0", reset="spiking = 0\n" + code.on_pre
    )
    code.initialise(neuron)
    neuron.resetter["spike"].when = "after_thresholds"
    drive = brian2.Synapses(source, neuron, on_pre="spiking_post = 1")
    drive.connect()
    target = brian2.NeuronGroup(1, "total : 1")
    read = brian2.Synapses(neuron, target, on_pre="total_post += ee_release_pre")
    read.connect()
    brian2.Network(source, neuron, drive, target, read).run(1 * brian2.second)
    assert abs(target.total[0] - float(rule.respond(times).sum())) < 1e-10


def test_without_brian2(monkeypatch):
    monkeypatch.setitem(sys.modules, "brian2", None)
    with pytest.raises(fw.ConfigError, match="pip install brian2") as error:
        fw.spiking.respond(fw.TsodyksMarkram(), exact([0.1]))
    assert "\n" not in str(error.value)


def test_no_integrator_is_involved():
    for rule in CASES.values():
        assert "/dt" not in rule.brian2().model.replace(" ", "")


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.00015], "off the grid"),
        ([0.0001, 0.0001], "two spikes"),
        ([-0.0001, 0.2], "negative time, before Brian2's clock begins"),
    ],
)
def test_what_brian2_cannot_hold_is_refused(times, message):
    with pytest.raises(fw.ConfigError, match=message):
        fw.spiking.respond(fw.TsodyksMarkram(), exact(times), dt=1e-4)


def test_no_spikes_give_no_responses():
    rule = fw.TsodyksMarkram()
    for shape in ((0,), (3, 0), (0, 4)):
        assert fw.spiking.respond(rule, torch.empty(shape)).shape == rule.respond(torch.empty(shape)).shape
    weights = fw.spiking.respond(fw.HebbianTraces(), exact([0.1, 0.2]), exact([]))
    torch.testing.assert_close(weights, fw.HebbianTraces().respond(exact([0.1, 0.2]), exact([])))


def test_both_sides_are_asked_for_where_they_are_needed():
    times = trains(1, 3)
    with pytest.raises(fw.ConfigError, match="give post"):
        fw.spiking.respond(fw.HebbianTraces(), times)
    with pytest.raises(fw.ConfigError, match="leave out post"):
        fw.spiking.respond(fw.TsodyksMarkram(), times, times)
    with pytest.raises(fw.ConfigError, match="no response to spikes"):
        fw.spiking.respond(fw.Delta(), times)


def test_coupled_variables_of_synapses_that_differ():
    rule = fw.BennaFusi(length=3, tau=torch.tensor([[1.0], [2.0]]), eta=0.2)
    tensors, brian = both(rule, trains(2, 8, dt=DT), trains(2, 8, seed=1, dt=DT))
    torch.testing.assert_close(brian, tensors, rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [*CASES, *ZEROS])
def test_compiled_code_agrees_with_respond(name):
    brian2.prefs.codegen.target = "cython"
    pre, post = trains(3, 12, seed=5, dt=DT), trains(3, 15, seed=6, dt=DT)
    tensors, brian = both((CASES | ZEROS)[name], pre, post)
    torch.testing.assert_close(brian, tensors, rtol=0, atol=1e-10, equal_nan=True)
