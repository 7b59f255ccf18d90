"""Sweeps whose analysis takes one run at a time."""

import pandas as pd
import pytest
import xarray as xr

import fwsim as fw
from fwsim.study import Run, StudyError, analyse, compare


def one_at_a_time(toy, *edits):
    path = toy / "analysis" / "trace.py"
    text = path.read_text().replace("def analyse", "SWEPT = ()\n\n\ndef analyse", 1)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def swept(over, seeds=1, **config):
    return fw.sweep("trace", over, seeds, config, workers=1, folder="here")


def test_each_point_is_analysed_as_its_run_would_be(toy):
    one_at_a_time(toy)
    swept({"tau": [0.1, 0.2], "steps": [3, 5]})
    report = analyse("here")
    assert list(report.table.columns) == ["tau", "steps", "quantity", "value"]
    assert report.table["steps"].tolist() == [3, 5, 3, 5]
    for row in report.table.to_dict("records"):
        alone = analyse(
            fw.study.run("trace", {"tau": row["tau"], "steps": row["steps"]}, folder="one", force=True)
        )
        assert float(row["value"]) == pytest.approx(float(alone.table["value"][0]), rel=1e-12)
    result = report.result
    assert result["tau_recorded"].dims == ("tau", "steps", "seed")
    assert result.trace.dims == ("tau", "steps", "seed", "time")
    assert result["tau"].attrs == {"units": "s", "long_name": "Time constant"}
    assert {path.name for path in report.files} >= {
        "trace-tau=0.1_steps=3_seed=0.png",
        "table.csv",
        "result.nc",
    }
    xr.testing.assert_equal(
        xr.open_dataset(report.folder / "result.nc").load().drop_attrs(), result.drop_attrs()
    )


def test_a_point_that_cannot_be_analysed_is_marked(toy):
    one_at_a_time(
        toy,
        ("    slope =", "    if len(recording.time) == 4:\n        raise ValueError('four')\n    slope ="),
        (
            "    made, axes",
            "    if len(result.trace) == 5:\n        raise ValueError('not drawn')\n    made, axes",
        ),
    )
    swept({"steps": [3, 4, 5]})
    report = analyse("here")
    assert report.table["steps"].tolist() == [3, 4, 5, 5]
    assert report.table["failed"].tolist()[0] == ""
    assert "four" in report.table["failed"][1]
    assert report.table["value"][2] == pytest.approx(0.2)
    assert "not drawn" in report.table["failed"][3]
    assert report.result["failed"].values.ravel().tolist() == [False, True, False]


def test_where_no_point_can_be_analysed_that_is_said(toy):
    one_at_a_time(toy, ("    slope =", "    raise ValueError('never')\n    slope ="))
    swept({"steps": [3, 4]})
    with pytest.raises(StudyError, match=r"no point of the sweep could be analysed, the first for: .*never"):
        analyse("here")


def test_a_file_that_says_nothing_is_given_the_whole(toy):
    path = toy / "analysis" / "trace.py"
    path.write_text(
        path.read_text().replace(
            "    slope =",
            "    assert recording.tau.dims == ('tau',)\n    raise ValueError('whole')\n    slope =",
        )
    )
    swept({"tau": [0.1, 0.2]})
    with pytest.raises(StudyError, match="ValueError: whole"):
        analyse("here")


def test_fields_that_the_analysis_knows_are_given_as_a_whole(toy):
    one_at_a_time(
        toy,
        ("SWEPT = ()", "SWEPT = ('tau', 'seed')"),
        ("    slope =", "    if 'seed' in recording.dims:\n        return recording\n    slope ="),
        ("float(result.tau)", "float(result.tau.max())"),
        ("axes.plot(result.time, result.trace)", "pass"),
    )
    swept({"tau": [0.1, 0.3]}, seeds=2)
    assert analyse("here").table.to_dict("records") == [{"quantity": "time constant (s)", "value": 0.3}]


def test_many_points_are_drawn_sparsely(toy, monkeypatch):
    monkeypatch.setattr("fwsim.study.sweeps.analysis.FIGURES", 2)
    one_at_a_time(toy)
    swept({"tau": "0.1:0.5:lin5"}, steps=3)
    report = analyse("here")
    assert sorted(path.name for path in report.files if path.suffix == ".png") == [
        "trace-tau=0.1_seed=0.png",
        "trace-tau=0.5_seed=0.png",
    ]
    assert isinstance(report.table, pd.DataFrame)
    assert Run(toy / "here").state == "finished"


def test_figures_of_points_with_similar_names_are_all_kept(toy):
    """What a name of a file cannot have is left out, and so are ends of long names."""
    one_at_a_time(toy)
    path = toy / "experiments" / "trace.py"
    path.write_text(
        path.read_text().replace(
            "def run", "class Config(Config):\n    word: str = 'a'\n    'A word.'\n\n\ndef run", 1
        )
    )
    swept({"word": ["a!", "a?", "b" * 70 + "1", "b" * 70 + "2"]}, steps=3)
    figures = [path for path in analyse("here").files if path.suffix == ".png"]
    assert len(set(figures)) == 4
    assert all(path.is_file() for path in figures)


def test_versions_are_compared_at_one_point(toy):
    one_at_a_time(toy)
    with (toy / "analysis" / "trace.py").open("a") as file:
        file.write("\n\ndef versions(result):\n    return []\n")
    swept({"tau": [0.1, 0.2]})
    with pytest.raises(fw.ConfigError, match="takes one run at a time; compare a run of one point"):
        compare("here")
