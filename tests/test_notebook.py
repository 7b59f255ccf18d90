"""What rules, networks, states and recordings show in a notebook."""

from html.parser import HTMLParser

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim import notebook
from fwsim.rules.parameters import declared
from fwsim.rules.table import RULES
from fwsim.spiking import Circuit, Connection, Population
from fwsim.units import ms

VOID = {"br", "hr", "img", "meta", "use", "path", "rect", "image"}


class Balance(HTMLParser):
    """Every tag that opens closes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(
            value and value.startswith(("http:", "https:")) for name, value in attrs if name == "src"
        )
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += f" {data.strip()}" if data.strip() else ""


def shown(thing):
    page = Balance(thing._repr_html_())
    assert page.open == []
    return page


def rules():
    given = {"hebbian": {"tau": [0.5, 10.0], "eta": [0.3, 0.05]}, "hebbian_traces": {"w_max": 1.0}}
    return {name: kind(**given.get(name, {})) for name, kind in RULES.items()}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_shows_equations_units_and_a_figure(name):
    rule = rules()[name]
    page = shown(rule)
    assert "svg" in page.tags
    assert type(rule).__name__ in page.text
    if isinstance(rule, fw.rules.MemoryRule):
        assert "λ_k" in page.text
    else:
        assert {"math", "mtable"} <= page.tags
        assert all(name in page.text for name in declared(rule) if getattr(rule, name) not in (None, ()))


def test_the_values_that_are_shown_are_those_of_the_rule():
    page = shown(fw.TsodyksMarkram(U=0.123, tau_rec=0.456, tau_facil=0.0, convention="mongillo2008"))
    assert "0.123" in page.text
    assert "0.456" in page.text
    assert "mongillo2008" in page.text


def test_the_forgetting_that_is_drawn_is_the_kernel():
    from matplotlib.figure import Figure

    from fwsim.rules.derive.display import draw_forgetting

    axes = Figure().subplots()
    draw_forgetting(fw.Hebbian(tau=[0.5, 10.0], eta=[0.3, 0.05]), axes)
    age, strength = map(torch.as_tensor, axes.lines[0].get_data())
    torch.testing.assert_close(strength, 0.3 * torch.exp(-age / 0.5) + 0.05 * torch.exp(-age / 10.0))


def test_looking_draws_no_random_numbers():
    rule = fw.StochasticRelease(fw.TsodyksMarkram(), sites=5)
    before = torch.get_rng_state()
    shown(rule)
    assert torch.equal(before, torch.get_rng_state())


def test_networks_and_states_show_sizes_and_units():
    net = fw.FastWeightNetwork(37, 50, fw.Hebbian(tau=2.0, eta=0.5), inner_steps=3)
    page = shown(net)
    assert "h_{s+1}" in page.text
    assert "inputs 37 channels units 50 inner_steps 3 iterations dt 1 s" in page.text
    assert "Hebbian" in page.text
    assert "no memory" in shown(fw.FastWeightNetwork(2, 3, None)).text
    assert "[2, 50] from 0 to 0" in shown(net.initial_state(2)).text
    synapse = fw.TsodyksMarkram()
    rate = fw.RateNetwork([fw.Projection(torch.eye(3), synapse=synapse)], tau=8 * ms, gain=fw.softplus(1.5))
    assert "Softplus(alpha=1.5)" in shown(rate).text
    assert "0.008" in shown(rate).text


def test_a_circuit_shows_the_strength_of_its_connections():
    from fwsim.spiking.display import strengths

    circuit = Circuit(
        [Population("E", 80), Population("I", 20)],
        [Connection("E", "I", 2e-4, 0.1), Connection("I", "E", -1e-3)],
    )
    assert strengths(circuit).tolist() == [[0.0, pytest.approx(-0.02)], [pytest.approx(0.0016), 0.0]]
    assert "E → I" in shown(circuit).text


def test_a_recording_shows_itself_beside_xarray():
    net = fw.FastWeightNetwork(2, 5, fw.Hebbian(tau=2.0, eta=0.5))
    page = shown(fw.simulate(net, torch.ones(2, 4, 2), record=["hidden", "inner", "memory"]).fwsim)
    assert "state of the inner loop" in page.text
    assert "svg" in page.tags


def drawn(panel):
    """Axes of a panel."""
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    panel(axes)
    return axes


def test_activity_is_over_seconds_with_the_names_of_populations():
    from fwsim.recording import display

    rates = np.arange(12.0).reshape(1, 3, 4)
    coords = {"time": [0.5, 1.0, 1.5], "population": ("unit", ["E", "E", "E", "I"])}
    run = xr.Dataset({"rate": (("trial", "time", "unit"), rates, {"units": "Hz"})}, coords)
    axes = drawn(display.activity(run))
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), rates[0].T)
    assert image.get_extent() == [0.0, 1.5, -0.5, 3.5]
    assert (image.get_cmap().name, image.get_clim()) == ("cividis", (0.0, 11.0))
    assert axes.get_xlabel() == "time (s)"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["E", "I"]
    assert list(axes.get_yticks()) == [1.0, 3.0]
    axes = drawn(display.activity(run - 6.0))
    assert (axes.images[0].get_cmap().name, axes.images[0].get_clim()) == ("RdBu_r", (-6.0, 6.0))


@pytest.mark.parametrize("steps", [0, 1])
def test_recordings_of_hardly_any_samples_have_a_card(steps):
    net = fw.RateNetwork(fw.Projection(torch.zeros(2, 2)), tau=0.01, dt=0.001)
    run = fw.simulate(net, torch.ones(1, steps, 2), record="rate")
    assert "svg" in Balance(run.fwsim._repr_html_()).tags
    from fwsim.recording import display

    assert display.edges(run["time"].values) == pytest.approx([(0.0, 1.0), (0.0, 0.001)][steps])


def test_a_frozen_loop_shows_sizes_and_its_matrix():
    net = fw.FastWeightNetwork(2, 5, fw.Hebbian(tau=1.0, eta=0.1))
    loop = fw.measure.InnerLoop.of(net, net.initial_state(1), torch.zeros(2))
    assert repr(loop) == "InnerLoop(5 units, relu, normalise='inner')"
    page = Balance(loop._repr_html_())
    assert "svg" in page.tags
    assert "matrix A" in page.text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234567, "0.1235"), ((1.0, 2.5), "1, 2.5"), (torch.tensor([3.0]), "3"), ("a", "a"), (50, "50")],
)
def test_quantities(value, text):
    assert notebook.quantity(value) == text


def test_text_is_escaped():
    assert "<script>" not in notebook.table(("a",), [("<script>",)])
