"""What a fit finds in responses of known synapses."""

from functools import cache

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.fitting import TRAINS, gather, synthetic_table
from fwsim.fitting.coordinates import coordinates, starts
from fwsim.fitting.estimate import rivals

TM = fw.TsodyksMarkram(U=0.2, tau_rec=0.12, tau_facil=0.4)
START = fw.TsodyksMarkram(U=0.5, tau_rec=0.5, tau_facil=0.05)
LN = fw.LinearNonlinear(baseline=-2.0, a=(0.5, 0.3), tau_trace=(0.03, 0.3), readout="cloglog")
TABLE = synthetic_table(TM, sweeps=60, gain=5.0, cv=0.4, missing=0.1, seed=1)


@cache
def fitted():
    """The rule fitted to the table."""
    return fw.fit(START, TABLE, seed=1)


@pytest.mark.parametrize("convention", ["maass2002", "mongillo2008", "mixed"])
def test_almost_noiseless_responses_give_the_parameters_back(convention):
    rule = fw.TsodyksMarkram(U=0.2, tau_rec=0.12, tau_facil=0.4, convention=convention)
    fit = fw.fit(
        fw.TsodyksMarkram(U=0.5, tau_rec=0.5, tau_facil=0.05, convention=convention),
        synthetic_table(rule, sweeps=20, gain=5.0, cv=1e-4), replicates=2, starts=8,
    )  # fmt: skip
    for name in ("U", "tau_rec", "tau_facil"):
        np.testing.assert_allclose(fit.rule.parameters()[name], rule.parameters()[name], rtol=3e-3)
    np.testing.assert_allclose(fit.gain, 5.0, rtol=3e-3)
    assert fit.rule.convention == convention


def test_components_come_back_in_order_of_their_times():
    start = fw.LinearNonlinear(baseline=-1.0, a=(0.1, 0.1), tau_trace=(0.4, 0.1), readout="cloglog")
    fit = fw.fit(start, synthetic_table(LN, sweeps=50, gain=7.0, cv=1e-3), replicates=2, starts=12)
    np.testing.assert_allclose(fit.rule.tau_trace, LN.tau_trace, rtol=0.03)
    np.testing.assert_allclose(fit.rule.a, LN.a, rtol=0.03)
    assert (fit.replicates[:, 3] <= fit.replicates[:, 4]).all()


@pytest.mark.parametrize(("bounds", "exchanged"), [(None, True), ({"tau_trace_1": (0.01, 5.0)}, False)])
def test_components_are_exchanged_unless_one_has_its_own_bounds(bounds, exchanged):
    rule = fw.LinearNonlinear(baseline=-1.0, a=(0.1, 0.2), tau_trace=(0.4, 0.1), readout="cloglog")
    at = coordinates(rule, gather(TABLE).times, 1.0, "shared", bounds=bounds)
    given = starts(at, 1, torch.Generator())[0]
    found = dict(zip(at.names, at.values(at.ordered(given)).tolist()))
    assert (found["tau_trace_1"] < found["tau_trace_2"]) == exchanged
    assert (found["a_1"] > found["a_2"]) == exchanged  # each keeps its time


def test_resampled_data_start_from_a_few_distinct_maxima_near_the_best():
    values = torch.tensor([-1.0, -1.0001, -2.0, -3.0, -4.0, -30.0], dtype=torch.float64)
    ends = torch.arange(6.0)[:, None]
    assert rivals(ends, values).flatten().tolist() == [0.0, 2.0, 3.0]
    assert rivals(ends[[0, 1, 2, 5]], values[[0, 1, 2, 5]]).flatten().tolist() == [0.0, 2.0]


def test_noisy_responses_are_covered_by_both_intervals():
    truth = {**TM.parameters(), "gain": 5.0, "exponent": 2.0}
    for intervals in (fitted().intervals, fitted().posterior.intervals(0.999)):
        for name in ("U", "tau_rec", "tau_facil", "gain", "exponent"):
            low, high = intervals[name]
            assert low < high
            assert low - 0.5 * (high - low) < truth[name] < high + 0.5 * (high - low)
    assert fitted().undetermined == ()
    assert 0 < fitted().agreement <= 1


def test_dispersion_is_the_squared_coefficient_of_variation():
    low, high = fitted().intervals["dispersion"]
    assert low < 0.4**2 < high


def test_amplitudes_in_another_unit_change_the_gain_alone():
    other = fw.fit(START, TABLE.assign(amplitude=TABLE.amplitude * 1e-11), seed=1)
    np.testing.assert_allclose(other.gain, fitted().gain * 1e-11, rtol=1e-3)
    for name, value in fitted().rule.parameters().items():
        np.testing.assert_allclose(other.rule.parameters()[name], value, rtol=1e-3)
    assert other.undetermined == ()


def test_predictions_are_gain_times_release():
    times = torch.tensor([[0.0, 0.02, 0.05], [0.0, 0.3, torch.nan]], dtype=torch.float64)
    torch.testing.assert_close(
        fitted().predict(times), fitted().gain * fitted().rule.respond(times), equal_nan=True
    )
    torch.testing.assert_close(fitted().predict([0.0, 0.02, 0.05]), fitted().predict(times)[0])


