"""Spike trains from tables and to Neo."""

import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from fwsim.errors import ConfigError, RecordingError
from fwsim.measure import fano_factor, firing_rate, isi_cv
from fwsim.spiking import Circuit, Population, read_spikes, simulate, to_neo

TABLE = """unit,time_s,trial,depth
b,0.2,first,1
a,0.1,first,2
a,0.4,second,3
a,0.3,first,4
a,0.0,second,5
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "trains.csv"
    path.write_text(TABLE)
    return path


def test_spikes_come_in_order_with_their_names(table):
    run = read_spikes(table, duration=0.5)
    assert run.spike_time.values == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert run.unit.values.tolist() == ["a", "b"]
    assert run.trial.values.tolist() == ["first", "second"]
    assert run.spike_unit.values.tolist() == [0, 0, 1, 0, 0]
    assert run.spike_trial.values.tolist() == [1, 0, 0, 0, 1]
    assert run.spike_time.attrs["units"] == "s"


def test_measures_apply(table):
    rate = firing_rate(read_spikes(table, duration=0.5))
    assert rate.sel(unit="a").values == pytest.approx([4, 4])  # the spike at 0 counts
    assert firing_rate(read_spikes(table), 0.2).sizes["time"] == 2
    assert np.isnan(isi_cv(read_spikes(table)).values).all()


def test_trials_may_be_left_out(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("unit, time_s\n3, 0.1\n7, 0.2\n")
    run = read_spikes(path)
    assert run.sizes == {"spike": 2, "unit": 2, "trial": 1}
    assert run.unit.values.tolist() == [3, 7]


def test_a_table_that_is_read_already(table):
    frame = pd.read_csv(table)
    xr.testing.assert_identical(read_spikes(frame, duration=0.5), read_spikes(table, duration=0.5))
    with pytest.raises(RecordingError, match=r"the table has columns .*; it needs unit, time_s"):
        read_spikes(frame.rename(columns={"time_s": "time"}))
    with pytest.raises(RecordingError, match=r"the table, row 1: .* is no spike"):
        read_spikes(frame.assign(time_s=[0.1, -0.2, 0.3, 0.4, 0.5]))
    with pytest.raises(ConfigError, match="path is a list; give a CSV file, or a DataFrame"):
        read_spikes([0.1, 0.2])


def test_trials_and_units_without_spikes_are_there_when_they_are_given(tmp_path):
    path = tmp_path / "silent.csv"
    rows = [f"a,{trial},{0.1 * k:.1f}" for trial in range(0, 10, 2) for k in range(1, 5)]
    path.write_text("unit,trial,time_s\n" + "\n".join(rows) + "\n")
    for trials in (10, range(10), np.arange(10)):
        run = read_spikes(path, duration=1.0, trials=trials, units=["a", "b"])
        assert dict(run.sizes) == {"spike": 20, "unit": 2, "trial": 10}
        assert float(firing_rate(run).sel(unit="a").mean()) == 2
        assert firing_rate(run).sel(unit="b").values.tolist() == [0] * 10
        counts = [4, 0] * 5
        assert float(fano_factor(run, 1.0)[0]) == pytest.approx(np.var(counts, ddof=1) / 2)
    with pytest.warns(UserWarning, match="5 trials with numbers from 0 to 8, so some are left out"):
        read_spikes(path)
    assert read_spikes(path, trials=range(0, 10, 2)).sizes["trial"] == 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 3}, "trials=3 does not have 'first'"),
        ({"trials": ["first"]}, "does not have 'second', which spikes"),
        ({"units": ["a", "b", "a"]}, "has one twice"),
        ({"units": 0}, "units=0 is not allowed"),
        ({"units": 1.5}, "units=1.5 is not allowed"),
        ({"units": True}, "units=True is not allowed"),
        ({"units": "ab"}, "units='ab' is not allowed"),
    ],
)
def test_spikes_of_what_is_not_there_are_refused(table, given, message):
    with pytest.raises(ConfigError, match=message):
        read_spikes(table, **given)


def test_a_table_without_spikes(tmp_path):
    path = tmp_path / "none.csv"
    path.write_text("unit,trial,time_s\n")
    run = read_spikes(path, duration=2.0, trials=3, units=2)
    assert firing_rate(run).values.tolist() == [[0, 0]] * 3


def test_silent_neurons_and_trials_of_a_simulation_count():
    circuit = Circuit([Population("E", 4), Population("I", 1, background=0.03)])
    run = simulate(circuit, steps=1000, trials=3, progress=False)
    rate = firing_rate(run)
    assert rate.shape == (3, 5)
    assert float(rate[:, :4].max()) == 0
    assert len(to_neo(run).segments[0].spiketrains) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unit,time\n1,0.1\n", "it needs unit, time_s"),
        ("unit,time_s\n1,soon\n", "line 2"),
        ("unit,time_s\n1,0.1\n1,-0.1\n", "line 3"),
        ("unit,time_s\n,0.1\n", "no spike"),
        ("", "cannot be read"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(RecordingError, match=message):
        read_spikes(path)


def test_other_errors(table, tmp_path):
    with pytest.raises(RecordingError, match="cannot be read"):
        read_spikes(tmp_path / "missing.csv")
    with pytest.raises(ConfigError, match="before the last spike"):
        read_spikes(table, duration=0.2)


def test_to_neo(table):
    pytest.importorskip("neo")
    run = read_spikes(table, duration=0.5)
    block = to_neo(run)
    assert [len(segment.spiketrains) for segment in block.segments] == [2, 2]
    train = block.segments[0].spiketrains[0]
    assert train.rescale("ms").magnitude == pytest.approx([100, 300])
    assert float(train.t_stop.rescale("s")) == 0.5
    assert train.name == "a"
    assert len(block.segments[1].spiketrains[1]) == 0


def test_without_neo(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(ConfigError, match=r"to_neo needs neo, which is not installed; .*pip install "):
        to_neo(read_spikes(table))
