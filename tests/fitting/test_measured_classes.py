"""Classes of recorded synapses: samples, tables, and how far a rule is from its class."""

import pytest
import torch

import fwsim as fw
from fwsim.fitting import class_table
from fwsim.fitting.measured_classes import AXES, FILE, read_classes
from tests.fitting.recorded import population

CLASS = "mouse sim1→sim1"


def coordinates(rule):
    return torch.stack([torch.logit(rule.U), rule.tau_rec.log(), rule.tau_facil.log()], -1)


def test_samples_have_the_moments_of_their_class():
    one = fw.measured(CLASS)
    z = coordinates(one.sample(40_000, seed=0))
    deviation = one.covariance.diagonal().sqrt()
    assert ((z.mean(0) - one.mean).abs() < 0.03 * deviation).all()
    scale = deviation[:, None] * deviation
    assert ((torch.cov(z.T) - one.covariance).abs() < 0.03 * scale).all()
    typical = coordinates(
        fw.TsodyksMarkram(**{k: torch.tensor(float(v)) for k, v in plain(one.rule).items()})
    )
    torch.testing.assert_close(typical.double(), one.mean, rtol=0, atol=1e-5)


def plain(rule):
    return {name: getattr(rule, name) for name in AXES}


def test_samples_repeat_with_their_seed():
    one = fw.measured("mouse sim1->sim1")  # the arrow may be two signs
    assert one.sample(5, seed=3).U.tolist() == fw.measured(CLASS).sample(5, seed=3).U.tolist()
    assert one.sample(5, seed=3).U.tolist() != one.sample(5, seed=4).U.tolist()


def test_a_wrong_name_lists_the_classes():
    for given in ("mouse sst", 3, None):
        with pytest.raises(fw.ConfigError, match="use one of 'human unknown→unknown', 'mouse sim1→sim1'"):
            fw.measured(given)
    with pytest.raises(fw.ConfigError, match="n=0"):
        fw.measured(CLASS).sample(0)


def test_the_table_has_every_class_with_a_distribution():
    classes = read_classes(FILE)
    assert sum(each.pairs for each in classes.values()) == 461
    assert [each.pairs for each in classes.values()] == sorted(
        (c.pairs for c in classes.values()), reverse=True
    )
    for each in classes.values():
        torch.testing.assert_close(each.covariance, each.covariance.T, rtol=1e-4, atol=1e-6)
        assert (torch.linalg.eigvalsh(each.covariance) > 0).all()
        assert each.sample(100).respond(torch.tensor([0.0, 0.02, 0.04], dtype=torch.float64)).isfinite().all()


def test_a_table_has_the_moments_of_what_a_population_predicts(tmp_path):
    table, _ = population(3, 4, seed=1)
    start = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1)
    fitted = fw.fit_population(start, table, chains=1, warmup=60, moves=200, exact=0)
    class_table(fitted).to_csv(tmp_path / "classes.csv", index=False)
    one = read_classes(tmp_path / "classes.csv")["a"]
    rule = fitted.sample("a", 40_000, seed=0)
    z = coordinates(rule)
    deviation = z.std(0)
    assert ((z.mean(0) - one.mean).abs() < 0.05 * deviation).all()
    assert ((torch.cov(z.T) - one.covariance).abs() < 0.1 * deviation[:, None] * deviation).all()
    assert one.pairs == 3


def test_a_synapse_is_judged_by_all_values_together():
    one = fw.measured(CLASS)
    assert one.farther(one.rule) == pytest.approx(1.0)
    drawn = one.sample(400, seed=2)
    rows = zip(*(getattr(drawn, name).tolist() for name in AXES))
    places = sorted(one.farther(fw.TsodyksMarkram(*row)) for row in rows)
    assert max(abs(place - (k + 0.5) / 400) for k, place in enumerate(places)) < 0.08  # uniform
    far = fw.TsodyksMarkram(0.5, 2.0, 2.0)
    assert one.farther(far) < 0.05
    same = fw.TsodyksMarkram(1 - 0.5**0.5, 2.0, 2.0, "mongillo2008")  # its first release is 0.5 too
    assert one.farther(same) == pytest.approx(one.farther(far))
    for rule, message in ((fw.Varela(), "no tau_rec"), (fw.TsodyksMarkram(0.5, 0.2, 0.0), "above 0")):
        with pytest.raises(fw.ConfigError, match=message):
            one.farther(rule)


def test_samples_go_into_networks():
    synapses = fw.measured("mouse sst→sst").sample(20, seed=1)
    net = fw.RateNetwork(
        [fw.Projection(torch.ones(20, 20) / 20, synapse=synapses)], tau=0.01, gain=fw.relu, dt=1e-3
    )
    release = fw.simulate(net, torch.ones(1, 20, 20), record=["release"]).release.isel(time=-1)
    assert release.std() > 0
    cells = fw.spiking.Population("E", 20)
    circuit = fw.spiking.Circuit([cells], [fw.spiking.Connection("E", "E", 1e-4, 0.5, synapse=synapses)])
    run = fw.spiking.simulate(circuit, steps=20, seed=1, engine="auto", record="release")
    torch.testing.assert_close(
        torch.tensor(run.release.values[0, -1, 0]), synapses.U.float()
    )  # no neuron spikes
