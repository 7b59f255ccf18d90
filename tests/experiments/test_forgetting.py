"""Retention of one time scale is exponential with its tau, and recognition is what the noise of the others allows."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.study import Context, analyse, load_experiment

CHECKOUT = Path(__file__).parents[2]
FORGETTING = CHECKOUT / "experiments" / "forgetting.py"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Four time constants, two strengths, three seeds."""
    folder = tmp_path_factory.mktemp("forgetting") / "run"
    over = {"tau": "3:40:log4", "eta": [0.1, 0.3]}
    config = {"units": 100, "items": 200, "lags": 60, "trials": 8}
    return fw.sweep(FORGETTING, over, 3, config, workers=1, folder=folder)


def test_one_time_scale_is_exponential_with_its_tau(swept):
    """Band, set before the run: 10 % at 24 streams of 100 units."""
    result = analyse(swept.attrs["folder"], CHECKOUT / "analysis" / "forgetting.py").result
    np.testing.assert_allclose(result.tau_fitted, xr.broadcast(result.tau, result.tau_fitted)[0], rtol=0.1)
    np.testing.assert_allclose(
        result.strength.isel(lag=0), xr.broadcast(result.eta, result.span)[0].T, rtol=0.05
    )


def test_recognition_follows_the_noise_of_all_other_items(swept):
    """Within five standard errors of theory, and the mean over lags within 0.02."""
    difference = (swept.recognised - swept.expected_recognised).mean("trial")
    assert abs(difference.mean(["seed", "lag"])).max() < 0.02
    assert float(swept.recognised.isel(lag=0).sel(tau=3).mean()) > 0.99


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    """All spectra at equal total strength, three seeds, smaller than `--quick`."""
    folder = tmp_path_factory.mktemp("spectra") / "run"
    over = {"spectrum": ["one", "two", "four", "eight", "power_law", "benna_fusi"]}
    run = fw.sweep(FORGETTING, over, 3, {"units": 64}, quick=True, workers=1, folder=folder)
    return analyse(run.attrs["folder"], CHECKOUT / "analysis" / "forgetting.py").result


def test_area_at_equal_total_strength_is_that_of_the_kernel(spectra):
    """Band, set before the run: 10 % of theory's area plus three units of noise of 60 lags at 12 streams."""
    noise = spectra.strength_error.mean("lag") * spectra.sizes["lag"] ** 0.5
    off = abs(spectra.strength_area - spectra.kernel_area)
    assert bool((off < 0.1 * spectra.kernel_area + 3 * noise).all())
    area = spectra.strength_area
    assert float(area.sel(spectrum="two")) > float(area.sel(spectrum="one"))


def test_power_law_and_chain_forget_as_a_power_law_and_one_time_scale_does_not(spectra):
    """Set before the run: kernels fall by 8^½ from 4 to 32 s within 15 %, an exponential by far more."""
    kernel = spectra.kernel.sel(lag=[4.0, 32.0])
    fall = kernel.isel(lag=0) / kernel.isel(lag=1)
    assert float(fall.sel(spectrum="power_law")) == pytest.approx(8**0.5, rel=0.15)
    assert float(fall.sel(spectrum="benna_fusi")) == pytest.approx(8**0.5, rel=0.15)
    assert str(spectra.law.sel(spectrum="one").values) == "exponential"
    assert float(fall.sel(spectrum="one")) == pytest.approx(np.exp(28 / 20), rel=1e-6)


def test_strength_of_a_write_changes_nothing_that_sign_units_do(swept):
    one, other = swept.expected_recognised.isel(seed=0).transpose("eta", ...)
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_batch_of_memories_with_different_numbers_of_time_scales(tmp_path):
    """In one batch as alone, to 1e-9."""
    experiment = load_experiment(FORGETTING)
    small = {"units": 30, "items": 40, "lags": 10, "trials": 2}
    spectra = [
        {"spectrum": "benna_fusi"},
        {"tau": (5.0,)},
        {"tau": (2.0, 20.0), "eta": (1.0, 0.5)},
        {"tau": (1.0, 3.0, 9.0)},
    ]
    configs = [experiment.configure(small | spectrum) for spectrum in spectra]
    contexts = [Context(tmp_path, seed) for seed in range(4)]
    together = experiment.batching.run(configs, contexts)
    for config, context, one in zip(configs, contexts, together, strict=True):
        xr.testing.assert_allclose(one, experiment.run(config, context), rtol=0, atol=1e-9)
    assert experiment.batching.size(configs[3]) > experiment.batching.size(configs[1])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tau": (1.0, 2.0), "eta": (1.0, 2.0, 3.0)}, "give one, or one for each"),
        ({"lags": 500, "items": 300}, "of 300 items"),
        ({"spectrum": "two", "eta": (1.0, 2.0)}, "give one eta"),
    ],
)
def test_bad_configurations(tmp_path, values, said):
    experiment = load_experiment(FORGETTING)
    with pytest.raises(ConfigError, match=said):
        experiment.run(experiment.configure(values), Context(tmp_path))
