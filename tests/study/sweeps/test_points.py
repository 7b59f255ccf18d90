"""Points of a sweep: their seeds and identities, and the batches that they share."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim
from fwsim.errors import ConfigError
from fwsim.study import Experiment, StudyError, load_experiment, run
from fwsim.study.experiment import Batching
from fwsim.study.sweeps.axes import Axis, parse_axes
from fwsim.study.sweeps.points import PARTS, WORTH, Point, Space, batches, point_seed


@pytest.fixture
def leak(toy):
    return load_experiment("leak")


def points_of(experiment, over, seeds=(0,), base=None, source="s"):
    base = experiment.configure(base or {}).model_dump(mode="json")
    return Space(parse_axes(experiment, over), tuple(seeds)).points(experiment, base, source)


def test_points_are_the_product_of_the_axes(leak):
    space = Space(parse_axes(leak, {("tau", "eta"): ([1, 2], [3, 4]), "steps": [5, 6, 7]}), (8, 9))
    assert space.shape == (2, 3, 2)
    assert space.dimensions == ("tau", "steps", "seed")
    assert space.parameters == ("tau", "eta", "steps")
    points = space.points(leak, {}, "s")
    assert len(points) == 12
    last = points[-1]
    assert last.index == (1, 2, 1)
    assert (last.configuration["tau"], last.configuration["eta"], last.configuration["steps"]) == (2, 4, 7)
    assert last.seed == point_seed(9, last.configuration)


def test_every_point_has_its_own_seed_and_identity(leak):
    points = points_of(leak, {"tau": [1, 2], "eta": [1, 2]}, seeds=(0, 1))
    assert len({point.seed for point in points}) == len({point.identity for point in points}) == 8


def test_a_point_keeps_its_seed_whatever_else_is_swept(leak):
    alone = points_of(leak, {"tau": [2]}, base={"eta": 3})
    among = points_of(leak, {"eta": [1, 3], "tau": [1, 2]})
    assert {(p.seed, p.identity) for p in alone} <= {(p.seed, p.identity) for p in among}


def test_identity_changes_with_all_that_matters(leak, monkeypatch):
    def identity(**changes):
        return points_of(leak, **{"over": {"tau": [1]}, **changes})[0].identity

    first = identity()
    assert identity() == first
    assert identity(source="other") != first
    assert identity(seeds=(1,)) != first
    assert identity(base={"steps": 3}) != first
    monkeypatch.setattr(fwsim, "__version__", "999")
    assert identity() != first


def test_the_seed_of_a_point_repeats_it_as_a_run(leak):
    (point,) = points_of(leak, {"tau": [2]}, seeds=(3,))
    assert run(leak, point.configuration, seed=point.seed).recording["sum"].sizes["time"] == 20


def test_only_batchable_parameters_share_a_batch(leak):
    made = batches(leak, points_of(leak, {"tau": [1, 2], "steps": [3, 4]}, seeds=(0, 1)), memory=1e9)
    assert [len(batch) for batch in made] == [4, 4]
    assert [{point.configuration["steps"] for point in batch} for batch in made] == [{3}, {4}]


def test_experiments_that_declare_nothing_run_point_by_point(toy):
    trace = load_experiment("trace")
    assert [len(batch) for batch in batches(trace, points_of(trace, {"tau": [1, 2]}), memory=1.0)] == [1, 1]


def test_a_point_that_does_not_fit_is_refused(leak):
    with pytest.raises(ConfigError, match="one point takes 320 bytes and a batch may take 100"):
        batches(leak, points_of(leak, {"tau": [1, 2]}), memory=100.0)


NOTHING = Experiment("x", None, "", None, None, {}, Batching(("a",), None, lambda config: config))


@settings(deadline=None)
@given(
    number=st.integers(1, 3000),
    each=st.floats(1.0, 1e9),
    memory=st.floats(1e9, 1e11),
    size=st.none() | st.integers(1, 500),
)
def test_batches_hold_every_point_once_within_the_budget(number, each, memory, size):
    class Any:
        path = Path("any.py")

        def configure(self, values):
            return each

        batching = NOTHING.batching

    points = [Point((place,), {"a": place}, place, str(place)) for place in range(number)]
    made = batches(Any(), points, memory=memory, size=size)
    assert [point for batch in made for point in batch] == points
    sizes = [len(batch) for batch in made]
    assert max(sizes) * each <= memory
    assert max(sizes) - min(sizes) <= 1
    if size is not None:
        assert max(sizes) <= size
    elif number * each > PARTS * WORTH:
        assert max(sizes) <= math.ceil(number / PARTS)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("0", ConfigError, "point_bytes=0 is not allowed"),
        ("float('nan')", ConfigError, "point_bytes=nan is not allowed"),
        ("{}['x']", StudyError, r"leak.py failed: KeyError: 'x' \(line"),
    ],
)
def test_a_size_of_points_that_cannot_be_is_refused(toy, body, error, said):
    file = toy / "experiments" / "leak.py"
    head, _, tail = file.read_text().partition("def point_bytes(config):\n    return ")
    file.write_text(f"{head}def point_bytes(config):\n    return {body}\n{tail.partition(chr(10))[2]}")
    experiment = load_experiment("leak")
    with pytest.raises(error, match=said):
        batches(experiment, points_of(experiment, {"eta": [1.0]}), memory=1e9)


def test_axis_length():
    assert len(Axis(("a",), ((1,), (2,)))) == 2


def test_batching_is_checked_when_the_file_is_loaded(toy):
    source = (toy / "experiments" / "leak.py").read_text()
    wrong = {
        'BATCHABLE = ("tau", "eta")': ('BATCHABLE = ("tauu",)', "BATCHABLE has an unknown field 'tauu'"),
        "def point_bytes": ("def bytes_of_point", "declares BATCHABLE without point_bytes"),
    }
    for old, (new, said) in wrong.items():
        (toy / "experiments" / "wrong.py").write_text(source.replace(old, new))
        with pytest.raises(ConfigError, match=said):
            load_experiment("wrong")
