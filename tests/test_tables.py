"""Tables as people keep them, for fits and spike trains."""

import os
from pathlib import Path

import numpy as np
import pytest

import fwsim as fw
from fwsim.errors import ConfigError, RecordingError
from fwsim.fitting import gather, read_table, synthetic_table
from fwsim.spiking import read_spikes


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def table():
    return synthetic_table(fw.TsodyksMarkram(U=0.15, tau_rec=0.1, tau_facil=0.5), sweeps=4, gain=20.0, seed=1)


def same(path, table):
    found, expected = gather(read_table(path)), gather(table)
    assert found.protocols == expected.protocols
    np.testing.assert_allclose(found.amplitude, expected.amplitude, rtol=1e-12)
    np.testing.assert_allclose(found.times, expected.times, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sep": ";"},
        {"sep": ";", "decimal": ","},
        {"sep": "\t"},
        {"encoding": "utf-8-sig"},
        {"sep": ";", "decimal": ",", "encoding": "utf-8-sig", "lineterminator": "\r\n"},
        {"na_rep": "NA"},
        {"na_rep": "nan"},
        {"quoting": 1},
    ],
    ids=str,
)
def test_all_ways_of_writing_a_table(table, options):
    table.loc[3, "amplitude"] = np.nan
    table.to_csv("t.csv", index=False, **options)
    same("t.csv", table)


def test_blanks_are_no_part_of_names(table):
    table.rename(columns=lambda name: f" {name} ").to_csv("t.csv", index=False)
    same("t.csv", table)
    gather(table.rename(columns=lambda name: f" {name}"))
    Path("s.csv").write_text("unit , time_s\n a , 0.5\nb, 0.25 \n")
    run = read_spikes("s.csv")
    assert list(run["unit"].values) == ["a", "b"]
    assert list(run["spike_time"].values) == [0.25, 0.5]


@pytest.mark.parametrize("name", ["NA", "NaN", "null", "None", "020", "1e3"])
def test_names_stay_as_they_are_written(table, name):
    first = table.protocol[0]
    table.assign(protocol=table.protocol.replace(first, name)).to_csv("t.csv", index=False)
    assert gather(read_table("t.csv")).protocols[0] == name
    Path("s.csv").write_text(f"unit,time_s,trial\n{name},0.5,{name}\nother,0.25,x\n")
    run = read_spikes("s.csv")
    assert name in run["unit"].values
    assert name in run["trial"].values


def test_whole_numbers_are_numbers():
    Path("s.csv").write_text("unit;time_s;trial\n10;0,5;2\n9;0,25;10\n")
    run = read_spikes("s.csv")
    assert list(run["unit"].values) == [9, 10]
    assert list(run["trial"].values) == [2, 10]
    assert list(run["spike_time"].values) == [0.25, 0.5]


def test_sweeps_with_numbers_and_names_in_several_files(table):
    table.to_csv("a.csv", index=False)
    table.assign(sweep="cell " + table.sweep.astype(str)).to_csv("b.csv", index=False)
    assert len(gather(read_table(["a.csv", "b.csv"])).amplitude) == 2 * len(gather(table).amplitude)


BAD = {
    "digits": ("protocol,sweep,pulse,time_s,amplitude\na,0,0,0.1,1" + "0" * 400, "is not a number"),
    "digits of a pulse": (
        "protocol,sweep,pulse,time_s,amplitude\na,0,1" + "0" * 400 + ",0.1,1",
        "is not a number",
    ),
    "a novel": ("protocol,sweep,pulse,time_s,amplitude\na,0,0,0.1," + "x" * 5000, "is not a number"),
    "two columns": ("protocol,sweep,pulse,time_s, time_s,amplitude\na,0,0,1,2,3", "two columns 'time_s'"),
    "ragged": ("protocol,sweep,pulse,time_s,amplitude\na,0,0,0.1,1,7,7", "cannot be read as a table"),
    "decimal commas": ("protocol,sweep,pulse,time_s,amplitude\na,0,0,0,1,1", "cannot be read as a table"),
    "thousands": ("protocol;sweep;pulse;time_s;amplitude\na;0;0;1.234,5;1", "is not a number"),
    "blanks between": ("protocol sweep pulse time_s amplitude\na 0 0 0.1 1", "has no column"),
    "empty": ("", "cannot be read as a table"),
    "header only": ("protocol,sweep,pulse,time_s,amplitude\n", "has no rows"),
    "other": (",".join(f"column{k}" for k in range(2000)) + "\n", "has no column"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table_is_refused_in_one_line(name):
    text, said = BAD[name]
    Path("t.csv").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        gather(read_table("t.csv"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    Path("s.csv").write_text(text.replace("sweep", "unit"))
    if name not in ("digits", "digits of a pulse", "a novel", "header only"):
        with pytest.raises(RecordingError) as refused:
            read_spikes("s.csv")
        assert len(str(refused.value)) < 400


def test_spikes_with_too_many_digits():
    Path("s.csv").write_text("unit,time_s\na,1" + "0" * 400 + "\n")
    with pytest.raises(RecordingError, match=r"line 2: .* is no spike") as caught:
        read_spikes("s.csv")
    assert len(str(caught.value)) < 300


def test_numbers_too_large_in_a_frame(table):
    import pandas as pd

    frame = table.assign(amplitude=pd.Series([10**400] * len(table), dtype=object))
    with pytest.raises(ConfigError, match="is not a number"):
        gather(frame)


@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "folder.csv", "gone.csv"])
def test_what_is_no_file_is_refused_at_once(here, place):
    os.mkfifo("pipe")
    (here / "folder.csv").mkdir()
    for read, error in ((read_table, ConfigError), (read_spikes, RecordingError)):
        with pytest.raises(error) as caught:
            read(place)
        assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text():
    Path("t.csv").write_bytes("protocol,é".encode("latin-1"))
    with pytest.raises(ConfigError, match="is no text in UTF-8"):
        read_table("t.csv")
    with pytest.raises(RecordingError, match="is no text in UTF-8"):
        read_spikes("t.csv")


def test_idx_files_that_are_pipes(here):
    from fwsim.tasks.idx import read_idx

    os.mkfifo("pipe")
    with pytest.raises(ConfigError, match="is no file but a pipe or device"):
        read_idx("pipe")


def test_a_fit_with_units(table, capfd):
    from fwsim import cli

    table.to_csv("t.csv", index=False)
    said = []
    for value in ("500ms", "0.5"):
        line = f"fit t.csv --rule tsodyks_markram --with tau_facil={value} --replicates 2"
        with pytest.raises(SystemExit) as caught:
            cli.main(line.split())
        assert caught.value.code == 0
        said.append(capfd.readouterr().out)
    assert said[0] == said[1]
    assert "tau_facil" in said[0]
