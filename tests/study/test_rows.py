"""Rows of tables: settings in order and with their values, numbers and intervals as text."""

import numpy as np
import pytest
import xarray as xr

from fwsim import study
from fwsim.errors import ConfigError
from fwsim.study import each_setting, formatted, standard_error


@pytest.fixture
def result():
    """Two fields that were swept together along one dimension, one of its own, and two seeds."""
    values = np.arange(12.0).reshape(2, 3, 2)
    return xr.Dataset(
        {"error": (("store_clear", "tau", "seed"), values)},
        {
            "store": ("store_clear", ["whole", "none"]),
            "clear": ("store_clear", ["never", "whole"]),
            "tau": [1.0, 2.0, 5.0],
            "plateau": 45.0,
        },
    )


def test_settings_come_with_their_values_and_what_is_left(result):
    found = list(each_setting(result, ["store_clear", "tau"]))
    assert [values["tau"] for values, _ in found] == [1.0, 2.0, 5.0] * 2
    assert found[3][0] == {
        "store": "none",
        "clear": "whole",
        "tau": 1.0,
    }  # not the plateau, which is one for all
    for place, (_, at) in enumerate(found):
        np.testing.assert_array_equal(at["error"], [2 * place, 2 * place + 1])


def test_without_dimensions_the_whole_is_the_only_setting(result):
    ((values, at),) = each_setting(result, [])
    assert values == {}
    xr.testing.assert_identical(at, result)


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        (0.125, {}, "0.12"),
        (xr.DataArray(np.float32(3)), {"form": ".0f"}, "3"),
        ([0.5, 0.25, 0.75], {"scale": 100, "form": ".0f"}, "50 [25, 75]"),
        (np.array([0.5, 0.25, 0.75]), {"interval": "({} – {})", "form": "g"}, "0.5 (0.25 – 0.75)"),
        (np.nan, {"missing": "never"}, "never"),
        (np.inf, {}, ""),
        ([np.nan] * 3, {"missing": "failed"}, "failed"),
        ([0.5, np.nan, np.nan], {}, "0.50"),
        (12345, {"form": ",.0f"}, "12,345"),
    ],
)
def test_numbers_as_text(values, options, text):
    assert formatted(values, **options) == text


def test_standard_errors_count_what_there_is():
    values = xr.DataArray([[1.0, 3.0, np.nan], [2.0, np.nan, np.nan], [np.nan] * 3], dims=("unit", "trial"))
    np.testing.assert_array_equal(standard_error(values, "trial"), [1.0, np.nan, np.nan])
    both = standard_error(values, ["unit", "trial"]).item()
    assert both == pytest.approx(np.std([1, 3, 2], ddof=1) / 3**0.5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda folder: study.run("forgetting", quick="no", folder=folder), "quick='no' .* True or False"),
        (lambda folder: study.run("forgetting", force="no", folder=folder), "force='no' .* True or False"),
        (lambda folder: study.resume(folder, trust="no"), "trust='no' .* True or False"),
        (lambda folder: study.again(folder, trust="no"), "trust='no' .* True or False"),
        (lambda folder: study.again(folder, force=1), "force=1 .* True or False"),
        (lambda folder: study.analyse(folder, trust="no"), "trust='no' .* True or False"),
        (lambda folder: study.compare(folder, force="no"), "force='no' .* True or False"),
        (lambda folder: study.write_report(folder, trust="no"), "trust='no' .* True or False"),
        (
            lambda folder: study.sweep("forgetting", {"tau": [1, 2]}, force="no"),
            "force='no' .* True or False",
        ),
        (lambda folder: study.resume_sweep(folder, retry_failed="no"), "retry_failed='no' .* True or False"),
        (lambda folder: study.configuration("x"), "recording is a str"),
        (lambda folder: list(study.points("x")), "recording is a str"),
        (lambda folder: list(study.each_run("x")), "recording is a str"),
        (lambda folder: study.formatted("x"), "values='x' is not allowed"),
        (lambda folder: study.formatted([]), "give a number, or estimate, low and high"),
        (lambda folder: study.figure("x"), "rows='x' is not allowed"),
        (lambda folder: study.figure(0, 1), "rows=0 is not allowed"),
        (lambda folder: study.Context(folder).save_table("x", 3), "rows is an int"),
    ],
)
def test_what_studies_refuse_before_anything_is_written(call, said, tmp_path):
    """A text such as "no" would count as yes: it would replace a run, or execute another user's code."""
    with pytest.raises(ConfigError, match=said):
        call(tmp_path / "run")
    assert not list(tmp_path.iterdir())
