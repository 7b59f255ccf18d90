"""NWB files: our recordings come back to the last bit, others' become recordings, bad files are one line."""

import datetime

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, RecordingError
from fwsim.recording import open_recording, read_nwb, write_nwb

pynwb = pytest.importorskip("pynwb")


def rates():
    rule = fw.Hebbian(tau=[2.0, 9.0], eta=[0.3, 0.1])
    net = fw.FastWeightNetwork(inputs=3, units=5, memory=rule, inner_steps=2)
    records = ["hidden", "inner", fw.Record("memory", every=4, dtype="float16")]
    x = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(1))
    return fw.simulate(net, x, record=records)


def spikes(trials=3):
    """As a spiking run: times that are no multiples of 1e-12, a trial without spikes, a population."""
    step = np.sort(np.random.default_rng(2).integers(1, 5001, 400))
    step[-1] = 5000
    unit, trial = np.divmod(np.random.default_rng(3).permutation(400), 40)
    trial = trial % (trials - 1) if trials > 1 else 0 * trial
    order = np.lexsort((unit, trial, step))
    kinds = {"spike_time": step * 1e-4, "spike_unit": unit.astype("i4"), "spike_trial": trial.astype("i4")}
    rate = np.random.default_rng(4).random((trials, 25, 10)).astype("f4")
    names = fw.recording.VARIABLES
    return xr.Dataset(
        {name: ("spike", each[order], names[name].attributes) for name, each in kinds.items()}
        | {"rate": (("trial", "time", "unit"), rate, names["rate"].attributes)},
        coords={
            "trial": np.arange(trials),
            "unit": np.arange(10),
            "population": ("unit", np.array(["E"] * 8 + ["I"] * 2, np.dtypes.StringDType())),
            "time": ("time", np.round(0.02 * np.arange(1, 26), 12), {"units": "s", "long_name": "time"}),
        },
        attrs={
            "fwsim_schema": 2,
            "dt": 1e-4,
            "steps": 5000,
            "configuration": '{"network": "Circuit"}',
            "seed": 0,
        },
    )


@pytest.mark.parametrize("make", [rates, spikes, lambda: spikes(1)])
def test_a_recording_comes_back_to_the_last_bit_and_passes_the_inspector(make, tmp_path):
    run = make()
    write_nwb(run, tmp_path / "run.nwb")
    back = read_nwb(tmp_path / "run.nwb")
    xr.testing.assert_identical(run, back)
    assert {name: each.dtype for name, each in run.variables.items()} == {
        name: each.dtype for name, each in back.variables.items()
    }
    if "final_hidden" in run:
        assert torch.equal(fw.load_state(back).memory, fw.load_state(run).memory)
    inspector = pytest.importorskip("nwbinspector")
    found = list(inspector.inspect_nwbfile(nwbfile_path=str(tmp_path / "run.nwb")))
    worst = {each.check_function_name for each in found if each.importance.name in ("CRITICAL", "ERROR")}
    assert not worst


def test_pynwb_finds_units_trials_rates_and_configuration(tmp_path):
    run = spikes()
    write_nwb(run, tmp_path / "run.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r", load_namespaces=True) as io:
        file = io.read()
        starts = file.trials["start_time"][:]
        for unit in range(10):
            mine = run.spike_unit.values == unit
            expected = np.sort(starts[run.spike_trial.values[mine]] + run.spike_time.values[mine])
            np.testing.assert_array_equal(file.units["spike_times"][unit], expected)
        assert list(file.units["population"][:]) == ["E"] * 8 + ["I"] * 2
        rate = file.acquisition["rate"]
        np.testing.assert_array_equal(rate.data[:], run.rate.values.reshape(75, 10))
        np.testing.assert_allclose(rate.timestamps[:25] - starts[0], run.time, rtol=0, atol=1e-12)
        assert (rate.unit, rate.description) == ("Hz", "firing rate")
        assert file.lab_meta_data["fwsim"].configuration == '{"network": "Circuit"}'


