"""Fast weights return to the outer bracket; the same network without memory does so less."""

import pytest

from fwsim import study

NAME = "nested_brackets"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp(NAME)
    return {
        model: study.analyse(
            study.run(NAME, {"model": model}, quick=True, folder=folder / model, device="cpu")
        ).result
        for model in ("fast_weights", "no_memory")
    }


def test_fast_weights_return_from_everywhere(results):
    """Bands, set before the run: below 10 % at any number of levels inside (chance 75), half of that without memory."""
    ours, control = results["fast_weights"], results["no_memory"]
    assert float(ours.level_error.max()) < 10
    assert int(ours.deepest) == 2
    assert float(control.test_error) > 2 * float(ours.test_error)


def test_errors_by_level_add_up_to_the_error(results):
    for result in results.values():
        mean = (result.level_error * result.closings).sum() / result.closings.sum()
        assert float(mean) == pytest.approx(float(result.test_error))
        assert int(result.closings.sum()) == 3 * 500
