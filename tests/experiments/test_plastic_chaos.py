"""plastic_chaos: activity, freezing and stored patterns of small networks are near mean field."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fwsim import ConfigError, study, theory
from fwsim.study import files

SMALL = {
    "units": 200, "networks": 2, "plasticity": (0.0, 1.5), "stored": (1.5, 2.4),
    "transient": 20.0, "watched": 40.0, "halted": 30.0, "kept": 20.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chaos") / "run"
    return study.analyse(study.run("plastic_chaos", SMALL, seed=3, folder=folder))


def test_activity_is_near_mean_field(analysed):
    result = analysed.result
    np.testing.assert_allclose(result["square"].mean("network"), result["expected_square"], atol=0.06)
    assert float(result["half_time"].sel(plasticity=1.5).min()) > 1.5 * float(
        result["half_time"].sel(plasticity=0.0).max()
    )


def test_only_strong_plasticity_freezes_activity(analysed):
    result = analysed.result
    assert result["still"].mean("network").values.tolist() == [0.0, 1.0]
    assert (
        float(result["expected_radius"].sel(plasticity=0.0))
        > 1
        > float(result["radius"].sel(plasticity=1.5).max())
    )
    frozen = result.sel(plasticity=1.5)
    assert float(frozen["frozen_overlap"].min()) == pytest.approx(float(frozen["expected_overlap"]), abs=0.1)


def test_patterns_persist_above_the_threshold(analysed):
    kept = analysed.result["pattern_rate"]
    assert float(abs(kept.sel(stored=1.5)).max()) < 0.05
    expected = analysed.result["expected_pattern"]
    np.testing.assert_allclose(kept.mean("network"), expected, atol=0.02)
    assert float(expected.sel(stored=2.4)) > 0.9


def test_theory_that_has_not_converged_is_not_shown(analysed, monkeypatch):
    analysis = files.load(Path(__file__).parents[2] / "analysis" / "plastic_chaos.py", ("predicted", "table"))
    found = theory.plastic_autocorrelation(2.0, 0.0, 1.0, dt=0.2, paths=2)
    monkeypatch.setattr(
        analysis.theory, "plastic_autocorrelation", lambda *_, **__: replace(found, converged=False)
    )
    config = {"coupling": 2.0, "tau_memory": 1.0, "step": 0.2, "weak": 0.15, **SMALL}
    result = analysed.result.drop_vars([name for name in analysed.result if name.startswith("expected")])
    row = analysis.table(result.merge(analysis.predicted(config, result["lag"])))[0]
    assert [value for name, value in row.items() if "theory" in name] == ["–"] * 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"halted": 0.1}, "halted=0.1 s is too short .* at least 0.4"),
        ({"kept": 0.1}, "kept=0.1 s is too short"),
        ({"watched": 0.5}, "watched=0.5 s is too short .* at least 0.8"),
        ({"transient": 0.1}, "transient=0.1 s is too short"),
        ({"coupling": 6.0}, "coupling"),
        ({"plasticity": ()}, "plasticity"),
    ],
)
def test_what_cannot_be_analysed_is_refused(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        study.run("plastic_chaos", {**SMALL, **given}, folder=tmp_path / "run")