def lab_file(path, *, series=True):
    """As a laboratory writes one: unequal trials, a cue that is missing once, texts, two kinds of series."""
    now = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    file = pynwb.NWBFile("delayed choice", "session-1", now)
    file.add_trial_column("cue_time", "onset of the cue")
    file.add_trial_column("choice", "side")
    for start, stop, cue, side in (
        (1.0, 3.0, 1.5, "left"),
        (4.0, 6.5, np.nan, "left"),
        (7.0, 9.0, 7.75, "right"),
    ):
        file.add_trial(start_time=start, stop_time=stop, cue_time=cue, choice=side)
    file.add_unit_column("area", "cortical area")
    for area, times in (("V1", [0.5, 1.5, 1.75, 2.999, 7.75]), ("PFC", [4.1, 8.25, 20.0])):
        file.add_unit(spike_times=times, area=area)
    if series:
        data = np.arange(1000, dtype="i2")
        file.add_acquisition(
            pynwb.TimeSeries("wheel", data=data, unit="m", rate=100.0, starting_time=0.0, conversion=0.5)
        )
        file.add_acquisition(pynwb.TimeSeries("lick", data=np.ones(3), unit="1", timestamps=[1.1, 4.3, 4.4]))
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def test_a_laboratory_file_becomes_a_recording_that_measures_take(tmp_path):
    path = lab_file(tmp_path / "lab.nwb")
    with pytest.warns(UserWarning, match="lick is left out"):
        run = read_nwb(path, align="cue_time", before="250 ms", after=1)
    assert dict(run.sizes) | {"spike": 0} == {"spike": 0, "trial": 2, "unit": 2, "wheel_time": 125}
    assert list(run.choice.values) == ["left", "right"]
    assert list(run.area.values) == ["V1", "PFC"]
    assert list(run.trial.values) == [0, 2]
    spikes = zip(run.spike_trial.values, run.spike_unit.values, run.spike_time.values)
    assert sorted(spikes) == [(0, 0, 0.25), (0, 0, 0.5), (1, 0, 0.25), (1, 1, 0.75)]
    np.testing.assert_allclose(run.wheel[:, 0], [125 * 0.5, 750 * 0.5])
    np.testing.assert_allclose(run.wheel_time[:2], [0, 0.01])
    rate = fw.measure.firing_rate(run)
    np.testing.assert_allclose(rate, [[2 / 1.25, 0], [1 / 1.25, 1 / 1.25]])
    assert fw.measure.firing_rate(run, "250 ms").shape == (2, 5, 2)


def test_trials_of_different_lengths_are_cut_and_said(tmp_path):
    path = lab_file(tmp_path / "lab.nwb", series=False)
    with pytest.warns(UserWarning, match=r"from 2 to 2.5 s; all are cut to the shortest, after start_time"):
        assert read_nwb(path).attrs["duration"] == 2.0
    with pytest.raises(
        ConfigError, match=r"align='cue' is unknown; use one of 'start_time', 'stop_time', 'cue_time'"
    ):
        read_nwb(path, align="cue")
    with pytest.raises(ConfigError, match="window lasts -1 s"):
        read_nwb(path, align="cue_time", after=-1)


def harm(kind, path):
    content = path.read_bytes()
    if kind == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "text":
        path.write_text("no file of this kind")
    elif kind == "another HDF5":
        with h5py.File(path, "w") as file:
            file["x"] = [1]
    elif kind == "a link to another file":
        with h5py.File(path, "a") as file:
            file["acquisition/stolen"] = h5py.ExternalLink("/etc/other.h5", "/secret")
    elif kind == "a huge size":
        with h5py.File(path, "a") as file:
            del file["units/spike_times"]
            file.create_dataset("units/spike_times", (2**50,), "f8", chunks=(2**20,))
            file["units/spike_times"].attrs.update(
                {"neurodata_type": "VectorData", "namespace": "hdmf-common"}
            )
    elif kind == "another description":
        with h5py.File(path, "a") as file:
            del file["general/fwsim/recording"]
            file["general/fwsim/recording"] = '{"series": {"rate": {}}, "arrays": 3, "attributes": []}'
    elif kind == "a folder":
        path.unlink()
        path.mkdir()
    elif kind == "nothing":
        path.unlink()


