"""Layer normalisation learns on a larger area of decay and strength than none, and bounds what grows without it."""

import pytest
import torch

import fwsim as fw
from fwsim import study
from fwsim.study import load_experiment

NAME = "normalisation"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Six points of the grid with and without layer normalisation, as `--quick` runs them."""
    folder = tmp_path_factory.mktemp("area") / "run"
    over = {"normalise": ["layer", "none"], "decay": [0.8, 0.95], "eta": [0.05, 0.5, 5.0]}
    run = fw.sweep(NAME, over, 1, quick=True, workers=1, folder=folder)
    return study.analyse(run.attrs["folder"]).result


def test_layer_normalisation_learns_on_a_larger_area(result):
    """Band, set before the run: at two or more points more, of six."""
    area = 6 * result.area
    assert float(area.sel(normalise="layer") - area.sel(normalise="none")) >= 2


def test_only_what_is_not_normalised_diverges(result):
    """A write of η‖h‖² > 1 multiplies the next state: without normalisation it grows without bound."""
    diverged = result.diverged.isel(seed=0)
    assert not bool(diverged.sel(normalise="layer").any())
    assert bool(diverged.sel(normalise="none", eta=5.0).all())


@pytest.mark.parametrize("normalise", ["divisive", "subtractive"])
def test_circuits_iterate_with_inhibition(normalise):
    """One iteration is f(gain·N[z + A h] + bias), written out."""
    experiment = load_experiment(study.files.find(NAME, "experiments"))
    torch.manual_seed(0)
    net = experiment.run.__globals__["network"](
        experiment.configure({"normalise": normalise, "division": 2.0, "floor": 0.5, "subtraction": 2.0})
    )
    x = torch.randn(3, 4, net.inputs)
    hidden, _ = net(x)
    _, state = net(x[:, :-1])
    z = hidden[:, -2] @ net.W.T + x[:, -1] @ net.C.T + net.b
    field = z + torch.einsum("bij,bj->bi", state.memory[:, 0], z.relu())
    pool = field.relu().mean(-1, keepdim=True)
    inhibited = field / (0.5 + 2 * pool) if normalise == "divisive" else field - 2 * pool
    torch.testing.assert_close(hidden[:, -1], inhibited.relu(), rtol=1e-4, atol=1e-5)
    loop = fw.measure.InnerLoop.of(net, state, x[1, -1], trial=1)
    torch.testing.assert_close(loop(loop.start)[0], hidden[1, -1], rtol=1e-4, atol=1e-5)


def test_a_network_that_diverges_has_the_error_of_chance(result):
    lost = result.test_error.where(result.diverged)
    assert float(lost.max()) == float(lost.min()) == 90