def test_bands_hold_the_mean_and_single_responses():
    fresh = gather(synthetic_table(TM, {"20Hz": TRAINS["20Hz"]}, sweeps=2000, gain=5.0, cv=0.4, seed=9))
    bands = fitted().bands(TRAINS["20Hz"])
    assert ((bands.mean_low < bands["mean"]) & (bands["mean"] < bands.mean_high)).all()
    assert ((bands.response_low < bands.mean_low) & (bands.mean_high < bands.response_high)).all()
    inside = (fresh.amplitude.numpy() > bands.response_low.values) & (
        fresh.amplitude.numpy() < bands.response_high.values
    )
    assert 0.93 < inside.mean() < 0.97
    narrow = fitted().bands(TRAINS["20Hz"], level=0.5)
    assert (narrow.response_high < bands.response_high).all()


def test_each_protocol_may_have_its_gain():
    scale = {name: 2.0 + k for k, name in enumerate(TRAINS)}
    table = TABLE.assign(amplitude=TABLE.amplitude * TABLE.protocol.map(scale))
    fit = fw.fit(START, table, gain="protocol", replicates=5, starts=8)
    for name, value in fit.gains.items():
        np.testing.assert_allclose(value, 5.0 * scale[name], rtol=0.15)
    np.testing.assert_allclose(np.log(fit.gain), np.mean(np.log(list(fit.gains.values()))))
    assert fit.log_likelihood > fw.fit(START, table, replicates=2).log_likelihood + 50


def test_zero_and_negative_responses_need_normal_noise():
    table = synthetic_table(TM, sweeps=60, gain=5.0, cv=0.6, noise="normal", seed=4)
    assert (table.amplitude <= 0).any()
    with pytest.raises(fw.ConfigError, match="use noise='normal', or leave failures empty"):
        fw.fit(START, table)
    fit = fw.fit(START, table, noise="normal")
    low, high = fit.intervals["tau_facil"]
    assert low < 0.4 < high


def test_what_the_trains_cannot_tell_is_flagged():
    one_train = synthetic_table(TM, {"20Hz": TRAINS["20Hz"][:3]}, sweeps=40, gain=5.0)
    fit = fw.fit(START, one_train)
    assert {"U", "tau_rec", "gain"} <= set(fit.undetermined)
    summary = fit.summary().set_index("parameter")
    assert not summary.determined["tau_rec"]
    assert summary.unit["tau_rec"] == "s"


def test_fixed_parameters_and_bounds_are_kept():
    fit = fw.fit(START, TABLE, fixed=["U"], bounds={"tau_rec": (0.2, 0.3)}, replicates=5)
    assert fit.rule.U == 0.5
    assert 0.2 <= fit.rule.tau_rec <= 0.3
    assert "U" not in fit.intervals
    drawn = fit.posterior.at.values(fit.posterior.sample(100))
    rec = drawn[:, fit.posterior.at.names.index("tau_rec")]
    assert 0.2 <= float(rec.min()) < float(rec.max()) <= 0.3
    freer = fw.fit(START, TABLE, replicates=2)
    assert freer.log_likelihood > fit.log_likelihood


def test_amplitude_and_unused_parameters_stay_as_given():
    fit = fw.fit(fw.Varela(d=0.8, tau_D=0.2, amplitude=3.0), TABLE, replicates=2, starts=4)
    assert fit.rule.amplitude == 3.0
    assert "tau_inact" not in fitted().parameters
    assert (
        "tau_inact"
        in fw.fit(fw.TsodyksMarkram(convention="tm1998"), TABLE, replicates=2, starts=4).parameters
    )


def test_residuals_of_the_right_rule_are_standard_normal():
    residual = fitted().residuals().residual.values
    residual = residual[np.isfinite(residual)]
    assert len(residual) == 38
    assert 0.5 < residual.std() < 1.5
    assert abs(residual.mean()) < 0.6


def test_information_criteria_count_parameters():
    number = len(fitted().parameters)
    assert fitted().aic == 2 * number - 2 * fitted().log_likelihood
    assert fitted().bic == pytest.approx(number * np.log(len(TABLE)) - 2 * fitted().log_likelihood)
    assert abs(fitted().tic - fitted().aic) < number  # responses are independent here


def test_sweeps_that_go_together_widen_the_intervals():
    factor = np.exp(0.5 * np.random.default_rng(0).standard_normal(400))
    sweep = TABLE.groupby(["protocol", "sweep"]).ngroup()
    fit = fw.fit(START, TABLE.assign(amplitude=TABLE.amplitude * factor[sweep]))
    assert fit.penalty > 1.3 * len(fit.parameters)
    for intervals in (fit.intervals, fit.posterior.intervals()):
        low, high = intervals["gain"]
        before = fitted().intervals["gain"]
        assert np.log(high / low) > 1.3 * np.log(before.high / before.low)


