"""synapse_fit runs on responses that it draws itself, and asks for data where there are none."""

import numpy as np
import pytest

import fwsim as fw
from fwsim import study


def test_simulated_synapse(tmp_path, monkeypatch):
    """With two rules whose time constants are fitted and one that has published ones."""
    experiment = study.load_experiment("synapse_fit")
    parts, known = experiment.run.__globals__, "cloglog 2, published times"
    published = {known: parts["published"]()[known]}
    monkeypatch.setitem(parts, "FEW", ("Tsodyks–Markram", "cloglog 2"))
    monkeypatch.setitem(parts, "published", lambda: published)
    config = {"data": "simulated", "rules": "few", "starts": 1, "replicates": 2}
    result = study.analyse(study.run(experiment, config, folder=tmp_path / "run")).result
    main = result.sel(variant="gamma")
    assert main.tic.sel(rule="cloglog 2") < main.tic.sel(rule="Tsodyks–Markram") - 20
    inside = (main.mean_low <= main.mean_high) & (main.response_low < main.mean_low)
    assert inside.where(main.measured.notnull(), True).all()
    assert np.isnan(result.published_error).all()  # those are of other responses
    share = result.gain_share.where(result.held_out_error.notnull(), 0)  # not all rules are in all variants
    assert ((share <= 1 + 1e-9) & (share >= -1e-9)).all()
    assert (result.tic.sel(variant="gamma, few cells") < main.tic).all()  # fewer responses count
    assert set(result.criterion.values) == {"squared error", "log-likelihood", "TIC"}
    verdicts = study.analyse(tmp_path / "run", "plausibility").result
    synapse = verdicts.isel(row=verdicts.component.values == "excitatory synapse")
    assert synapse.model.values.tolist() == ["cloglog 2, tau_trace_1", "cloglog 2, tau_trace_2"]
    assert (synapse.quantity == "tau_facil").all()
    np.testing.assert_allclose(synapse.value, result.estimate.values[result.parameter_unit.values == "s"])


def test_without_data_it_says_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.delenv("FWSIM_DATA", raising=False)
    with pytest.raises(fw.ConfigError, match="give --data FOLDER"):
        study.run("synapse_fit", {}, folder=tmp_path / "run")
    with pytest.raises(fw.ConfigError, match="rule='tm' is not compared; use one of Tsodyks–Markram"):
        study.run("synapse_fit", {"data": "simulated", "rule": "tm"}, folder=tmp_path / "other")
