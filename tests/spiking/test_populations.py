"""Recordings name the population of each unit, so that spiking and rate runs are compared by `groupby`."""

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim.recording import Record, write_netcdf
from fwsim.spiking import Circuit, Connection, Population

noisy = {"background": 0.025, "noise": 0.003}
CIRCUIT = Circuit(
    [Population("excitatory", 4, **noisy), Population("I", 2, **noisy)],
    [Connection("excitatory", "I", 1e-4, 0.5, synapse=fw.TsodyksMarkram())],
)
NAMES = ["excitatory"] * 4 + ["I"] * 2


def spiking(**options):
    return fw.spiking.simulate(CIRCUIT, steps=300, seed=1, engine="native", progress=False, **options)


def test_rates_are_averaged_over_populations():
    run = spiking(record=["rate", "u"], every=100)
    assert run.population.dims == ("unit",)
    assert run.population.values.tolist() == NAMES
    rates = fw.spiking.simulate_rates(CIRCUIT, torch.zeros(1, 300, 2), every=100)
    pooled = fw.spiking.pooled(run, CIRCUIT)
    assert pooled.population.values.tolist() == ["excitatory", "I"]
    assert pooled.merge(rates[["rate"]].rename(rate="rate_version"), compat="no_conflicts").sizes["unit"] == 2
    assert rates.population.values.tolist() == ["excitatory", "I"]
    means = run.rate.groupby("population").mean()
    np.testing.assert_array_equal(means.sel(population="I"), run.rate[..., 4:].mean("unit"))
    apart = means - rates.rate.swap_dims(unit="population")
    for place, name in enumerate(("excitatory", "I")):
        expected = means.sel(population=name).values - rates.rate[..., place].values
        np.testing.assert_array_equal(apart.sel(population=name), expected)


def test_currents_with_nearly_the_same_time_constant_are_apart():
    cells = Population("E", 3, **noisy)
    circuit = Circuit([cells], [Connection("E", "E", 1e-4, decay=decay) for decay in (0.3, 0.1 + 0.2)])
    assert len(set(fw.spiking.rate_network(circuit).populations)) == 4


def test_spikes_alone_and_selected_units():
    run = spiking()
    assert run.population.values.tolist() == NAMES  # along the units of the final potential
    assert run.sizes["spike"] > 0
    assert run.population.sel(unit=run.spike_unit).values.tolist() == [
        NAMES[k] for k in run.spike_unit.values
    ]
    run = spiking(record=[Record("rate", units=[1, 5]), "potential"], every=100)
    assert run.rate_population.dims == ("rate_unit",)
    assert run.rate_population.values.tolist() == ["excitatory", "I"]
    assert run.population.values.tolist() == NAMES


@pytest.mark.parametrize("record", [("rate", "spike_time"), ("spike_time", "spike_unit")])
def test_a_folder_and_a_file_keep_them(tmp_path, record):
    run = spiking(record=record, every=100)
    stored = spiking(record=record, every=100, to=tmp_path / "run")
    for each in (stored, fw.open_recording(tmp_path / "run")):
        xr.testing.assert_identical(each.population.load(), run.population)
        assert "population" in each.coords
        assert "coordinates" not in each.attrs
    assert "coordinates" not in run.attrs
    write_netcdf(stored, tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as again:
        assert again.population.values.tolist() == NAMES
        assert "population" in again.coords


def network(**options):
    weights = torch.zeros(3, 3)
    memory = fw.Hebbian(tau=1.0, eta_rate=0.1)
    return fw.RateNetwork([fw.Projection(weights)], tau=0.01, memory=memory, dt=1e-3, **options)


def test_rate_networks_have_them_where_they_are_named():
    assert "population" not in fw.simulate(network(), steps=3, record="rate", progress=False).coords
    named = network(populations={"a": 2, "b": 1})
    run = fw.simulate(named, steps=3, record=["rate", "memory"], progress=False)
    assert run.population.values.tolist() == ["a", "a", "b"]
    assert run.memory.groupby("post_population").mean().sizes["post_population"] == 2
    assert run.pre_population.values.tolist() == ["a", "a", "b"]


@pytest.mark.parametrize("name", ["population", "post_population", "rate_population"])
def test_a_record_may_not_have_the_name_of_a_coordinate(name):
    records = [Record("rate", units=[0, 2]), Record("hidden", name=name)]
    with pytest.raises(fw.ConfigError, match=f"record='{name}' is also the name"):
        fw.simulate(network(populations={"a": 2, "b": 1}), steps=3, record=records, progress=False)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"a": 2}, fw.ShapeError, "populations have 2 units, the network has 3; name all units"),
        ({"a": 2.5, "b": 0.5}, fw.ConfigError, "populations\\['a'\\]=2.5 is not allowed"),
        ({"a": 0, "b": 3}, fw.ConfigError, "populations\\['a'\\]=0 is not allowed"),
        (["a", "a", "b"], fw.ConfigError, "give names and numbers of units"),
        ({1: 3}, fw.ConfigError, "give names and numbers of units"),
    ],
)
def test_names_that_do_not_fit_are_refused(given, error, said):
    with pytest.raises(error, match=said) as caught:
        network(populations=given)
    assert "\n" not in str(caught.value)


def test_an_interrupted_recording_has_them(tmp_path):
    def stops(start, stop):
        if stop > 200:
            raise KeyboardInterrupt
        return torch.zeros(1, stop - start, 3)

    options = {"steps": 4000, "record": "rate", "progress": False, "to": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        fw.simulate(network(populations={"a": 2, "b": 1}), stops, **options)
    part = fw.open_recording(tmp_path / "run")
    assert part.population.values.tolist() == ["a", "a", "b"]
    assert "population" in part.coords