def test_cells_that_differ_between_protocols_widen_the_intervals():
    """With design effect 1 + 59 · .05 ≈ 4, standard deviations double."""
    fit = fw.fit(START, TABLE, intraclass_correlation=0.05, seed=1)
    for mine, before in (
        (fit.intervals, fitted().intervals),
        (fit.posterior.intervals(), fitted().posterior.intervals()),
    ):
        ratio = np.log(mine["gain"].high / mine["gain"].low) / np.log(
            before["gain"].high / before["gain"].low
        )
        assert 1.5 < ratio < 2.6
    np.testing.assert_allclose(fit.penalty, fitted().penalty, rtol=0.1)
    np.testing.assert_allclose(fit.rule.tau_facil, fitted().rule.tau_facil, rtol=0.02)  # sixty sweeps of each


def test_the_same_seed_gives_the_same_fit():
    one, other = (fw.fit(START, TABLE, seed=5, replicates=5, starts=4) for _ in range(2))
    assert torch.equal(one.replicates, other.replicates)


def test_a_name_alone_fixes_that_parameter():
    alone, listed = (
        fw.fit(START, TABLE, fixed=fixed, replicates=2, starts=2) for fixed in ("tau_rec", ["tau_rec"])
    )
    assert alone.rule.tau_rec == START.tau_rec
    assert alone.parameters == listed.parameters


def test_the_name_of_several_components_fixes_them_all():
    start = fw.LinearNonlinear(a=(0.4, 0.3), tau_trace=(0.05, 0.5))
    fit = fw.fit(start, TABLE, fixed="tau_trace", replicates=2, starts=2)
    assert fit.rule.tau_trace == (0.05, 0.5)
    assert {"a_1", "a_2"} <= set(fit.parameters)
    assert not any(name.startswith("tau") for name in fit.parameters)


REFUSED = {
    "associative": (fw.HebbianTraces(tau=1.0, eta=0.1), {}, "cannot be fitted to presynaptic trains"),
    "a class": (fw.Varela, {}, "Varela cannot be fitted .* an instance"),
    "random": (fw.StochasticRelease(TM), {}, "fit the rule inside it"),
    "unknown fixed": (TM, {"fixed": ["tau"]}, "no parameter 'tau'; it has .*tau_facil"),
    "unknown bound": (TM, {"bounds": {"x": (0, 1)}}, "no parameter 'x'"),
    "bound": (TM, {"bounds": {"tau_rec": (0.0, 1.0)}}, "low < high, above 0"),
    "gain": (TM, {"gain": "free"}, "'shared', 'protocol'"),
    "starts": (TM, {"starts": 0}, "integer of at least 1"),
    "replicates": (TM, {"replicates": 1}, "integer of at least 2"),
    "seed": (TM, {"seed": "a"}, "seed='a' is not allowed"),
    "unknown fixed alone": (TM, {"fixed": "tau"}, "no parameter 'tau'; it has .*tau_facil"),
    "fixed noise": (TM, {"fixed": "exponent"}, r"exponent has no value .* bounds={'exponent': \(low, high\)}"),
    "level": (TM, {"level": 95}, "between 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fitted_is_refused(name):
    rule, options, message = REFUSED[name]
    with pytest.raises(fw.ConfigError, match=message):
        fw.fit(rule, TABLE, **options)


def test_tensors_and_single_pulses_are_refused():
    with pytest.raises(fw.ShapeError, match=r"tau_rec has shape \[2\]; give a number"):
        fw.fit(fw.TsodyksMarkram(tau_rec=torch.tensor([0.1, 0.2])), TABLE)
    with pytest.raises(fw.ConfigError, match="trains of at least two"):
        fw.fit(TM, TABLE[TABLE.pulse == 0])
    with pytest.raises(fw.ConfigError, match="turn the sign"):
        fw.fit(TM, TABLE.assign(amplitude=-TABLE.amplitude), noise="normal")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", ["tsodyks_markram", "linear_nonlinear"])
def test_intervals_cover_at_their_nominal_rate(case):
    """Over 200 recordings the 95 % intervals hold the truth in 95 % ± 4.5 % (3 standard errors)."""
    rule, start = {
        "tsodyks_markram": (TM, START),
        "linear_nonlinear": (
            fw.LinearNonlinear(baseline=-2.0, a=0.7, tau_trace=0.2, readout="cloglog"),
            fw.LinearNonlinear(baseline=-1.0, a=0.2, tau_trace=0.1, readout="cloglog"),
        ),
    }[case]
    truth = {**{f"{k}": v for k, v in rule.parameters().items()}, "gain": 5.0, "exponent": 2.0}
    hits: dict[tuple[str, str], list[bool]] = {}
    for seed in range(200):
        table = synthetic_table(rule, sweeps=60, gain=5.0, cv=0.4, seed=seed)
        fit = fw.fit(start, table, starts=6, replicates=200, seed=seed)
        for kind, intervals in (("bootstrap", fit.intervals), ("laplace", fit.posterior.intervals())):
            for name in fit.parameters.keys() & truth.keys():
                low, high = intervals[name]
                hits.setdefault((kind, name), []).append(low <= truth[name] <= high)
    coverage = {key: np.mean(values) for key, values in hits.items()}
    print(coverage)
    assert all(abs(value - 0.95) <= 0.045 for value in coverage.values()), coverage
