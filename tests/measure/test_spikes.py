"""Spike statistics on trains whose statistics are known."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, RecordingError
from fwsim.measure import fano_factor, firing_rate, isi_cv, synchrony


def recording(trains, trials=1, duration=None, dt=1e-3):
    """A recording of `trains[(trial, unit)] = times`."""
    rows = sorted((t, unit, trial) for (trial, unit), times in trains.items() for t in times)
    time, unit, trial = np.array(rows).T if rows else np.zeros((3, 0))
    duration = duration or time.max()
    return xr.Dataset(
        {"spike_time": ("spike", time), "spike_unit": ("spike", unit.astype(int)),
         "spike_trial": ("spike", trial.astype(int))},
        coords={"unit": np.arange(1 + max(u for _, u in trains)), "trial": np.arange(trials)},
        attrs={"dt": dt, "steps": round(duration / dt)},
    )  # fmt: skip


def poisson(rate, duration, units, seed=0, trials=1):
    random = np.random.default_rng(seed)
    return recording(
        {
            (k, u): np.sort(random.uniform(0, duration, random.poisson(rate * duration)))
            for k in range(trials)
            for u in range(units)
        },
        trials,
        duration,
    )


def test_rates_by_hand():
    run = recording({(0, 0): [0.1, 0.2, 0.25], (1, 1): [0.3]}, trials=2, duration=0.4)
    assert firing_rate(run).values == pytest.approx(np.array([[7.5, 0], [0, 2.5]]))
    binned = firing_rate(run, 0.2)
    assert binned.dims == ("trial", "time", "unit")
    assert binned[0, :, 0].values == pytest.approx([10, 5])  # the spike at 0.2 ends the first bin
    assert binned.time.values == pytest.approx([0.2, 0.4])
    grouped = firing_rate(run, groups={"both": slice(0, 2)})
    assert grouped.sel(unit="both").values == pytest.approx([3.75, 1.25])


def test_poisson_trains():
    run = poisson(20.0, 200.0, 8, trials=2)
    assert firing_rate(run).values == pytest.approx(20, abs=4 * np.sqrt(20 / 200))
    assert isi_cv(run).values == pytest.approx(1, abs=0.08)
    assert fano_factor(run, 0.5).values == pytest.approx(1, abs=4 * np.sqrt(2 / 800))
    assert abs(synchrony(run, 0.05).values).max() < 4 / np.sqrt(4000 * 28)


def test_a_clock_is_regular_and_gamma_trains_lie_between():
    clock = recording({(0, 0): np.arange(1, 101) * 0.05}, duration=5.0)
    assert isi_cv(clock).item() == pytest.approx(0, abs=1e-12)
    assert fano_factor(clock, 0.5).item() == 0
    gaps = np.random.default_rng(1).gamma(4.0, 0.025, 4000)
    assert isi_cv(recording({(0, 0): np.cumsum(gaps)})).item() == pytest.approx(0.5, abs=0.03)


def test_irregularity_of_two_intervals_by_hand():
    run = recording({(0, 0): [0.1, 0.2, 0.4]})
    assert isi_cv(run).item() == pytest.approx(np.std([0.1, 0.2], ddof=1) / 0.15)


def test_synchrony_of_copies_and_of_shared_spikes():
    random = np.random.default_rng(2)
    train = np.sort(random.uniform(0, 100, 1000))
    copies = recording({(0, u): train for u in range(5)}, duration=100.0)
    assert synchrony(copies, 0.01).item() == pytest.approx(1)
    shared = {(0, u): np.sort(np.r_[train, random.uniform(0, 100, 3000)]) for u in range(20)}
    value = synchrony(
        recording(shared, duration=100.0), 0.01, groups={"some": range(10), "rest": slice(10, 20)}
    )
    assert value.values == pytest.approx(0.25, abs=0.03)  # 1000 of 4000 spikes


def test_too_few_spikes_are_nan():
    run = recording({(0, 0): [0.1, 0.2], (0, 1): []}, duration=1.0)
    assert np.isnan(isi_cv(run).values).all()
    assert np.isnan(fano_factor(run, 0.5).values[1])
    assert np.isnan(synchrony(run, 0.1).values).all()


def test_errors():
    run = poisson(5.0, 2.0, 2)
    with pytest.raises(ConfigError, match="longer than the window"):
        firing_rate(run, 3.0)
    with pytest.raises(ConfigError, match="before"):
        isi_cv(run, start=3.0, stop=1.0)
    with pytest.raises(RecordingError, match="record spike_time"):
        firing_rate(xr.Dataset())
    assert fw.measure.firing_rate is firing_rate
