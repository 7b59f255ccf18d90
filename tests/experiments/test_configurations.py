"""Of every experiment that is shipped: what no configuration may be is refused in one line, before anything runs."""

import ast
import math
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from fwsim import study
from fwsim.errors import ConfigError
from fwsim.study import load_experiment
from fwsim.study.config import unit_of

ROOT = Path(__file__).parents[2]

EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("[a-z]*.py"))


loaded = cache(load_experiment)


def fields(name):
    """Of an experiment: field, whether it takes several values, its default or the first of several, its unit."""
    for field, about in loaded(name).config.model_fields.items():
        several = isinstance(about.default, tuple)
        first = about.default[0] if several and about.default else about.default
        yield field, several, first, unit_of(about)


@cache
def parsed(name):
    """Source of an experiment."""
    return ast.parse((ROOT / "experiments" / f"{name}.py").read_text())


def refused(name, field, value):
    """The message if this value is refused, else an empty text."""
    try:
        loaded(name).config(**{field: value})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_nan_is_no_value(name):
    for field, several, first, _ in fields(name):
        if isinstance(first, float):
            said = refused(name, field, (first, math.nan) if several else math.nan)
            assert field in said, field
            assert "\n" not in said


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_times_rates_and_counts_are_not_negative(name):
    for field, several, first, unit in fields(name):
        counts = isinstance(first, int) and not isinstance(first, bool)
        if counts or unit in ("s", "Hz"):
            said = refused(name, field, (-1,) if several else -1)
            assert field in said, field
            assert "\n" not in said


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_run_is_not_empty(name):
    """A field of several values is empty only if that is its default or in `QUICK`, as for `learn`."""
    quick = loaded(name).quick
    for field, several, first, _ in fields(name):
        if several and first != () and quick.get(field) != ():
            assert field in refused(name, field, ()), field


TRAINED = {"train", "train_classifier", "train_trials", "train_varied"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_interrupted_training_goes_on_where_it_stopped(name):
    """Every call of a training keeps checkpoints, shows its progress, and can be resumed."""
    source = parsed(name)
    own = {each.name for each in ast.walk(source) if isinstance(each, ast.FunctionDef)}
    for call in ast.walk(source):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in TRAINED - own:
            assert {"checkpoints", "resume", "progress"} <= {each.arg for each in call.keywords}, call.lineno


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_takes_time_shows_its_progress(name):
    """By its context, or by a simulation or another run, which do so unless they are told not to.

    `forgetting` with its defaults takes less than the two seconds after which a bar is shown.
    """
    source = ast.unparse(parsed(name))
    assert name == "forgetting" or re.search(
        r"context\.progress|progress=context|fw\.simulate\(|study\.run\(", source
    )


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("capacity", {"tau_factors": 1.0}, "tau_factors has 1 values and eta_factors 2"),
        ("capacity", {"units": (500, 9)}, "oldest=0.1 is less than a pattern of 9 units; give at least 0.111"),
        ("hebbian_memory", {"active": 20, "neurons": 20}, "active=20 leaves none of the 20 neurons"),
        ("hebbian_memory", {"efficacy": 0}, "efficacy=0.0 is not allowed"),
        ("hebbian_memory", {"other_qualities": 1.0}, "other_qualities.0=1.0 is not allowed"),
        ("interference", {"correlations": 1.5}, "correlations.0=1.5 is not allowed"),
        ("item_capacity", {"clusters": 4, "loads": 5}, r"loads=\(5,\) are more items than the 4 clusters"),
        ("item_capacity", {"clusters": 5, "survey_loads": 7}, r"survey_loads=\(7,\) are more items"),
        ("item_capacity", {"tau_rec": 0}, "tau_rec=0.0 is not allowed"),
        ("persistent_oscillation", {"drive": 0.0}, "drive.0=0.0 is not allowed"),
        ("plastic_phases", {"coupling": 6.0}, "coupling.0=6.0 is not allowed"),
        ("plastic_phases", {"tau_memory": 0.0}, "tau_memory.0=0.0 is not allowed"),
        ("plastic_recall", {"slow": 0.0}, "slow.0=0.0 is not allowed"),
        ("plastic_recall", {"duration": 41}, r"duration=41 s has more than 400 steps of 0\.1 s; give at most 40"),
        ("ring_states", {"watching": 0.01}, "watching=0.01 is not allowed"),
        ("silent_memory", {"ping_delays": 0.2}, r"ping_delays=\(0\.2,\) begin within the silence of 0\.3 s"),
        ("synapse_response", {"intervals": 0.0}, "intervals.0=0.0 is not allowed"),
        ("timescale_match", {"delays": (1, 2), "training_sequences": 1}, "training_sequences=1 are fewer than 2"),
        ("working_memory", {"delay": 0.5}, "delay=0.5 is not allowed"),
        ("working_memory", {"settle": 0.2}, "settle=0.2 is not allowed"),
    ],
)  # fmt: skip
def test_what_its_analysis_could_not_use_is_refused_before_it_runs(name, values, said, tmp_path):
    with pytest.raises(ConfigError, match=said) as refusal:
        study.run(name, values, quick=True, folder=tmp_path / "run", device="cpu")
    assert "\n" not in str(refusal.value)


NEIGHBOURS = re.compile(
    r"^(It|Its|Their|They|That|Those|These|The same of|When it|Longest;)\b|\b(such an?|that layer)\b"
    r"|\b(of these|after it|as above|likewise)\."
)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_descriptions_can_be_read_alone(name):
    """Help and tables show a field without the one before it, so a description does not point there."""
    for field, about in loaded(name).config.model_fields.items():
        assert not NEIGHBOURS.search(about.description), (field, about.description)


def commands(name):
    """The commands that the description of an experiment shows, as tokens; one may go on in the next line."""
    lines = (ast.get_docstring(parsed(name)) or "").splitlines()
    found = []
    for number, line in enumerate(lines):
        if line.startswith("    fwsim "):
            more = (
                lines[number + 1]
                if number + 1 < len(lines) and lines[number + 1].startswith("        ")
                else ""
            )
            found.append(shlex.split(f"{line} {more}".split("  (or")[0]))
    return found


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_commands_of_a_description_are_allowed(name):
    """At least one is there. Every value of every option, also of those that are swept, is one that the field takes."""
    own = [tokens for tokens in commands(name) if tokens[1] in ("run", "sweep") and tokens[2] == name]
    assert own
    config = loaded(name).config
    for _, kind, _, *tokens in own:
        values, swept = {}, [{}]
        for option, value in zip(tokens[::2], tokens[1::2], strict=True):
            field = option.removeprefix("--").replace("-", "_")
            if kind == "sweep" and field == "over":
                field, _, several = value.partition("=")
                swept += [{field: each} for each in several.split(",")]
            elif field not in ("seed", "seeds", "to"):
                values.setdefault(field, []).append(value)
        given = {field: each[0] if len(each) == 1 else tuple(each) for field, each in values.items()}
        for each in swept:
            config(**given | each)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_training_runs_on_the_device_that_is_asked_for(name):
    """`train` and what trains for an experiment get the device of the context; the default is the CPU."""
    calls = [
        node
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in TRAINED
    ]
    for call in calls:
        given = {ast.unparse(each.value) for each in call.keywords} | {
            ast.unparse(each) for each in call.args
        }
        assert given & {"context.device", "context"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_uses_the_device_or_says_that_it_does_not(name):
    uses = any(isinstance(node, ast.Attribute) and node.attr == "device" for node in ast.walk(parsed(name)))
    assert uses is not loaded(name).cpu_only
