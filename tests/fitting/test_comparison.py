"""Leaving protocols out: that it is done, and what it tells about known synapses."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim.fitting import TRAINS, choose, gather, noise_floor, synthetic_table
from fwsim.fitting.comparison import every_fold, labels, squared_error
from fwsim.fitting.coordinates import Coordinate
from fwsim.fitting.posterior import Interval, undetermined
from fwsim.rules.parameters import number, time_constant
from fwsim.rules.rule import PresynapticRule

TM = fw.TsodyksMarkram(U=0.15, tau_rec=0.3, tau_facil=0.4)
RULES = {"right": TM, "wrong": fw.Varela(f=0.5, tau_F=0.1, d=(), tau_D=())}
TABLE = synthetic_table(TM, sweeps=60, gain=5.0, cv=0.4, seed=2)


@cache
def of_two_rules():
    """Both rules on all responses."""
    return fw.compare_rules(RULES, TABLE, starts=4)


def test_the_right_rule_wins():
    best = of_two_rules().sel(rule="right")
    for name in ("aic", "bic", "tic"):
        assert best[name] < of_two_rules()[name].sel(rule="wrong") - 50
    assert (best.held_out_error < of_two_rules().held_out_error.sel(rule="wrong")).mean() >= 0.8
    assert best.held_out_error.max() < 0.05
    assert (of_two_rules().chosen == "right").all()
    for criterion in of_two_rules().criterion:
        np.testing.assert_array_equal(
            of_two_rules().chosen_error.sel(criterion=criterion), best.held_out_error
        )


def test_a_prediction_does_not_know_what_it_predicts():
    """Neither the prediction nor the choice of the rule changes when the protocol's responses do."""
    protocol = "200Hz"
    factor = np.where(TABLE.protocol == protocol, 3.0, 1.0)
    other = fw.compare_rules(RULES, TABLE.assign(amplitude=TABLE.amplitude * factor), starts=4)
    part, before = other.sel(protocol=protocol), of_two_rules().sel(protocol=protocol)
    for name in ("prediction", "inner_error", "inner_log_likelihood", "inner_tic"):
        np.testing.assert_allclose(part[name], before[name], rtol=2e-3)
    assert (part.chosen == before.chosen).all()
    elsewhere = other.prediction.drop_sel(protocol=protocol)
    assert not np.allclose(
        elsewhere, of_two_rules().prediction.drop_sel(protocol=protocol), rtol=1e-2, equal_nan=True
    )


def test_a_choice_is_by_the_least_of_each_criterion():
    """Also over two variants, where one of them has no number for a rule."""
    made = lambda *rows: (("rule", "protocol"), np.array(rows), {"long_name": "error"})  # noqa: E731
    one = xr.Dataset(
        {
            "held_out_error": made([1.0, 2.0], [3.0, 4.0]),
            "held_out_shape_error": made([0.1, 0.2], [0.3, 0.4]),
            "inner_error": made([5.0, 1.0], [4.0, 2.0]),
            "inner_log_likelihood": made([-5.0, 1.0], [-6.0, 2.0]),
            "inner_tic": made([7.0, 6.0], [6.0, 7.0]),
        },
        coords={"rule": ["a", "b"], "protocol": ["p", "q"]},
    )
    found = choose(one)
    assert found.chosen.values.tolist() == [["b", "a"], ["a", "b"], ["b", "a"]]
    assert found.chosen_error.values.tolist() == [[3.0, 2.0], [1.0, 4.0], [3.0, 2.0]]
    assert found.chosen_shape_error.values.tolist() == [[0.3, 0.2], [0.1, 0.4], [0.3, 0.2]]
    better = (one - 10.0).assign(held_out_error=one.held_out_error).sel(rule=["b"])
    better["inner_log_likelihood"] = one.inner_log_likelihood + 10.0
    for name in one:
        better[name].attrs = one[name].attrs
    both = xr.concat([one, better.reindex(rule=["a", "b"])], "variant").assign_coords(variant=["x", "y"])
    assert set(choose(both).chosen.values.ravel()) == {"y, b"}


