"""Derivatives against finite differences, maxima against SciPy."""

import numpy as np
import pytest
import scipy.optimize
import torch

import fwsim as fw
from fwsim.fitting import gather, synthetic_table
from fwsim.fitting.coordinates import starts
from fwsim.fitting.estimate import problem_of
from fwsim.fitting.optimise import maximise
from fwsim.rules import RULES, PresynapticRule

RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.1, tau_facil=0.5)
DATA = gather(synthetic_table(RULE, sweeps=6, gain=3.0))
PRESYNAPTIC = {name: rule for name, rule in RULES.items() if issubclass(rule, PresynapticRule)}


def points(problem, count):
    return starts(problem.at, count, torch.Generator().manual_seed(1))[1:]


@pytest.mark.parametrize("gain", ["shared", "protocol"])
@pytest.mark.parametrize("name", PRESYNAPTIC)
def test_slopes_are_finite_differences(name, gain):
    problem = problem_of(PRESYNAPTIC[name](), DATA, "gamma", gain)
    z = points(problem, 4)
    mean, slope = problem.mean_and_slope(z)
    torch.testing.assert_close(mean, problem.mean(z))
    for axis in range(z.shape[-1]):
        step = torch.zeros(z.shape[-1], dtype=torch.float64)
        step[axis] = 1e-6
        difference = (problem.mean(z + step) - problem.mean(z - step)) / 2e-6
        known = ~DATA.times.isnan().expand_as(mean)
        torch.testing.assert_close(slope[..., axis][known], difference[known], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("noise", ["gamma", "normal"])
def test_score_is_the_slope_of_the_log_likelihood(noise):
    problem = problem_of(fw.LinearNonlinear(), DATA, noise, "shared")
    z, moments = points(problem, 4), DATA.moments()[None].repeat(3)
    value = lambda at: problem.log_likelihood(problem.mean(at), at, moments)  # noqa: E731
    score, _ = problem.score_and_information(*problem.mean_and_slope(z), z, moments)
    for axis in range(z.shape[-1]):
        step = torch.zeros(z.shape[-1], dtype=torch.float64)
        step[axis] = 1e-6
        torch.testing.assert_close(
            score[:, axis], (value(z + step) - value(z - step)) / 2e-6, rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("noise", ["gamma", "normal"])
def test_maximum_is_that_of_a_general_optimiser(noise):
    problem = problem_of(RULE, DATA, noise, "shared")
    moments = DATA.moments()[None]
    z, value = maximise(problem, moments, starts(problem.at, 1, torch.Generator().manual_seed(0)))

    def loss(at):
        at = torch.from_numpy(at)[None]
        return -float(problem.log_likelihood(problem.mean(at), at, moments))

    found = scipy.optimize.minimize(
        loss,
        z[0].numpy() + 0.1,
        method="Nelder-Mead",
        options={"maxiter": 8000, "maxfev": 8000, "fatol": 1e-9, "xatol": 1e-9, "adaptive": True},
    )
    assert float(value) >= -found.fun - 1e-4
    np.testing.assert_allclose(z[0], found.x, atol=2e-2)
    score, _ = problem.score_and_information(*problem.mean_and_slope(z), z, moments)
    assert score.abs().max() < 0.1


def test_problems_of_a_batch_do_not_touch_each_other():
    problem = problem_of(RULE, DATA, "gamma", "shared")
    moments = DATA.resampled(5, torch.Generator().manual_seed(2))
    begin = points(problem, 6)
    together, _ = maximise(problem, moments, begin)
    for k in range(5):
        alone, _ = maximise(problem, moments[k : k + 1], begin[k : k + 1])
        torch.testing.assert_close(together[k], alone[0], rtol=1e-6, atol=1e-6)


def test_every_step_climbs_and_stays_in_the_box():
    problem = problem_of(fw.Enhancement(), DATA, "gamma", "shared")
    begin = points(problem, 9)
    moments = DATA.moments()[None].repeat(8)
    z, value = maximise(problem, moments, begin)
    before = problem.log_likelihood(problem.mean(begin), begin, moments)
    assert (value >= before).all()
    assert ((z >= problem.at.low) & (z <= problem.at.high)).all()
