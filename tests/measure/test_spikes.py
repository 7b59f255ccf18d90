"""Spike statistics on trains whose statistics are known."""

import numpy as np
import pytest
import xarray as xr

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


def test_a_spike_at_the_very_beginning_counts_and_one_where_a_later_window_begins_does_not():
    run = recording({(0, 0): [0.0, 0.1]}, duration=0.2)
    assert firing_rate(run).item() == pytest.approx(10)
    assert firing_rate(run, 0.1)[0, :, 0].values == pytest.approx([20, 0])
    assert firing_rate(run, start=0.1).item() == 0


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


def test_variability_of_two_windows_by_hand():
    """Counts 1 and 2: variance 0.5 over mean 1.5."""
    run = recording({(0, 0): [0.1, 0.6, 0.8]}, duration=1.0)
    assert fano_factor(run, 0.5).item() == pytest.approx(1 / 3)


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


def spikes(times, units=2, trials=2, **changed):
    zeros = np.zeros(len(times), int)
    values = {"spike_time": np.asarray(times), "spike_unit": zeros, "spike_trial": zeros} | changed
    return xr.Dataset(
        {name: ("spike", value) for name, value in values.items()},
        coords={"unit": np.arange(units), "trial": np.arange(trials)},
        attrs={"duration": 1.0},
    )


MEASURES = {
    "rate": firing_rate,
    "cv": isi_cv,
    "fano": lambda run, **window: fano_factor(run, 0.1, **window),
    "synchrony": lambda run, **window: synchrony(run, 0.1, **window),
}


def test_spikes_at_edges_belong_to_the_bin_that_ends_there():
    run = spikes([0.1, 0.2, 0.1 + 0.2, 0.3], 1, 1)
    run.attrs["duration"] = 0.3
    rate = firing_rate(run, 0.1)
    assert rate.values.ravel().tolist() == [10, 10, 20]
    assert rate.time.values.tolist() == [0.1, 0.2, 0.3]
    every = firing_rate(spikes(np.arange(1, 11) / 10, 1, 1), 0.1)
    assert every.values.ravel() == pytest.approx(10)
    assert firing_rate(spikes([0.1 + 0.2], 1, 1), start=0.3).item() == 0
    assert firing_rate(spikes([0.1 + 0.2], 1, 1), stop=0.3).item() == pytest.approx(1 / 0.3)
    assert firing_rate(
        spikes(np.float32([0.1, 0.2, 0.3, 0.7]), 1, 1), 0.1
    ).values.ravel().tolist() == pytest.approx([10, 10, 10, 0, 0, 0, 10, 0, 0, 0])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    "window",
    [
        *({"start": value} for value in (-0.1, np.nan, np.inf, "x", "5 mV", None, 1.0, True)),
        *({"stop": value} for value in (-0.1, 0.0, np.nan, np.inf, 1.1, "x", True)),
        {"start": 0.5, "stop": 0.5},
        {"start": 0.6, "stop": 0.5},
    ],
    ids=str,
)
def test_windows_that_are_none(measure, window):
    with pytest.raises(ConfigError, match=r"start|stop"):
        MEASURES[measure](spikes([0.1, 0.4]), **window)


@pytest.mark.parametrize("width", [0, -0.1, np.nan, np.inf, 1.1, "a", True, 1e-15])
def test_widths_that_are_none(width):
    run = spikes([0.1, 0.4])
    for name, measure in (("bin", firing_rate), ("bin", synchrony), ("window", fano_factor)):
        with pytest.raises(ConfigError, match=f"^{name}[=:]"):
            measure(run, width)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    "run",
    [
        spikes([0.1, np.nan]),
        spikes([-0.1, 0.2]),
        spikes([0.1, np.inf]),
        spikes([0.1, 1.5]),
        spikes([0.1, 0.2], spike_unit=np.array([0, 2])),
        spikes([0.1, 0.2], spike_unit=np.array([0, -1])),
        spikes([0.1, 0.2], spike_trial=np.array([0.0, 1.0])),
        spikes(["a", "b"]),
        spikes([0.1]).assign_attrs(duration=np.nan),
        spikes([0.1]).assign_attrs(duration="long"),
    ],
)
def test_what_is_no_list_of_spikes(measure, run):
    """None of them is counted for another unit, or dropped without a word."""
    with pytest.raises(RecordingError):
        MEASURES[measure](run)


def test_times_with_units():
    run = spikes([0.1, 0.4])
    for one, other in ((firing_rate, {}), (synchrony, {"start": "200 ms"})):
        xr.testing.assert_identical(
            one(run, "100 ms", **other), one(run, 0.1, **({"start": 0.2} if other else {}))
        )
    xr.testing.assert_identical(fano_factor(run, "100 ms"), fano_factor(run, 0.1))


def test_a_recording_without_a_spike():
    run = spikes([])
    assert (firing_rate(run).values == 0).all()
    assert isi_cv(run).isnull().all()
    assert fano_factor(run, 0.1).isnull().all()
    assert synchrony(run, 0.1).isnull().all()
    assert firing_rate(spikes([0.5], spike_unit=np.array([1], np.uint16))).values[0].tolist() == [0, 1]


@pytest.mark.parametrize("units", [[], [-1], [5], [0, 0], slice(5, 9), "x", [0.5], 0, None])
def test_groups_without_units(units):
    for measure in (firing_rate, lambda run, groups: synchrony(run, 0.1, groups=groups)):
        with pytest.raises(ConfigError, match="group 'a'"):
            measure(spikes([0.5]), groups={"a": units})
        with pytest.raises(ConfigError, match="groups="):
            measure(spikes([0.5]), groups={})
