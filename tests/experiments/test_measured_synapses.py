"""measured_synapses runs on pairs that it draws itself, and asks for data where there are none."""

from pathlib import Path

import numpy as np
import pytest

import fwsim as fw
from fwsim import study
from fwsim.fitting import read_pairs
from fwsim.study import files
from tests.fitting.recorded import sample_of_pairs


def test_simulated_pairs(tmp_path):
    config = {"data": "simulated", "rules": "few", "warmup": 60, "moves": 30, "exact": 0, "chains": 1}
    done = study.analyse(study.run("measured_synapses", config, folder=tmp_path / "run"))
    result = done.result
    assert result.sizes["class"] == 2
    assert float(result.difference.max()) == 0
    assert float(result.predicted) == 8 * 6 * 8  # one of three frequencies of every pair
    assert 0.8 < float(result.covered) <= 1
    typical = result.typical.sel(parameter="U")
    assert typical.sel({"class": "mouse a→b"}) > typical.sel({"class": "mouse c→d"})
    assert np.isfinite(result.density).all()


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


def test_without_data_it_says_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.delenv("FWSIM_SYNPHYS", raising=False)
    with pytest.raises(fw.ConfigError, match="set FWSIM_SYNPHYS"):
        study.run("measured_synapses", {}, folder=tmp_path / "run")
