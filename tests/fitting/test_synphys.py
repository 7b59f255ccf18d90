"""Recorded pairs of the synaptic physiology, read as responses."""

import numpy as np
import pytest

import fwsim as fw
from fwsim.fitting import gather, read_pairs
from tests.fitting.recorded import sample_of_pairs


def test_pairs_are_read_as_responses(tmp_path, monkeypatch):
    made = sample_of_pairs(tmp_path)
    monkeypatch.setenv("FWSIM_SYNPHYS", str(tmp_path))
    table = read_pairs()
    assert len(table) == made.shape[0] * 12
    assert set(table["class"]) == {"mouse sim1→sim1", "mouse sst→sim1"}
    assert (table.amplitude.dropna() >= 0).all()
    assert (table[table.pulse == 2].amplitude == 0).all()  # what a fit did not find
    assert table.amplitude.isna().sum() == 3
    one = table[(table.pair == "7") & (table.clamp == "vc") & (table.protocol == "50 Hz, recovery 1.002 s")]
    times = np.concatenate([np.arange(8) / 50, 7 / 50 + 1.002 + np.arange(4) / 50])
    np.testing.assert_allclose(one.time_s, times, atol=1e-12)
    row = made[(made.pair == 7) & (made.clamp == "vc") & (made.recovery_s > 1)].iloc[0]
    np.testing.assert_allclose(
        one.amplitude.iloc[3:], -row[[f"pulse_{k}" for k in range(4, 13)]].astype(float)
    )


def test_one_cell_of_the_table_can_be_fitted(tmp_path):
    sample_of_pairs(tmp_path)
    table = read_pairs(tmp_path / "pairs.csv.gz")
    table = table[table.clamp == "ic"]
    data = gather(table)  # the protocol at 50 Hz has one sweep of each pair
    assert data.cells == ("7", "8")
    assert data.cell.tolist() == [0] * 3 + [1] * 3 + [0, 1]
    fit = fw.fit(fw.TsodyksMarkram(0.3, 0.2, 0.1), table, noise="normal", starts=4, replicates=20)
    assert np.isfinite(fit.log_likelihood)


def test_wrong_files_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("FWSIM_SYNPHYS", raising=False)
    with pytest.raises(fw.ConfigError, match="set FWSIM_SYNPHYS"):
        read_pairs()
    with pytest.raises(fw.ConfigError, match="there is no file"):
        read_pairs(tmp_path)
    (tmp_path / "pairs.csv").write_text("species,pair\nmouse,1\n")
    with pytest.raises(fw.ConfigError, match="has no column calcium_mM"):
        read_pairs(tmp_path / "pairs.csv")
