"""Every analysis stands a sweep of which points failed: they are named, and the rest is there."""

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fwsim import study
from fwsim.study import experiment as experiments
from fwsim.study import files, load_experiment
from tests.experiments.lost import with_a_failed_point

FOLDER = Path(experiments.__file__).parents[2]
ANALYSES = sorted((FOLDER / "analysis").glob("*.py"))
SECOND = {
    "attractor_capacity": "attractor_memory",
    "trained_dynamics": "ablation",
    "trained_spikes": "ablation",
}
"""Analyses of another experiment's runs."""
FORGETTING = {"units": 30, "items": 20, "lags": 12, "trials": 2}


@cache
def loaded(path):
    """Analysis of a file."""
    return files.load(path, ("analyse", "plot"))


@cache
def parsed(path):
    """Source of a file."""
    return ast.parse(path.read_text())


@pytest.mark.parametrize("path", ANALYSES, ids=lambda path: path.stem)
def test_columns_that_an_analysis_explains_are_columns_of_its_table(path):
    """Each is a text of the file outside `EXPLAINED`, or its longest part without `*` is in one."""
    meanings = getattr(loaded(path), "EXPLAINED", {})
    statements = [
        each for each in parsed(path).body if not ast.unparse(each).startswith(("EXPLAINED", "CAPTIONS"))
    ]
    nodes = [node for each in statements for node in ast.walk(each) if isinstance(node, ast.Constant)]
    texts = {node.value for node in nodes if isinstance(node.value, str)}
    parts = {name: max(name.split("*"), key=len) for name in meanings}
    found = {
        name
        for name, part in parts.items()
        if name in texts or any(part in each for each in texts if "*" in name)
    }
    assert set(meanings) - found == set()
    tabulates = any(isinstance(each, ast.FunctionDef) and each.name == "table" for each in statements)
    assert bool(meanings) == tabulates


@pytest.mark.parametrize("path", ANALYSES, ids=lambda path: path.stem)
def test_every_figure_of_an_analysis_has_a_caption(path):
    """And every caption a figure: the names that `plot` gives to figures, or `*` if it returns one without a name."""
    (plot,) = (each for each in parsed(path).body if getattr(each, "name", "") == "plot")
    names = set()
    for node in ast.walk(plot):
        if isinstance(node, ast.Dict) and all(
            isinstance(value, ast.Call) or ast.unparse(value) == "made" for value in node.values
        ):
            names |= {ast.literal_eval(key) for key in node.keys if key is not None}
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            names.add(ast.literal_eval(node.targets[0].slice))
    assert set(loaded(path).CAPTIONS) == (names or {"*"})


@pytest.mark.parametrize("path", ANALYSES, ids=lambda path: path.stem)
def test_every_analysis_says_how_it_takes_a_sweep(path):
    """Over these fields as a whole; over all others, point by point."""
    declared = getattr(loaded(path), "SWEPT", None)
    if declared is None:
        assert path.stem == "associative_retrieval"  # which goes over the points itself
    elif declared:
        experiment = FOLDER / "experiments" / f"{SECOND.get(path.stem, path.stem)}.py"
        assert set(declared) <= {*load_experiment(experiment).config.model_fields, "seed"}


@pytest.mark.parametrize(
    ("name", "config", "field", "failed", "shown"),
    [
        ("forgetting", FORGETTING, "tau", [1.0], "exponential"),
        ("normalisation", {"epochs": 1, "training_sequences": 640}, "eta", 0.1, " – "),
        ("nested_brackets", {"steps": 20}, "tau", 3.0, "fast weights"),
        ("timescale_match", {"epochs": 1}, "delays", [3], "5"),
        ("interference", {}, "units", 99, "short"),  # point by point, as all others are
    ],
)
def test_points_that_failed_are_named(tmp_path, name, config, field, failed, shown):
    """The first point failed, and one of two seeds of the other."""
    run = study.run(name, config, quick=True, folder=tmp_path / "run", device="cpu")
    report = study.analyse(with_a_failed_point(run, tmp_path / "sweep", field, failed))
    assert shown in report.table.to_csv()
    lost = report.table["failed"][report.table["failed"] != ""]
    assert len(lost) == 3
    assert set(report.captions) == {path.stem for path in report.files if path.suffix == ".png"}
    assert report.captions


def test_a_memory_that_never_forgets(tmp_path):
    """The extremes that the experiment takes: no decay, decay at once, nothing written."""
    for number, config in enumerate(({"tau": [np.inf]}, {"tau": [0.0]}, {"eta": [0.0]})):
        run = study.run("forgetting", {**FORGETTING, **config}, folder=tmp_path / str(number))
        (row,) = study.analyse(run).table.to_dict("records")
        assert np.isnan(row["held in theory"])
        assert row["held"] == 0 if number == 2 else row["area (s)"] > 0


def test_a_sweep_over_what_is_recorded(tmp_path):
    """`forgetting` records `units`: the axis keeps the name, and theory takes each point's."""
    import fwsim as fw

    config = {key: value for key, value in FORGETTING.items() if key != "units"}
    swept = fw.sweep("forgetting", {"units": [20, 40]}, 2, config, workers=1, folder=tmp_path / "sweep")
    assert swept.sel(units=40).strength.dims == ("seed", "trial", "lag")
    np.testing.assert_array_equal(swept.units_recorded, [[20, 20], [40, 40]])
    report = study.analyse(tmp_path / "sweep")
    assert report.table["units"].tolist() == [20, 40]
    np.testing.assert_array_equal(report.result["units"], [20, 40])
