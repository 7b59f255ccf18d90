"""A fitted synapse goes where every rule goes."""

from functools import cache

import torch

import fwsim as fw
from fwsim.fitting import TRAINS, synthetic_table

LN = fw.LinearNonlinear(baseline=-2.0, a=0.6, tau_trace=0.2, readout="cloglog")


@cache
def fitted():
    """The rule fitted to its own responses."""
    return fw.fit(LN, synthetic_table(LN, sweeps=10, gain=6.0), replicates=2, starts=4)


def test_brian2_gives_the_same_responses():
    times = torch.tensor(TRAINS["20Hz_then_100Hz"], dtype=torch.float64)
    in_brian2 = fitted().gain * fw.spiking.respond(fitted().rule, times)
    torch.testing.assert_close(in_brian2, fitted().predict(times), rtol=1e-10, atol=0)


def test_a_rate_network_runs_with_it():
    weights = fitted().gain * torch.tensor([[0.0, 0.1], [0.1, 0.0]])
    net = fw.RateNetwork([fw.Projection(weights, synapse=fitted().rule)], tau=0.01, dt=1e-3)
    run = fw.simulate(net, torch.full((1, 500, 2), 5.0), record=["rate", "release"])
    release = run["release"].isel(trial=0, projection=0, unit=0)
    assert float(release[-1]) > 1.5 * float(release[0])  # it facilitates
    state = fitted().rule.steady_state(float(run["rate"][0, -1, 0]), "mean_field").release
    assert abs(float(release[-1]) / float(state) - 1) < 0.1


def test_beside_a_fast_weight_in_one_synapse():
    both = fw.Product(fw.HebbianTraces(tau=1.0, eta=0.1, tau_pre=0.02, tau_post=0.02), fitted().rule)
    times = torch.tensor([0.0, 0.01, 0.02], dtype=torch.float64)
    weight = both.weight.respond(times, times)
    torch.testing.assert_close(both.respond(times, times), weight * fitted().rule.respond(times))


def test_its_release_is_a_probability():
    drawn = fw.StochasticRelease(fitted().rule, sites=5).respond(
        torch.tensor(TRAINS["100Hz"]).expand(4000, -1)
    )
    expected = fitted().rule.respond(torch.tensor(TRAINS["100Hz"]))
    assert (drawn.mean(0) - expected).abs().max() < 0.02
