"""What of a recording is looked at, and that only what is looked at is read."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.explore import states
from fwsim.explore.landscape import Plane, inner_loop, iterate, landscape
from fwsim.explore.matrix import attention, memory_matrix
from fwsim.explore.scene import SPIKING, activities, check_explorable, open_scene, others
from fwsim.explore.spikes import Spikes
from fwsim.explore.states import States
from fwsim.recording import reading
from tests.explore import recordings


@pytest.fixture(scope="module")
def trained():
    return recordings.fast_weights()


@pytest.fixture(scope="module")
def spiking():
    return recordings.spikes()


def test_activities_and_the_dimensions_to_choose_in(trained, spiking):
    assert activities(trained) == ["hidden", "sustained"]
    assert others(trained, "hidden") == {"trial": 2}
    assert activities(spiking)[0] == SPIKING
    assert others(spiking, SPIKING) == {"trial": 2}


def test_dimensions_that_an_experiment_named_are_found():
    values = np.random.default_rng(0).random((2, 3, 7, 4))
    run = xr.Dataset({"survey_rate": (("step", "point", "survey_time", "survey_unit"), values)})
    scene = open_scene(run, chosen={"step": 1, "point": 2})
    np.testing.assert_array_equal(scene.activity.window(2, 5), values[1, 2, 2:5])


def test_a_recording_without_activity_is_refused():
    with pytest.raises(fw.RecordingError, match="nothing in the recording has both time and units"):
        open_scene(xr.Dataset({"test_error": ((), 0.5)}))


def test_an_unknown_activity_is_refused(trained):
    with pytest.raises(fw.ConfigError, match=r"'rate'.*use one of"):
        open_scene(trained, "rate")


def test_samples_at_or_before_a_time(trained):
    scene = open_scene(trained, chosen={"trial": 1})
    np.testing.assert_array_equal(scene.at("hidden", 3.5), trained["hidden"].isel(trial=1, time=2))
    assert scene.at("hidden", 0.5) is None
    assert scene.at("absent", 3.0) is None


@pytest.mark.parametrize("write", ["final", "before"])
def test_the_flow_is_that_of_the_inner_loop_that_ran(write):
    """Iterating the recorded h_0 gives the recorded h_1 and h_2, at every step."""
    run = recordings.fast_weights(write=write)
    scene = open_scene(run, chosen={"trial": 1})
    for time in run["time"].values[1:]:
        matrix, sustained, step = inner_loop(scene, time)
        path = scene.at("inner", time).values
        np.testing.assert_allclose(iterate(path[:-1], matrix, sustained, step), path[1:], atol=1e-4)


def test_without_the_loop_the_landscape_is_the_memory_energy(trained):
    scene = open_scene(trained.drop_vars("sustained"))
    plane = Plane.of(scene.activity.spread[1])
    seen = landscape(scene, plane, 10.0)
    assert "hᵀA h" in seen.title
    x, y = plane.grid()
    state = plane.lift(np.array([x[3], y[5]]))
    expected = -0.5 * state @ memory_matrix(scene, 10.0) @ state
    assert seen.height[5, 3] == pytest.approx(expected)


@pytest.mark.parametrize("options", [{}, {"write": "before"}, {"self_connections": False}])
def test_memory_and_attention_that_were_not_recorded_follow_from_the_states(options):
    run = recordings.fast_weights(**options)
    whole, states_only = (open_scene(each, chosen={"trial": 1}) for each in (run, run[["hidden", "inner"]]))
    assert "memory" not in states_only.run
    for time in (1.0, 2.0, 17.0, 40.0):
        np.testing.assert_allclose(memory_matrix(states_only, time), memory_matrix(whole, time), atol=1e-4)
        for found, expected in zip(attention(states_only, time), attention(whole, time), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-4)


def test_a_memory_of_more_states_than_are_read_is_not_guessed(monkeypatch):
    from fwsim.explore import matrix

    monkeypatch.setattr(matrix, "LONGEST", 10)
    run = recordings.fast_weights()[["hidden", "inner"]]
    assert memory_matrix(open_scene(run), 10.0) is not None
    assert memory_matrix(open_scene(run), 11.0) is None


def test_a_plane_keeps_what_lies_in_it():
    rng = np.random.default_rng(1)
    states = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 9)) + 5
    plane = Plane.of(states)
    np.testing.assert_allclose(plane.lift(plane.project(states)), states, atol=1e-9)
    assert plane.explained.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(5, 1), (1, 4), (6, 3)])
def test_a_plane_of_too_little(shape):
    plane = Plane.of(np.ones(shape))
    assert np.isfinite(plane.grid()).all()
    assert not plane.project(np.ones(shape)).any()


@pytest.mark.parametrize("trial", [0, 1])
def test_windows_of_spikes_hold_all_spikes_of_their_trial(spiking, trial):
    activity = open_scene(spiking, SPIKING, {"trial": trial}).activity
    assert isinstance(activity, Spikes)
    mine = spiking["spike_trial"].values == trial
    counted = activity.window(0, len(activity.times)) * activity.bin
    expected = np.bincount(spiking["spike_unit"].values[mine], minlength=20)
    np.testing.assert_allclose(counted.sum(0), expected)
    parts = [activity.window(k, k + 7) for k in range(0, len(activity.times) - 7, 7)]
    np.testing.assert_allclose(np.concatenate(parts) * activity.bin, counted[: 7 * len(parts)])


def test_spikes_of_more_neurons_than_other_variables_have(spiking):
    """As in `hebbian_memory`, whose patterns are over the excitatory neurons and whose spikes are of all."""
    fewer = spiking.drop_dims("unit", errors="ignore").assign(pattern=("unit", np.zeros(8)))
    fewer.attrs = {
        name: fewer.attrs[name] for name in ("steps", "dt")
    }  # and which does not say how many there are
    activity = open_scene(fewer, SPIKING, {"trial": 1}).activity
    counted = activity.window(0, len(activity.times)) * activity.bin
    mine = spiking["spike_trial"].values == 1
    expected = np.bincount(spiking["spike_unit"].values[mine], minlength=20)
    assert expected[8:].sum() > 0
    np.testing.assert_allclose(counted.sum(0), expected)


def test_the_overview_of_spikes_has_their_mean_rate(spiking):
    activity = open_scene(spiking, SPIKING).activity
    times, rates = activity.overview()
    within = (spiking["spike_time"].values > times[0]) & (spiking["spike_time"].values <= times[-1])
    counted = (rates[1:] * np.diff(times)).sum() * 20 * 2
    assert counted == pytest.approx(within.sum(), abs=5)  # marks lie within spikes at the same time


def test_a_run_without_spikes():
    empty = recordings.spikes().isel(spike=slice(0))
    activity = open_scene(empty, SPIKING).activity
    assert activity.window(0, 5).sum() == 0
    assert len(activity.overview()[0]) == 0


def test_only_what_is_shown_is_read(tmp_path, monkeypatch):
    """A window reads its chunks, the overview at most so many samples of a recording of any length."""
    run = recordings.long(tmp_path / "run.zarr", steps=200_000, units=64)
    read = []
    get = reading.StoredArray.__getitem__

    def counted(self, key):
        values = get(self, key)
        read.append(values.nbytes)
        return values

    monkeypatch.setattr(reading.StoredArray, "__getitem__", counted)
    activity = open_scene(run).activity
    assert isinstance(activity, States)
    assert sum(read) == 0
    activity.window(20_000, 20_200)
    assert sum(read) <= 2 * 2**20
    read.clear()
    monkeypatch.setattr(states, "SPREAD", 10)
    times, _ = activity.overview()
    assert len(times) == 10
    assert len(read) <= 10


def test_a_recording_without_numbers_is_refused():
    check_explorable(xr.Dataset({"test_error": ((), 0.5)}))
    with pytest.raises(fw.RecordingError, match=r"no numbers.*law"):
        check_explorable(xr.Dataset({"law": ("run", ["exponential"])}))


def test_an_imported_recording_lasts_as_long_as_it_says(spiking):
    imported = spiking.drop_attrs().assign_attrs(duration=2.0)
    assert open_scene(imported, SPIKING).activity.times[-1] == pytest.approx(2.0)


def test_a_configuration_that_is_no_json_gives_no_flow(trained):
    assert inner_loop(open_scene(trained), 10.0) is not None
    assert inner_loop(open_scene(trained.assign_attrs(configuration="{")), 10.0) is None
