"""Searches and sensitivity designs: the points of ordinary sweeps."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.study import design, search
from fwsim.study.sweeps.ranges import Range


def test_a_search_finds_goes_on_and_is_the_same_again(fwsim, toy):
    pytest.importorskip("optuna")
    over = {"tau": "10 ms:10 s:log", "order": "1,2"}
    options = {"quick": True, "workers": 1, "batch_size": 8}
    half = search("trace", over, "trace", trials=3, at_once=4, folder="half", **options)
    whole = search("trace", over, "trace", trials=8, at_once=4, folder="whole", **options)
    again = search("trace", over, "trace", trials=8, at_once=4, folder="half", **options)
    xr.testing.assert_equal(whole, again)
    xr.testing.assert_equal(half.drop_attrs(), again.isel(search=slice(3)).drop_attrs())
    times = 0.1 * np.arange(1, 5)
    for place in range(8):
        expected = np.exp(-float(whole.order[place]) * times / float(whole.tau[place])).mean()
        assert float(whole.objective[place]) == pytest.approx(expected, rel=1e-6)
    assert whole.attrs["best"] == int(np.argmin(whole.objective.values))
    with pytest.raises(ConfigError, match="is a round of another search"):
        search("trace", {"tau": "1:2:log"}, "trace", trials=4, folder="half", **options)
    with pytest.raises(ConfigError, match="objective='gone' is not recorded; use one of trace"):
        search("trace", over, "gone", trials=4, at_once=4, folder="half", **options)
    tokens = [
        "sweep",
        "trace",
        "--quick",
        "--workers",
        "1",
        "--sampler",
        "random",
        "--trials",
        "3",
        "--to",
        "cli",
    ]
    code, out, err = fwsim(*tokens, "--over", "tau=1:9:log", "--objective", "trace", "--maximize")
    assert (code, err) == (0, "")
    assert "best of 3 points" in out


def test_a_search_does_not_go_into_the_folder_of_a_run(toy):
    pytest.importorskip("optuna")
    done = fw.study.run("trace", {"steps": 2}, folder="here")
    with pytest.raises(ConfigError, match="here is a run; choose another place with --to"):
        search("trace", {"tau": "1:2:log"}, "trace", trials=1, folder="here")
    assert done.differences() == []


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("--sampler tpe --over tau=1:9:log", "--sampler needs --objective"),
        ("--objective trace --over tau=1,9", "add --sampler"),
        (
            "--sampler tpe --objective trace --over tau=1:9:log3",
            "is no range to sample; write start:stop:log",
        ),
        ("--sampler tpe --objective trace --over tau=9:1:lin", "the smaller one first"),
        ("--sampler best --objective trace --over tau=1:9:lin", "sampler='best' is unknown"),
        ("--sampler tpe --objective trace", "nothing to sample"),
        ("--budget steps=1,2 --over tau=1,9", "--budget and --pruner are for a search; add --sampler tpe"),
        ("--pruner median --over tau=1,9", "--budget and --pruner are for a search; add --sampler tpe"),
        ("--sampler tpe --objective trace --over tau=1:9:lin --pruner median", "give a budget too"),
        (
            "--sampler tpe --objective trace --over tau=1:9:lin --budget steps",
            "write --budget epochs=5,20,80",
        ),
        ("--sampler tpe --objective trace --over tau=1:9:lin --budget steps=4,2", "rising values"),
        ("--sampler tpe --objective trace --over tau=1:9:lin --budget steps=4", "rising values"),
        (
            "--sampler tpe --objective trace --over tau=1:9:lin --budget order=1,2 --pruner best",
            "pruner='best'",
        ),
        ("--sampler tpe --objective trace --over tau=1:9:lin --budget tau=1,2", "none that is searched"),
        ("--sampler tpe --objective trace --over tau=1:9:lin --budget gone=1,2", "gone"),
    ],
)
def test_wrong_use_is_one_line(fwsim, toy, tokens, said):
    pytest.importorskip("optuna")
    code, out, err = fwsim("sweep", "trace", *tokens.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def leaves_best_third(value, before):
    """The rule of successive halving; values of points before that came as far."""
    ranked = sorted([*before, value])
    return value <= ranked[max(len(ranked) // 3, 1) - 1]


def test_a_budget_stops_points_and_a_longer_search_decides_as_a_shorter_one(toy):
    pytest.importorskip("optuna")
    steps = (2, 4, 8)
    options = {
        "sampler": "random", "seed": 2, "at_once": 4, "budget": {"steps": steps}, "pruner": "halving",
        "workers": 1, "batch_size": 8,
    }  # fmt: skip
    search("trace", {"tau": "10 ms:10 s:log"}, "trace", trials=5, folder="half", **options)
    found = search("trace", {"tau": "10 ms:10 s:log"}, "trace", trials=16, folder="half", **options)
    whole = search("trace", {"tau": "10 ms:10 s:log"}, "trace", trials=16, folder="whole", **options)
    xr.testing.assert_equal(found, whole)

    def mean(tau, number):
        return np.exp(-0.1 * np.arange(1, number + 1) / tau).mean()

    came = {number: [] for number in steps}
    for place, tau in enumerate(found.tau.values):
        for number in steps:
            value = mean(tau, number)
            goes_on = number < steps[-1] and leaves_best_third(value, came[number])
            came[number].append(value)
            if not goes_on:
                break
        assert found.steps[place] == number
        assert float(found.reached[place]) == pytest.approx(value, rel=1e-6)
        assert bool(found.objective[place].isnull()) == (number < steps[-1])
    last = found.reached[found.steps == steps[-1]].values
    assert len(last) > 1
    assert not all(
        leaves_best_third(value, last[:place]) for place, value in enumerate(last)
    )  # the end is no test
    assert len(last) < 16
    assert found.attrs["best"] == int(np.nanargmin(found.objective.values))


def test_the_median_of_completed_points_stops_worse_ones(toy):
    """A longer time constant has a larger mean; a round of two knows of the rounds before."""
    pytest.importorskip("optuna")
    found = search(
        "trace", {"tau": "10 ms:10 s:log"}, "trace", direction="maximize", trials=16, at_once=2, seed=1,
        sampler="random", budget={"steps": "2,4"}, workers=1, batch_size=8, folder="here",
    )  # fmt: skip
    tau, done = found.tau.values, found.objective.notnull().values
    for first in range(0, 16, 2):
        completed = tau[:first][done[:first]]
        goes_on = len(completed) < 4 or tau[first : first + 2] >= np.median(completed)
        np.testing.assert_array_equal(done[first : first + 2], goes_on)
    assert not done.all()


FRAIL = '''"""A question?"""
import xarray as xr
import fwsim as fw

class Config(fw.study.Config):
    tau: float = 1.0
    "Time constant."
    steps: int = 1
    "Steps."

def run(config, context):
    with open(LOG, "a") as log:
        print(config.tau, config.steps, file=log)
    if config.tau > 1.35:
        raise ValueError("too long")
    return xr.Dataset({"trace": ((), config.tau, {"units": "1", "long_name": "trace"})})
'''


def test_a_point_that_failed_gets_no_more(toy):
    pytest.importorskip("optuna")
    log = toy / "log"
    (toy / "experiments" / "frail.py").write_text(FRAIL.replace("LOG", repr(str(log))))
    found = search(
        "frail", {"tau": "0.5:2:lin"}, "trace", trials=4, at_once=4, sampler="random", budget={"steps": (1, 2)},
        workers=1, folder="here",
    )  # fmt: skip
    fails = found.tau.values > 1.35
    assert fails.any()
    assert not fails.all()
    np.testing.assert_array_equal(found.objective.isnull(), fails)
    np.testing.assert_array_equal(found.steps, np.where(fails, 1, 2))
    assert len(log.read_text().splitlines()) == 4 + (~fails).sum()


@pytest.mark.parametrize(
    ("given", "places", "expected"),
    [
        (Range("a", (1, 4), "lin", whole=True), [0, 0.2, 0.6, 1], [1, 2, 3, 4]),
        (Range("a", (1.0, 100.0), "log"), [0, 0.25, 0.5, 1], [1, 3.16227766017, 10, 100]),
        (Range("a", ("x", "y", "z"), "choice"), [0, 0.3, 0.34, 0.66, 0.67, 1], list("xxyyzz")),
    ],
)
def test_places_between_0_and_1_are_values_of_a_range(given, places, expected):
    """Words have equal shares; numbers are rounded, to whole ones or to 12 digits."""
    assert given.at(np.array(places)) == expected


def by_hand(points, function):
    """A result as a sweep over a design would give it."""
    ((names, columns),) = points.over.items()
    return xr.DataArray(function(*map(np.array, columns)), dims=names[0])


def test_sobol_indices_are_those_of_a_function_that_is_known(toy):
    pytest.importorskip("SALib")
    points = design("trace", {"tau": "1:100:log", "pause": "0:1:lin"}, samples=1024)
    # u = log₁₀(τ)/2 and v are uniform: 2u + v has variances 4/12 and 1/12, (u − ½)(v − ½) only a joint one.
    found = points.indices(by_hand(points, lambda tau, v: 2 * (np.log10(tau) / 2) + v))
    np.testing.assert_allclose(found["first"], [0.8, 0.2], atol=0.02)
    np.testing.assert_allclose(found["total"], [0.8, 0.2], atol=0.02)
    found = points.indices(by_hand(points, lambda tau, v: (np.log10(tau) / 2 - 0.5) * (v - 0.5)))
    np.testing.assert_allclose(found["first"], [0, 0], atol=0.02)
    np.testing.assert_allclose(found["total"], [1, 1], atol=0.03)
    assert float(found.second.sel(parameter="tau", other="pause")) == pytest.approx(1, abs=0.05)


def test_morris_effects_of_a_linear_function_are_its_slopes(toy):
    pytest.importorskip("SALib")
    points = design("trace", {"tau": "1:100:log", "pause": "0:1:lin"}, method="morris", samples=6)
    found = points.indices(by_hand(points, lambda tau, v: 3 * np.log10(tau) / 2 - v))
    np.testing.assert_allclose(found["mean"], [3, -1], rtol=1e-9)
    np.testing.assert_allclose(found["mean_absolute"], [3, 1], rtol=1e-9)
    np.testing.assert_allclose(found["sd"], 0, atol=1e-9)


def test_a_design_is_swept(toy):
    pytest.importorskip("SALib")
    points = design("trace", {"tau": "100 ms:10 s:log", "order": "1,2"}, samples=2)
    recording = fw.sweep("trace", points.over, quick=True, workers=1, folder="swept")
    found = points.indices(recording.trace.mean(["time", "seed"]))
    assert found.sizes == {"parameter": 2, "other": 2}
    with pytest.raises(ShapeError, match="average over the others"):
        points.indices(recording.trace)
    with pytest.raises(ConfigError, match="no power of 2"):
        design("trace", {"tau": "1:2:lin", "order": "1,2"}, samples=3)
