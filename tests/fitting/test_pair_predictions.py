"""Predictions of pairs by their class, which are made before the responses of these pairs are looked at."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import fwsim as fw
from fwsim.fitting.synthetic import synthetic_pairs

MODULE = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "results" / "pair_predictions.py"))


def pairs(seed):
    return synthetic_pairs(seed).assign(clamp="current")


@pytest.fixture(scope="module")
def fitted():
    rule = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1)
    with pytest.warns(UserWarning, match="chains disagree"):
        population = fw.fit_population(rule, pairs(0), warmup=150, moves=100, exact=0, progress=False)
    return {"Tsodyks–Markram": population}


def test_new_pairs_are_predicted_without_their_responses(fitted):
    new = pairs(1)
    found = MODULE["predictions"](fitted, new)
    blind = MODULE["predictions"](fitted, new.assign(amplitude=np.nan))
    assert found.equals(blind)
    per_pulse = new.drop_duplicates(["pair", "protocol", "pulse"])
    assert len(found) == len(per_pulse)
    joined = new.merge(found, on=["pair", "protocol", "pulse"])
    assert len(joined) == len(new)
    inside = (joined.response_low < joined.amplitude) & (joined.amplitude < joined.response_high)
    assert inside.mean() > 0.95  # intervals are wide, since four pairs say little about a class
    assert joined.response_high.median() < 5 * joined.amplitude.quantile(0.95)
    own = joined.groupby(["pair", "protocol", "pulse"]).amplitude.mean()
    assert np.corrcoef(own, joined.groupby(["pair", "protocol", "pulse"])["mean"].mean())[0, 1] > 0.5


def test_unknown_classes_are_refused(fitted):
    with pytest.raises(fw.ConfigError, match="group='mouse x→y' is unknown"):
        MODULE["predictions"](fitted, pairs(1).assign(**{"class": "mouse x→y"}))


def test_a_file_of_predictions_is_never_replaced(tmp_path):
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(SystemExit, match="exists"):
        MODULE["main"](tmp_path, tmp_path, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