HARMS = ["cut", "text", "another HDF5", "a link to another file", "a huge size", "another description", "a folder",
         "nothing"]  # fmt: skip


@pytest.mark.parametrize("kind", HARMS)
def test_a_bad_file_is_one_line(kind, tmp_path):
    path = tmp_path / "run.nwb"
    write_nwb(spikes(1), path)
    harm(kind, path)
    with pytest.raises((RecordingError, ConfigError)) as caught:
        read_nwb(path)
    assert str(path) in str(caught.value) or kind == "a huge size"
    assert "\n" not in str(caught.value)


def test_nothing_is_overwritten_and_what_cannot_be_written_is_said(tmp_path):
    run = spikes(1)
    (tmp_path / "there.nwb").write_text("mine")
    with pytest.raises(RecordingError, match="exists already"):
        write_nwb(run, tmp_path / "there.nwb")
    with pytest.raises(ConfigError, match=r"does not end in \.nwb"):
        write_nwb(run, tmp_path / "run.h5")
    with pytest.raises(RecordingError, match="called 'a/b'"):
        write_nwb(run.rename(rate="a/b"), tmp_path / "run.nwb")
    with pytest.raises(RecordingError, match="NWB cannot store rate, which is complex"):
        write_nwb(run.assign(rate=run.rate + 1j), tmp_path / "run.nwb")
    assert [each.name for each in tmp_path.iterdir()] == ["there.nwb"]
    assert (tmp_path / "there.nwb").read_text() == "mine"


def test_the_commands(fwsim, tmp_path, monkeypatch):
    from fwsim.recording.whole import write_recording

    monkeypatch.chdir(tmp_path)
    run = spikes()
    write_recording(run, tmp_path / "run.zarr")
    assert fwsim("export", "run.zarr", "--to", "run.nwb")[0] == 0
    assert fwsim("import", "run.nwb", "--to", "again.zarr")[0] == 0
    xr.testing.assert_identical(open_recording("again.zarr").load(), open_recording("run.zarr").load())
    assert fwsim("export", "run.zarr", "--to", "run.nc")[0] == 0
    lab_file(tmp_path / "lab.nwb", series=False)
    code, out, err = fwsim("import", "lab.nwb", "--to", "lab", "--align", "cue_time", "--after", "500ms")
    assert (code, err) == (0, "")
    assert "spike_time" in out
    assert open_recording("lab").attrs["duration"] == 0.5
    for tokens, code, said in (
        ("export run.zarr --to run.nwb", 1, "exists already"),
        ("export run.zarr --to run.mat", 2, "ends in .nwb or .nc"),
        ("export run.zarr", 2, "needs --to"),
        ("import run.nwb --to lab", 1, "exists already"),
        ("import run.nwb", 2, "needs --to"),
        ("import lab.nwb --to other --before soon", 2, "'soon' is not a time"),
    ):
        found, out, err = fwsim(*tokens.split())
        assert (found, out, err.count("\n"), said in err) == (code, "", 1, True), err


def test_a_file_without_trials_is_one_trial_from_its_first_moment_on(tmp_path):
    file = pynwb.NWBFile("rest", "session-2", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    file.add_unit(spike_times=[-0.5, 1.0, 2.5])
    file.add_unit(spike_times=[])
    data = np.arange(12.0).reshape(4, 3)
    trace = pynwb.TimeSeries("trial", data=data, unit="V", rate=2.0, starting_time=0.5, offset=1.0)
    file.create_processing_module("ecephys", "filtered").add(trace)
    with pynwb.NWBHDF5IO(str(tmp_path / "rest.nwb"), "w") as io:
        io.write(file)
    run = read_nwb(tmp_path / "rest.nwb")
    assert (run.attrs["duration"], run.sizes["trial"], run.sizes["unit"]) == (3.0, 1, 2)
    np.testing.assert_allclose(run.spike_time, [0, 1.5, 3.0])
    expected = np.full((6, 3), np.nan)
    expected[2:] = data + 1  # the series begins at 0.5 s, and the recording at −0.5 s
    np.testing.assert_allclose(run.trial_series[0], expected)
    assert fw.measure.isi_cv(run)[0, 0] == pytest.approx(0)
