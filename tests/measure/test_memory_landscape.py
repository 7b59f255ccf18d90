"""The landscape experiment and its analysis, on a network that has hardly been trained."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fwsim.study import Context, load_experiment

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_quick_landscape_is_complete_and_its_loops_repeat_the_recording(tmp_path):
    experiment = load_experiment("memory_landscape")
    config = experiment.configure({"sequences": 2, "training_sequences": 500}, quick=True)
    recording = experiment.run(config, Context(Path(tmp_path)))
    spec = importlib.util.spec_from_file_location(
        "landscape_analysis", ROOT / "analysis" / "memory_landscape.py"
    )
    analysis = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(analysis)

    one = recording.isel(trial=1)
    for step in (1, 5, 10):
        loop = analysis.frozen(one, step)
        inner = one["inner"].values[step]
        assert loop.start[0].numpy() == pytest.approx(inner[0], abs=1e-5)
        assert loop(loop.start)[0].numpy() == pytest.approx(inner[1], abs=1e-4)
    asked = int(one["pair"])
    assert one["query_sustained"].values[asked] == pytest.approx(one["sustained"].values[-1], abs=1e-5)
    assert int(one["digits"][asked]) == int(one["target"])

    result = analysis.analyse(recording)
    assert (result["stable"] + result["unstable"] + result["slow"] >= 1).all()
    # A sum of n outer products has at most n eigenvalues above zero.
    rank = (result["eigenvalue"] > 1e-5 * result["eigenvalue"].max("mode")).sum("mode")
    assert (rank <= result["step"]).all()
    assert set(analysis.plot(result)) == {"landscape", "query", "portrait"}
    assert np.isfinite([float(row["query"]) for row in analysis.table(result)]).all()
