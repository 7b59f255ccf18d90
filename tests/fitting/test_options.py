"""Options and times that are not allowed get one clear line."""

import numpy as np
import pandas as pd
import pytest
import torch

import fwsim as fw
from fwsim.fitting import synthetic_table

RULE = fw.TsodyksMarkram(U=0.1, tau_rec=0.1, tau_facil=0.5)
TABLE = synthetic_table(RULE, sweeps=6, gain=6.0)


@pytest.fixture(scope="module")
def fit():
    return fw.fit(RULE, TABLE, starts=2, replicates=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "a"}, "level='a' is not allowed"),
        ({"starts": True}, "starts=True is not allowed"),
        ({"seed": -1}, "seed=.* is not allowed"),
        ({"intraclass_correlation": "a"}, "intraclass_correlation='a' is not allowed"),
        ({"fixed": 3}, "fixed=3 is not allowed; give a name"),
        ({"bounds": [1]}, r"bounds=\[1\] is not allowed; give a dict"),
        ({"bounds": {"U": 3}}, "bounds of U are 3; give two numbers"),
        ({"bounds": {"U": ("a", "b")}}, "bounds of U are .* give two numbers"),
        ({"bounds": {"U": (0.1, 0.2, 0.3)}}, "bounds of U are .* give two numbers"),
        ({"bounds": {"U": (0.1, 0.2)}, "fixed": "U"}, "U is fixed and has bounds"),
    ],
)
def test_options_of_a_fit(options, message):
    with pytest.raises(fw.ConfigError, match=message):
        fw.fit(RULE, TABLE, **options)


@pytest.mark.parametrize(
    ("rules", "options", "message"),
    [
        ([RULE, 3], {}, "3 cannot be compared"),
        ([fw.TsodyksMarkram], {}, "cannot be compared; give instances"),
        ([RULE], {"fixed": "U"}, "fixed='U' is not allowed; give a dict"),
    ],
)
def test_options_of_a_comparison(rules, options, message):
    with pytest.raises(fw.ConfigError, match=message):
        fw.compare_rules(rules, TABLE, **options)


@pytest.mark.parametrize(
    "options",
    [{"sweeps": 1.5}, {"gain": -1}, {"cv": 0}, {"missing": 1}, {"seed": -1}, {"trains": [[0.0, 1.0]]}],
)
def test_options_of_a_drawn_table(options):
    with pytest.raises(fw.ConfigError, match=next(iter(options))):
        synthetic_table(RULE, **options)


@pytest.mark.parametrize("times", [None, "abc", ["a"], [1j], [[0.0], [0.0, 1.0]]])
def test_times_that_are_not_numbers(fit, times):
    for ask in (fit.predict, fit.bands):
        with pytest.raises(fw.ShapeError, match=r"times are not an array of numbers .* NaN"):
            ask(times)


@pytest.mark.parametrize("times", [[], 0.1, [[0.0, 0.1]], np.zeros((0, 3))])
def test_bands_are_of_one_train(fit, times):
    with pytest.raises(fw.ShapeError, match="bands are of one train"):
        fit.bands(times)


def test_predictions_take_what_holds_numbers(fit):
    expected = fit.predict([0.0, 0.5])
    for times in (
        np.array([0, 0.5], dtype="float32"),
        pd.Series([0.0, 0.5], index=[3, 4]),
        torch.tensor([0.0, 0.5]),
    ):
        torch.testing.assert_close(fit.predict(times), expected)
    assert fit.predict([]).shape == (0,)
    assert fit.predict([[0.0, 0.1], [0.0, torch.nan]]).isnan().tolist() == [[False, False], [False, True]]