def test_what_has_no_number_is_never_chosen():
    made = lambda *rows: (("rule", "protocol"), np.array(rows), {"long_name": "error"})  # noqa: E731
    nan = np.nan
    one = xr.Dataset(
        {
            "held_out_error": made([nan, nan, 3.0], [2.0, 1.0, 4.0]),
            "held_out_shape_error": made([nan, nan, 3.0], [2.0, 1.0, 4.0]),
            "inner_error": made([nan, 1.0, nan], [4.0, nan, nan]),
            "inner_log_likelihood": made([nan, nan, nan], [-np.inf, 2.0, nan]),
            "inner_tic": made([nan, 6.0, nan], [6.0, 7.0, nan]),
        },
        coords={"rule": ["a", "b"], "protocol": ["p", "q", "r"]},
    )
    found = choose(one)
    assert found.chosen.values.tolist() == [["b", "a", "none"], ["b", "b", "none"], ["b", "a", "none"]]
    np.testing.assert_array_equal(found.chosen_error, [[2, nan, nan], [2, 1, nan], [2, nan, nan]])


@dataclass(frozen=True, eq=False)
class Negative(PresynapticRule):
    """A rule that cannot be fitted: all that it releases is negative."""

    influx: Any = number(0.2, low=0.0)
    tau: Any = time_constant(0.1)

    def rest(self):
        return {"C": 1}

    def drift(self, state):
        return {"C": (1 - state["C"]) / self.tau}

    def on_pre(self, state):
        return {**state, "C": state["C"] + self.influx}, -state["C"]


@pytest.mark.parametrize("order", [("negative", "right"), ("right", "negative")])
def test_a_rule_that_cannot_be_fitted_leaves_the_others_alone(order):
    rules = {"negative": Negative(), "right": TM}
    with pytest.warns(UserWarning, match="negative gave no positive responses from any of 4 starts"):
        compared = fw.compare_rules({name: rules[name] for name in order}, TABLE, starts=4)
    assert (compared.chosen == "right").all()
    numbers = ["held_out_error", "prediction", "inner_tic", "tic", "log_likelihood", "agreement", "fitted"]
    assert compared.sel(rule="negative")[numbers].isnull().all().to_array().all()
    for name in numbers:
        np.testing.assert_array_equal(
            compared[name].sel(rule="right"), of_two_rules()[name].sel(rule="right")
        )
    with pytest.raises(fw.ConfigError, match="negative gave no positive responses"):
        fw.compare_rules({"negative": Negative()}, TABLE, starts=2)


@pytest.mark.parametrize("scale", ["log", "logit", "linear"])
def test_an_interval_that_is_nan_determines_nothing(scale):
    axis = Coordinate("x", scale, 0.01, 0.99, (0.1, 0.9), "1")
    assert not undetermined(axis, Interval(0.2, 0.3))
    for low, high in [(np.nan, np.nan), (0.2, np.nan), (np.nan, 0.3)]:
        assert undetermined(axis, Interval(low, high))


def test_the_criterion_without_a_protocol_is_that_of_a_fit_without_it():
    fit = fw.fit(TM, gather(TABLE).without("20Hz"), replicates=2, starts=4)
    np.testing.assert_allclose(
        of_two_rules().inner_tic.sel(rule="right", protocol="20Hz"), fit.tic, rtol=1e-4
    )


def test_held_out_predictions_are_those_of_a_fit_without_the_protocol():
    data = gather(TABLE)
    fit = fw.fit(TM, data.without("20Hz"), replicates=2, starts=4)
    expected = fit.predict(TRAINS["20Hz"])
    np.testing.assert_allclose(
        of_two_rules().prediction.sel(rule="right", protocol="20Hz"), expected, rtol=1e-3
    )
    measured = data.only(["20Hz"]).moments().mean[0]
    error = float(((measured - expected) ** 2).mean())
    np.testing.assert_allclose(
        of_two_rules().held_out_error.sel(rule="right", protocol="20Hz"), error, rtol=1e-2
    )


def test_full_fit_is_that_of_fit():
    fit = fw.fit(TM, TABLE, replicates=2, starts=4)
    right = of_two_rules().sel(rule="right")
    for name in ("log_likelihood", "aic", "bic", "tic"):
        np.testing.assert_allclose(right[name], getattr(fit, name), rtol=1e-6)
    np.testing.assert_allclose(right.fitted, fit.residuals().predicted, rtol=1e-3)


