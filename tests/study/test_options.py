"""Options of `fwsim run` and `fwsim sweep`: from the command line, from files, and by default."""

import json
import os
from functools import partial

import numpy as np
import pytest

from fwsim.errors import ConfigError
from fwsim.study import load_experiment, options
from fwsim.study.settings import RunSettings, SweepSettings

parse = partial(options.parse, kind=RunSettings)


@pytest.fixture
def trace(toy):
    return load_experiment("trace")


def test_every_field_is_an_option(trace):
    values = "--steps 7 --tau 300ms --taus 1s 20ms --order 2 --offset --pause 1e-3"
    config, settings = parse(trace, f"{values} --seed 4 --no-analyse --to x".split())
    assert config == trace.configure(
        {"steps": 7, "tau": 0.3, "taus": (1.0, 0.02), "order": 2, "offset": True, "pause": 0.001}
    )
    assert (settings.seed, settings.analyse, str(settings.to)) == (4, False, "x")
    assert type(config) is trace.config


def test_nothing_given_is_the_defaults(trace):
    assert parse(trace, []) == (trace.configure({}), RunSettings())


def test_a_text_with_a_space_is_one_value(trace):
    assert parse(trace, ["--tau", "300 ms"])[0].tau == 0.3


@pytest.mark.parametrize(
    ("kind", "text"), [("toml", 'steps = 9\ntau = "50 ms"'), ("json", '{"steps": 9, "tau": 0.05}')]
)
def test_options_over_file_over_quick_over_defaults(trace, toy, kind, text):
    (toy / f"values.{kind}").write_text(text)
    file = ["--config", f"values.{kind}"]
    assert parse(trace, ["--quick"])[0].steps == 4
    assert parse(trace, ["--quick", *file])[0] == trace.configure({"steps": 9, "tau": 0.05})
    assert parse(trace, [*file, "--steps", "11", "--quick"])[0] == trace.configure({"steps": 11, "tau": 0.05})


def test_a_folder_is_no_configuration(trace, tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder; give a \.toml or \.json file"):
        parse(trace, ["--config", str(tmp_path)])


def test_the_manifest_of_a_run_is_a_configuration(trace, toy):
    (toy / "run.json").write_text(json.dumps({"fwsim_run": 1, "configuration": {"steps": 13}}))
    assert parse(trace, ["--config", "run.json"])[0].steps == 13


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("values.yaml", "steps: 3", "unknown kind of file '.yaml'"),
        ("values.toml", "steps =", "is not valid TOML"),
        ("values.json", "{", "is not valid JSON"),
        ("values.json", "[3]", "holds no fields"),
        ("values.toml", "step = 3", "unknown field 'step'; did you mean 'steps'"),
        ("values.toml", "steps = 0", "steps=0 is not allowed"),
        ("values.toml", 'tau = "3 Hz"', "'Hz' is not a unit of time"),
        ("values.toml", "taus = nan", "nan is not a time"),
        ("values.toml", "order = [1]", "order=\\[1\\] is not allowed: should be 1 or 2"),
        ("values.json", '{"order": {"a": 1}}', "is not allowed: should be 1 or 2"),
        ("values.json", '{"order": null}', "order=None is not allowed"),
        ("values.json", '"steps"', "holds no fields"),
        ("run.json", '{"fwsim_run": 1}', "holds no fields"),
        ("run.json", '{"fwsim_run": 1, "configuration": [3]}', "holds no fields"),
        ("values.json", "[" * 100_000, "is nested too deep"),
        ("values.toml", "steps = " + "[" * 100_000, "is nested too deep"),
        ("values.json", '{"steps": ' + "[" * 900 + "]" * 900 + "}", "should be a whole number"),
        ("values.json", '{"tau": 1' + "0" * 400 + "}", "a time of 401 digits is too large"),
        ("values.json", '{"tau": "1' + "0" * 400 + '"}', "a time of 401 digits is too large"),
        ("values.json", '{"steps": 1' + "0" * 5000 + "}", "is not valid JSON"),
        (
            "values.toml",
            "steps = 3".encode("utf-16"),
            "is no text in UTF-8 .byte 0xff at 0.; save it as UTF-8",
        ),
        ("values.toml", "# é\nsteps = 3".encode("latin-1"), "is no text in UTF-8"),
    ],
)
def test_bad_files(trace, toy, name, text, said):
    (toy / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=said) as caught:
        parse(trace, ["--config", name])
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [("values.toml", 'taus = "5 s"'), ("values.json", '{"taus": 5}')])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_one_value_for_a_field_of_several(trace, toy, name, text, mark):
    (toy / name).write_text(mark + text, "utf-8")
    assert parse(trace, ["--config", name])[0].taus == (5.0,)
    assert trace.configure({"taus": "5 s"}).taus == (5.0,)
    assert trace.configure({"taus": np.array([1.0, 2.0])}).taus == (1.0, 2.0)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "pipe"])
