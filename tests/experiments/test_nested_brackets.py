"""Fast weights return to the outer bracket, and errors by level are those over all brackets."""

import pytest

from fwsim import study

NAME = "nested_brackets"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp(NAME) / "run"
    return study.analyse(study.run(NAME, {"steps": 400}, quick=True, folder=folder, device="cpu")).result


def test_fast_weights_return_from_everywhere(result):
    """Band, set before the run: below 10 % at any number of levels inside (chance 75)."""
    assert float(result.level_error.max()) < 10
    assert int(result.deepest) == 2


def test_errors_by_level_add_up_to_the_error(result):
    mean = (result.level_error * result.closings).sum() / result.closings.sum()
    assert float(mean) == pytest.approx(float(result.test_error))
    assert int(result.closings.sum()) == 3 * 500
