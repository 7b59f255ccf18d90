"""Controls against their equations, written out, and against the fast-weight network where they must be the same."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.models import CORES, DeepTransitionRNN, LayerNormLSTM, core, parameter_count

INPUTS, UNITS = 4, 6


def inputs(batch=3, time=5):
    return torch.randn(batch, time, INPUTS, generator=torch.Generator().manual_seed(1))


def made(model, inner_steps=2):
    torch.manual_seed(0)
    return core(model, INPUTS, UNITS, fw.Hebbian.from_decay(0.95, eta=0.5), inner_steps)


def normalised(values):
    centred = values - values.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def test_the_lstm_with_layer_normalisation_does_what_its_paper_says():
    """Ba, Kiros & Hinton 2016, supplementary eqs. 20–22, step by step and with gains and biases that matter."""
    torch.manual_seed(0)
    net, x = LayerNormLSTM(INPUTS, UNITS), inputs()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    h = c = torch.zeros(3, UNITS)
    expected = []
    for step in range(5):
        from_hidden = net.hidden_gain * normalised(h @ net.from_hidden.weight.T)
        from_input = net.input_gain * normalised(x[:, step] @ net.from_input.weight.T)
        f, i, o, g = (from_hidden + from_input + net.bias).split(UNITS, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(net.cell_norm.weight * normalised(c) + net.cell_norm.bias)
        expected.append(h)
    hidden, state = net(x)
    torch.testing.assert_close(hidden, torch.stack(expected, 1))
    torch.testing.assert_close(state.variables["cell"], c)


@pytest.mark.parametrize(
    ("net", "uniform"),
    [
        (DeepTransitionRNN(30, 40, 2, identity_scale=0.3), ("C", "V")),
        (LayerNormLSTM(30, 40), ("from_hidden.weight", "from_input.weight")),
    ],
    ids=["deep", "lstm"],
)
def test_weights_before_training_are_uniform(net, uniform):
    """Between ±1/√N."""
    for name in uniform:
        size = net.get_parameter(name).detach().abs() * 40**0.5
        assert 0.98 < float(size.max()) <= 1
        assert float(size.mean()) == pytest.approx(0.5, abs=0.03)
    if isinstance(net, DeepTransitionRNN):
        assert torch.equal(net.W.detach(), 0.3 * torch.eye(40))


@pytest.mark.parametrize("normalise", ["inner", "none"])
def test_without_inner_iterations_a_deep_transition_is_an_ordinary_recurrent_network(normalise):
    torch.manual_seed(0)
    net, same = DeepTransitionRNN(INPUTS, UNITS, 0, normalise=normalise), made("no_inner_loop")
    with torch.no_grad():
        for name in ("W", "C", "b"):
            getattr(same, name).copy_(getattr(net, name))
    torch.testing.assert_close(net(inputs())[0], same(inputs())[0])


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_without_its_matrices_a_deep_transition_is_the_network_without_memory(inner_steps):
    """h_{s+1} = f(LN[z + 0]): what is left of the fast-weight network when nothing is written."""
    net, same = made("layer_norm_deep_rnn", inner_steps), made("no_memory", inner_steps)
    with torch.no_grad():
        net.V.zero_()
        for name in ("W", "C", "b"):
            getattr(same, name).copy_(getattr(net, name))
    torch.testing.assert_close(net(inputs())[0], same(inputs())[0])


def test_a_deep_transition_has_as_many_stages_as_fast_weights():
    """Written out for S = 2, without normalisation."""
    net, x = made("deep_rnn", 2), inputs()
    h, expected = torch.zeros(3, UNITS), []
    for step in range(5):
        z = h @ net.W.T + x[:, step] @ net.C.T + net.b
        h = torch.relu(z + torch.relu(z + torch.relu(z) @ net.V[0].T) @ net.V[1].T)
        expected.append(h)
    torch.testing.assert_close(net(x)[0], torch.stack(expected, 1))
    assert parameter_count(net) == parameter_count(DeepTransitionRNN(INPUTS, UNITS, 0)) + 2 * UNITS**2


@pytest.mark.parametrize("model", CORES)
def test_every_control_goes_on_where_it_stopped_learns_and_is_recorded(model):
    net, x = made(model), inputs()
    hidden, state = net(x)
    assert (hidden.shape, state.step) == ((3, 5, UNITS), 5)
    first, between = net(x[:, :2])
    torch.testing.assert_close(torch.cat([first, net(x[:, 2:], between)[0]], 1), hidden)
    assert net(x[:, :0])[0].shape == (3, 0, UNITS)
    run = fw.simulate(net, x)
    torch.testing.assert_close(torch.as_tensor(run["hidden"].values), hidden.detach())
    hidden.square().sum().backward()
    unused = {name for name, each in net.named_parameters() if each.grad is None}
    assert unused <= ({"gain", "bias"} if model in ("no_inner_loop", "irnn") else set())


@pytest.mark.parametrize("model", ["lstm", "layer_norm_lstm", "deep_rnn"])
def test_wrong_inputs_and_states_are_refused(model):
    net = made(model)
    with pytest.raises(fw.ShapeError, match="input=4"):
        net(torch.zeros(2, 5, 3))
    with pytest.raises(fw.ShapeError, match=r"torch\.float64"):
        net(inputs().double())
    if model != "deep_rnn":
        with pytest.raises(fw.ConfigError, match="it carries nothing, this network cell"):
            net(inputs(), made("no_memory").initial_state(3))
    with pytest.raises(fw.ConfigError, match="normalise"):
        DeepTransitionRNN(2, 3, normalise="all")


@pytest.mark.parametrize("model", ["lstm", "layer_norm_lstm", "deep_rnn"])
def test_a_recorded_run_is_continued(model, tmp_path):
    net, x = core(model, 3, 5, fw.Hebbian(tau=5.0, eta=0.5)), torch.randn(2, 9, 3)
    whole = fw.simulate(net, x)
    run = fw.simulate(net, x[:, :4], to=tmp_path / "run.zarr")
    assert fw.load_state(run).memory is None
    rest = fw.simulate(net, x[:, 4:], state=fw.load_state(fw.open_recording(tmp_path / "run.zarr")))
    np.testing.assert_array_equal(np.concatenate([run["hidden"], rest["hidden"]], 1), whole["hidden"])
    for name in [each for each in whole.data_vars if str(each).startswith("final_")]:
        np.testing.assert_array_equal(rest[name], whole[name])
    assert ("final_cell" in run) == ("lstm" in model)


@pytest.mark.parametrize("model", CORES)
def test_a_control_has_the_options_that_it_knows(model):
    net = core(model, INPUTS, UNITS, fw.Hebbian(tau=5.0, eta=0.5), dt=0.1, identity_scale=0.5)
    assert net.dt == 0.1
    if hasattr(net, "W"):
        assert net.W[0, 0].item() == (1.0 if model == "irnn" else 0.5)


def test_the_step_of_a_control_is_a_time():
    assert fw.models.LSTM(INPUTS, UNITS, dt="20 ms").dt == 0.02
    with pytest.raises(fw.ConfigError, match="dt=-1"):
        fw.models.LSTM(INPUTS, UNITS, dt=-1)