def test_what_is_no_file_is_refused_at_once(trace, toy, place):
    os.mkfifo(toy / "pipe")
    (toy / "values.toml").symlink_to(place)
    with pytest.raises(ConfigError, match="is no file but a pipe or device"):
        parse(trace, ["--config", "values.toml"])
    (toy / "folder.toml").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        parse(trace, ["--config", "folder.toml"])


@pytest.mark.parametrize(
    "tokens", [["--tau", "-5s"], ["--tau=-5s"], ["--quick", "--tau", "-5s", "--seed", "3"]]
)
def test_negative_values_are_values(trace, tokens):
    assert parse(trace, tokens)[0].tau == -5.0


def test_several_negative_values(trace):
    assert parse(trace, ["--taus", "-1s", "20ms", "-.5", "--tau", "-3e-1"])[0].taus == (-1.0, 0.02, -0.5)
    assert parse(trace, ["--taus", "1s", "-2s"])[0].taus == (1.0, -2.0)


def test_a_file_that_is_not_there(trace):
    with pytest.raises(ConfigError, match="cannot be read"):
        parse(trace, ["--config", "gone.toml"])


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["--step", "3"], "did you mean --steps"),
        (["--steps"], "--steps needs a value"),
        (["extra"], "'extra' is one word too many"),
        (["--seed", "x"], "--seed='x' is not allowed: give a whole number"),
        (["--steps", "-3"], "steps='-3' is not allowed: should be greater than 0"),
        (["--steps", "-3s"], "steps='-3s' is not allowed"),
        (["--tau", "-5 mV"], "'mV' is not a unit of time"),
        (["-5s"], "unknown option -5s; --help shows the options"),
    ],
)
def test_bad_options(trace, tokens, said):
    with pytest.raises(ConfigError, match=said):
        parse(trace, tokens)


def test_fields_that_depend_on_each_other_are_checked_together(toy):
    (toy / "experiments" / "bound.py").write_text(
        '"""Q?"""\nimport fwsim as fw\nfrom pydantic import model_validator\nQUICK = {"low": 1, "high": 2}\n'
        "class Config(fw.study.Config):\n    low: int = 10\n    'Low.'\n    high: int = 20\n    'High.'\n"
        "    need: str\n    'Needed.'\n"
        "    @model_validator(mode='after')\n    def ordered(self):\n        if self.low >= self.high:\n"
        "            raise ValueError(f'low={self.low} must be below high={self.high}')\n        return self\n"
        "def run(config, context): pass\n"
    )
    bound = load_experiment("bound")
    config, _ = parse(bound, ["--quick", "--high", "5", "--need", "x"])
    assert (config.low, config.high, config.need) == (1, 5, "x")
    with pytest.raises(ConfigError, match="need is missing"):
        parse(bound, [])
    with pytest.raises(ConfigError, match="low=10 must be below high=5"):
        parse(bound, ["--high", "5", "--need", "x"])


def test_fields_named_like_settings_are_refused(toy):
    (toy / "experiments" / "clash.py").write_text(
        "import fwsim as fw\nclass Config(fw.study.Config):\n    seed: int = 1\n    'Seed.'\n"
        "def run(config, context): pass\n"
    )
    with pytest.raises(ConfigError, match="field 'seed' is also an option"):
        parse(load_experiment("clash"), [])


def test_a_sweep_has_options_that_a_field_may_be_called_like(toy, capsys):
    (toy / "experiments" / "seedy.py").write_text(
        "import fwsim as fw\nclass Config(fw.study.Config):\n    seeds: int = 4\n    'Seeds of its own.'\n"
        "    workers: int = 1\n    'Its own.'\ndef run(config, context): pass\n"
    )
    (toy / "values.toml").write_text("seeds = 7")
    seedy = load_experiment("seedy")
    config, settings = options.parse(
        seedy, ["--seeds", "0,1", "--over", "seeds=5,6", "--config", "values.toml"], SweepSettings
    )
    assert (config.seeds, config.workers, settings.seeds, settings.over) == (7, 1, "0,1", ("seeds=5,6",))
    assert options.parse(seedy, ["--help"], SweepSettings) is None
    assert "Seeds of its own" not in capsys.readouterr().out
    assert parse(seedy, ["--seeds", "9"])[0].seeds == 9


def test_help_shows_question_fields_units_defaults_and_examples(trace, capsys):
    assert parse(trace, ["--quick", "--help"]) is None
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "How fast does a trace decay?",
        "Number of steps. [default: 4]",
        "Time constant. In s, or with a unit: 200ms. [default: 0.2]",
        "[default: 0.5 10]",
        "[choices: 1, 2] [default: 1]",
        "--no-offset",
        "fwsim run trace --quick",
    ):
        assert part in shown