def test_a_gain_of_its_own_explains_a_protocol_that_is_only_larger():
    factor = np.where(TABLE.protocol == "20Hz", 2.0, 1.0)
    scaled = fw.compare_rules(
        {"right": TM}, TABLE.assign(amplitude=TABLE.amplitude * factor), starts=4, gain="protocol"
    ).sel(rule="right", protocol="20Hz")
    assert scaled.held_out_error > 0.5
    assert scaled.held_out_shape_error < 0.05 * scaled.held_out_error


def test_shape_error_has_the_best_gain():
    measured = torch.tensor([1.0, 2.0, 4.0, torch.nan], dtype=torch.float64)
    predicted = torch.tensor([0.8, 2.5, 3.0, 7.0], dtype=torch.float64)
    error, shape = squared_error(measured, predicted)
    gains = torch.linspace(0.5, 2.0, 20001, dtype=torch.float64)[:, None]
    every = ((measured[:3] - gains * predicted[:3]) ** 2).mean(-1)
    assert error == pytest.approx(float(((measured - predicted)[:3] ** 2).mean()))
    assert shape == pytest.approx(float(every.min()), rel=1e-6)


def test_folds_leave_out_none_one_and_two():
    folds = every_fold(4)
    assert len(folds.kept) == 1 + 4 + 6
    for i in range(4):
        assert (~folds.kept[folds.single[i]]).nonzero()[:, 0].tolist() == [i]
        for j in range(4):
            assert (~folds.kept[folds.double[i, j]]).nonzero()[:, 0].tolist() == sorted({i, j})


def test_floor_finds_equal_stimuli_and_what_sampling_makes_of_it():
    table = synthetic_table(TM, sweeps=200, gain=5.0, cv=0.4, seed=3)
    floor = noise_floor(table).set_index("protocols")
    assert floor.pulses.to_dict() == {"20Hz, 20Hz_then_100Hz": 5, "100Hz, 100Hz_then_20Hz": 5}
    assert (floor.squared_difference < 3 * floor.from_sampling).all()
    shifted = table.assign(amplitude=table.amplitude * np.where(table.protocol == "100Hz", 1.5, 1.0))
    assert (noise_floor(shifted).squared_difference > 10 * noise_floor(shifted).from_sampling).any()


def test_labels_tell_rules_apart():
    rules = [TM, fw.TsodyksMarkram(convention="mixed"), fw.LinearNonlinear(), fw.Varela(d=0.5, tau_D=0.1), TM]
    expected = [
        "TsodyksMarkram maass2002 #1",
        "TsodyksMarkram mixed",
        "LinearNonlinear cloglog 2",
        "Varela 1",
    ]
    assert labels(rules) == [*expected, "TsodyksMarkram maass2002 #2"]


def test_parameters_may_keep_their_value():
    rule = fw.TsodyksMarkram(U=0.15, tau_rec=0.3, tau_facil=0.1)
    held = fw.compare_rules({"a": rule, "b": TM}, TABLE, starts=2, fixed={"a": "tau_facil"})
    assert (held.parameters.sel(rule="a") + 1 == held.parameters.sel(rule="b")).all()
    assert held.log_likelihood.sel(rule="a") < held.log_likelihood.sel(rule="b") - 5
    with pytest.raises(fw.ConfigError, match="fixed names 'c', which is not compared; use 'a'"):
        fw.compare_rules({"a": rule}, TABLE, fixed={"c": "U"})


def test_refusals():
    two = TABLE[TABLE.protocol.isin(["20Hz", "100Hz"])]
    with pytest.raises(fw.ConfigError, match="have 2 protocols; leaving one out needs at least 3"):
        fw.compare_rules([TM], two)
    with pytest.raises(fw.ConfigError, match="no rule to compare"):
        fw.compare_rules([], TABLE)
    with pytest.raises(fw.ConfigError, match="rules is a TsodyksMarkram; give a list"):
        fw.compare_rules(TM, TABLE)
    with pytest.raises(fw.ConfigError, match="seed='a'"):
        fw.compare_rules([TM], TABLE, seed="a")
    with pytest.raises(fw.ConfigError, match="integer of at least 1"):
        fw.compare_rules([TM], TABLE, starts=0)
