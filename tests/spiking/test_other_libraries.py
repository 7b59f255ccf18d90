"""Neo and pynapple in both directions; Elephant as the independent check of spike measures."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.spiking import from_neo, from_pynapple, to_neo, to_pynapple


def recording(trials=3, units=4, duration=2.0, signals=True):
    """Spikes on a grid of 0.1 ms in a gamma process, with a unit and a trial of their own names."""
    random = np.random.default_rng(5)
    rows = []
    for trial in range(trials):
        for unit in range(units - 1):  # the last unit is silent
            ends = np.cumsum(random.gamma(2.0, 0.03, 200))
            rows += [(round(t, 4), unit, trial) for t in ends[ends < duration]]
    time, unit, trial = np.array(sorted(rows)).T
    names = fw.recording.VARIABLES
    spikes = {"spike_time": time, "spike_unit": unit.astype("i4"), "spike_trial": trial.astype("i4")}
    run = xr.Dataset(
        {name: ("spike", each, names[name].attributes) for name, each in spikes.items()},
        coords={"unit": np.arange(units), "trial": np.arange(trials)},
        attrs={"fwsim_schema": 2, "duration": duration},
    )
    if signals:
        clock = {
            "x_time": ("x_time", np.round(0.1 * np.arange(1, 21), 12), {"units": "s", "long_name": "time"})
        }
        x = random.random((trials, 20, units))
        run = run.assign(x=(("trial", "x_time", "unit"), x, {"units": "V", "long_name": "x"})).assign_coords(
            clock
        )
    return run


def assert_same(run, back):
    order = np.lexsort((run.spike_unit, run.spike_trial, run.spike_time))
    for name in ("spike_time", "spike_unit", "spike_trial"):
        np.testing.assert_array_equal(back[name], run[name].values[order])
        assert back[name].attrs == run[name].attrs
    for name in ("unit", "trial"):
        np.testing.assert_array_equal(back[name], run[name])
    assert back.attrs["duration"] == run.attrs["duration"]
    xr.testing.assert_equal(fw.measure.firing_rate(back, 0.1), fw.measure.firing_rate(run, 0.1))


def test_neo_and_back():
    pytest.importorskip("neo")
    run = recording()
    block = to_neo(run)
    np.testing.assert_array_equal(
        block.segments[1].spiketrains[2].magnitude,
        run.spike_time[(run.spike_unit == 2) & (run.spike_trial == 1)],
    )
    signal = block.segments[2].irregularlysampledsignals[0]
    assert (signal.name, str(signal.dimensionality)) == ("x", "V")
    back = from_neo(block)
    assert_same(run, back)
    np.testing.assert_array_equal(back.x, run.x)
    np.testing.assert_array_equal(back.x_time, run.x_time)
    assert back.x.attrs["units"] == "V"


def test_neo_of_a_laboratory():
    neo = pytest.importorskip("neo")
    segment = neo.Segment()
    for name, times in (("one", [1100.0, 1250.0, 2000.0]), ("two", [])):
        segment.spiketrains.append(
            neo.SpikeTrain(times, units="ms", t_start=1000.0, t_stop=2000.0, name=name)
        )
    lfp = neo.AnalogSignal(np.arange(8).reshape(4, 2), units="mV", sampling_rate=4 * segment.spiketrains[0].units ** -1,
                           t_start=segment.spiketrains[0].t_start, name="my LFP")  # fmt: skip
    segment.analogsignals.append(lfp)
    run = from_neo(segment)
    np.testing.assert_allclose(run.spike_time, [0.1, 0.25, 1.0], rtol=0, atol=1e-12)
    assert list(run.unit.values) == ["one", "two"]
    assert (run.my_LFP.dims, run.my_LFP.attrs["units"]) == (("trial", "my_LFP_time", "my_LFP_channel"), "mV")
    block = neo.Block()
    block.segments += [segment, neo.Segment()]
    with pytest.raises(ShapeError, match=r"segments have \[0, 2\] spike trains"):
        from_neo(block)
    with pytest.raises(ConfigError, match="not list"):
        from_neo([1])


def test_pynapple_and_back():
    nap = pytest.importorskip("pynapple")
    run = recording(signals=False).assign_coords(
        side=("trial", ["left", "right", "left"]), cue_time=("trial", [90.0, 91, 92])
    )
    units, trials = to_pynapple(run)
    mine = (run.spike_unit == 1).values
    expected = np.sort(trials.start[run.spike_trial.values[mine]] + run.spike_time.values[mine])
    np.testing.assert_allclose(units[1].t, expected, rtol=0, atol=1e-9)
    assert len(units[3]) == 0
    assert list(trials["side"]) == ["left", "right", "left"]
    clock = np.arange(0, 9, 0.01)
    back = from_pynapple(units, trials, wheel=nap.Tsd(clock, clock))
    assert_same(run, back)
    assert list(back.side.values) == ["left", "right", "left"]
    np.testing.assert_allclose(back.wheel[2, :3], trials.start[2] + np.array([0, 0.01, 0.02]))
    left = from_pynapple(units, trials[[0, 2]])
    assert left.sizes["trial"] == 2
    with pytest.raises(ConfigError, match="units is a list"):
        from_pynapple([])
    with pytest.warns(UserWarning, match="trials last from 1 to 2 s; all are cut to the shortest"):
        assert from_pynapple(units, nap.IntervalSet([0, 3], [1, 5])).attrs["duration"] == 1


def test_spike_measures_agree_with_elephant():
    statistics = pytest.importorskip("elephant.statistics")
    import quantities as pq
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import correlation_coefficient

    run = recording(signals=False)
    run["spike_time"] = (
        run.spike_time + 5e-5
    )  # on no border of a bin, which belongs to different bins by convention
    block = to_neo(run)
    trains = [[segment.spiketrains[unit] for unit in range(3)] for segment in block.segments]
    rate, cv = fw.measure.firing_rate(run), fw.measure.isi_cv(run)
    for trial in range(3):
        for unit in range(3):
            train = trains[trial][unit]
            mean = float(statistics.mean_firing_rate(train).rescale("Hz"))
            assert float(rate[trial, unit]) == pytest.approx(mean, rel=1e-12)
            spread = float(statistics.cv(statistics.isi(train), ddof=1))
            assert float(cv[trial, unit]) == pytest.approx(spread, rel=1e-9)
    # Elephant divides by the number of windows n, for the variance of a sample we by n − 1.
    counted = [statistics.fanofactor([trains[trial][unit] for trial in range(3)]) for unit in range(3)]
    np.testing.assert_allclose(fw.measure.fano_factor(run, 2.0)[:3], np.array(counted) * 3 / 2, rtol=1e-12)
    binned = BinnedSpikeTrain(trains[0][:2], bin_size=50 * pq.ms, t_start=0 * pq.s, t_stop=2 * pq.s)
    counts = fw.measure.firing_rate(run, 0.05)[0, :, :2].values * 0.05
    np.testing.assert_allclose(counts.T, binned.to_array(), rtol=1e-9)
    # Of two units the shared fraction of fluctuations is their correlation.
    shared = fw.measure.synchrony(run, 0.05, groups={"pair": [0, 1]})
    assert float(shared[0, 0]) == pytest.approx(float(correlation_coefficient(binned)[0, 1]), rel=1e-9)
