"""measured_synapses and synapse_classes run on pairs that they draw, and ask for data where there are none."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim import study
from fwsim.fitting import read_pairs, synthetic_pairs
from fwsim.fitting.measured_classes import read_classes
from fwsim.study import files
from tests.fitting.recorded import sample_of_pairs

ANALYSES = Path(__file__).parents[2] / "analysis"
ALONE = "Tsodyks–Markram, each pair alone"


def test_simulated_pairs(tmp_path):
    config = {"data": "simulated", "rules": 2, "warmup": 60, "moves": 30, "exact": 0, "chains": 1}
    done = study.analyse(study.run("measured_synapses", config, folder=tmp_path / "run"))
    result = done.result
    assert float(result.difference.max()) == 0
    assert (
        result.predicted.sum("cell").values.tolist() == [8 * 6 * 8] * 2
    )  # one of three frequencies of every pair
    assert (result.covered > 0.8).all()
    assert (result.covered <= 1).all()
    off = result.density.sel(rule="Tsodyks–Markram") - result.density.sel(rule=ALONE)
    gain = result.sel(rule="Tsodyks–Markram", against=ALONE)
    assert np.isclose(gain.gain, off.sum())
    assert np.isclose(gain.gain_error, np.sqrt(8) * off.std(ddof=1))
    assert float(result.gain.sel(rule=ALONE).squeeze()) == 0
    assert done.table["rule"].tolist() == list(result.rule.values)
    without = study.analyse(
        study.run("measured_synapses", config | {"alone": False, "warmup": 20}, folder=tmp_path / "other")
    )
    assert set(without.result.rule.values) == {"Tsodyks–Markram", "linear–nonlinear 2"}
    assert without.result.against.values.tolist() == [without.result.rule.values[0]]
    with pytest.raises(fw.RecordingError, match="no two rules that differ in one component"):
        study.analyse(tmp_path / "run", "synapse_timescales")


def test_places_are_uniform_if_the_prediction_is_right():
    module = files.load(Path(__file__).parents[2] / "experiments" / "measured_synapses.py", ("places",))
    few = SimpleNamespace(
        responses=lambda train, repeats: torch.linspace(0, 1, 101).clamp(min=0.25)[None, :, None]
    )
    population = SimpleNamespace(cell=lambda name: few)
    random = np.random.default_rng(0)
    seen = np.maximum(random.random(4000), 0.25)
    one = {"pair": "a", "protocol": "p", "pulse": 0, "time_s": 0.0, "amplitude": seen}
    out = pd.DataFrame({"sweep": np.arange(4000), **one})
    place = module.places(population, out, out, random).place
    assert np.abs(np.quantile(place, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03
    assert place[seen == 0.25].max() < 0.27 < place[seen > 0.3].min()


def test_classes_of_simulated_pairs(tmp_path):
    config = {"data": "simulated", "warmup": 60, "moves": 30, "exact": 0, "chains": 1}
    done = study.analyse(study.run("synapse_classes", config, folder=tmp_path / "run"))
    typical = done.result.typical.sel(parameter="U")
    assert typical.sel(group="mouse a→b") > typical.sel(group="mouse c→d")
    assert done.table["pairs"].astype(int).tolist() == [4, 4]
    classes = read_classes(tmp_path / "run" / "tables" / "measured_classes.csv")
    assert classes["mouse a→b"].rule.U > classes["mouse c→d"].rule.U
    assert classes["mouse a→b"].pairs == 4
    assert done.result.place.sizes["cell"] == 8
    with pytest.raises(fw.RecordingError, match="no species has 20 pairs"):
        study.analyse(tmp_path / "run", "synapse_clusters")
    both = study.analyse(
        study.run("synapse_classes", {**config, "groups": "calcium"}, folder=tmp_path / "both")
    )
    assert both.result.group.values.tolist() == ["mouse, 1.3"]


def test_components_of_simulated_pairs():
    """One pair in four has a second component, which adds 3 nats; the others lose 1; one says nothing."""
    gain = np.array([3.0] * 10 + [-1.0] * 29 + [0.0])
    rules = ["augmented release", "Tsodyks–Markram", "another"]
    recording = xr.Dataset(
        {
            "density": (("rule", "cell"), np.stack([gain, 0 * gain, 0 * gain])),
            "predicted": (("rule", "cell"), np.full((3, 41), 12.0)[:, :40]),
        },
        {"rule": rules, "cell": np.arange(40), "species": ("cell", ["mouse"] * 36 + ["human"] * 4)},
        {"left_out": "frequency"},
    )
    module = files.load(ANALYSES / "synapse_timescales.py", ("analyse", "table", "plot"))
    result = module.analyse(recording)
    assert result.component.values.tolist() == ["augmentation"]
    assert result.group.values.tolist() == ["all", "mouse"]  # four pairs are too few
    one = result.sel(component="augmentation", group="all")
    assert float(one.gain) == 1
    assert 5 < float(one.number_low) < 10 < float(one.number_high) < 25
    rows = module.table(result)
    assert [row["shown"] for row in rows] == ["no", "no"]
    assert rows[0]["pairs"] == "all (40)"
    module.plot(result)


def test_clusters_of_drawn_pairs():
    random = np.random.default_rng(0)
    true = np.concatenate([random.normal(-2, 0.3, (30, 2)), random.normal(2, 0.3, (30, 2))])
    z = true + 0.3 * random.standard_normal((40, 60, 2))
    recording = xr.Dataset(
        {
            "place": (("draw", "cell", "axis"), z),
            "mean_of_group": (("draw", "group", "axis"), np.zeros((40, 1, 2))),
            "covariance_of_group": (
                ("draw", "group", "axis", "axis_too"),
                np.tile(4 * np.eye(2), (40, 1, 1, 1)),
            ),
        },
        {
            "group": ["mouse"],
            "axis": ["U", "tau_rec"],
            "species": ("cell", ["mouse"] * 60),
            "group_of_cell": ("cell", ["mouse"] * 60),
        },
    )
    module = files.load(ANALYSES / "synapse_clusters.py", ("analyse", "table", "plot"))
    result = module.analyse(recording)
    two = result.sel(species="mouse", components=2)
    assert two.gain > 2 * two.gain_error
    assert int(result.modes[0]) >= 2
    assert module.table(result)[1]["shown"] == "yes"
    module.plot(result)


def test_what_is_left_out(tmp_path):
    file = Path(__file__).parents[2] / "experiments" / "measured_synapses.py"
    module = files.load(file, ("marked",))
    sample_of_pairs(tmp_path)
    table = read_pairs(tmp_path)
    out = module.marked(table, "frequency")
    assert out[out.held_out].groupby("pair").frequency_Hz.unique().str[0].to_dict() == {"7": 20.0, "8": 50.0}
    out = module.marked(table, "recovery")
    assert set(out[out.held_out].pulse) == {8, 9, 10, 11}
    assert (out[out.held_out].recovery_s > 1).all()
    others = [module.marked(table, each).held_out for each in ("frequency", "recovery")]
    several = pd.concat([table.assign(sweep=table.sweep + 100 * k) for k in range(4)])
    out = module.marked(several, "sweeps")
    assert set(out[out.amplitude.notna()].frequency_Hz) == {20.0, 50.0}
    assert not out[pd.concat([others[0] | others[1]] * 4)].amplitude.notna().any()
    one = module.marked(several[several.pair == "7"], "sweeps")
    assert set(one.protocol) == {"50 Hz, recovery 1.002 s"}
    known = out[out.amplitude.notna()].drop_duplicates(["pair", "sweep"])
    counts = known.groupby("pair").held_out.agg(["sum", "count"])
    assert (counts["sum"] == counts["count"] // 5).all()
    assert (counts["sum"] > 0).all()


def test_what_is_left_out_of_a_pair_is_the_same_however_many_are_taken():
    file = Path(__file__).parents[2] / "experiments" / "measured_synapses.py"
    module, table = files.load(file, ("taken",)), synthetic_pairs(0)
    whole, third = (module.taken(table, "frequency", every) for every in (1, 3))
    assert third.pair.unique().tolist() == sorted(whole.pair.unique())[::3]
    pd.testing.assert_frame_equal(third, whole[whole.pair.isin(third.pair)])


def test_without_data_it_says_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.delenv("FWSIM_SYNPHYS", raising=False)
    with pytest.raises(fw.ConfigError, match="set FWSIM_SYNPHYS"):
        study.run("measured_synapses", {}, folder=tmp_path / "run")
