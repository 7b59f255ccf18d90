"""What the shell offers when Tab is pressed."""

import os
import shutil
import subprocess
import sys

import pytest

from fwsim import cli
from fwsim.cli import completion
from fwsim.study import files, load_experiment
from fwsim.study.declared import declared

HEAVY = ("torch", "numpy", "xarray", "pandas", "pydantic", "matplotlib", "zarr")


@pytest.fixture
def here(toy):
    for run in ("mine", "with blank"):
        (toy / "runs" / run).mkdir(parents=True)
        (toy / "runs" / run / "run.json").write_text("{}")
    (toy / "values.toml").write_text("steps = 3")
    return toy


@pytest.fixture
def offered(here, capfd):
    """Words → what is offered in place of the last one."""

    def call(*words):
        with pytest.raises(SystemExit) as caught:
            cli.main(["__complete", *words])
        out, err = capfd.readouterr()
        assert (caught.value.code, err) == (0, "")
        return [line.partition("\t")[0] for line in out.splitlines()]

    return call


FILES = "\x1ffiles"
CASES = [
    ("re", ["resume", "report"]),
    ("--ver", ["--version"]),
    ("run trac", ["trace"]),
    ("run --", ["--again", "--help"]),
    ("sweep le", ["leak"]),
    ("run experiments/tr", ["experiments/trace.py"]),
    ("run trace --ta", ["--tau", "--taus"]),
    ("run trace --no", ["--no-offset", "--no-analyse"]),
    ("run experiments/trace.py --ta", ["--tau", "--taus"]),
    ("run trace --order ", ["1", "2"]),
    ("run trace --order = ", ["1", "2"]),
    ("run trace --order=", ["--order=1", "--order=2"]),
    ("run trace --tau 3s --tau", ["--tau", "--taus"]),
    ("run trace --tau ", []),
    ("run trace --device c", ["cpu", "cuda"]),
    ("run trace --config ", [FILES]),
    ("run trace --to ", [FILES]),
    ("run nothing --", []),
    ("sweep trace --batch-", ["--batch-size", "--batch-memory"]),
    ("sweep trace --over o", ["order=", "offset="]),
    ("sweep trace --over order=1,2 --over st", ["steps="]),
    ("sweep trace --scheduler s", ["slurm"]),
    ("run --again ", ["runs/mine", "runs/with blank"]),
    ("run --again runs/mine --", ["--to", "--device", "--trust", "--force", "--help"]),
    ("resume runs/m", ["runs/mine"]),
    ("resume ru", ["runs/mine", "runs/with blank"]),
    ("compare runs/mine --analysis trac", [FILES, "trace"]),
    ("report runs/mine ", ["runs/mine", "runs/with blank"]),
    ("new delay --from trac", ["trace"]),
    ("fit --rule v", ["varela"]),
    ("fit --noise ", ["gamma", "normal"]),
    ("fit x.csv --gain s", ["shared"]),
    ("--install-completion --shell f", ["fish"]),
]


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_what_is_offered(offered, line, expected):
    assert offered(*line.split(" ")) == expected


@pytest.mark.parametrize("command", ["analyse", "resume", "explore", "compare", "report", "checksum"])
def test_every_command_on_a_run_offers_runs(offered, command):
    assert offered(command, "") == ["runs/mine", "runs/with blank"]


def test_paths_of_runs_elsewhere(offered, here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert offered("analyse", "./ru") == ["./runs/"]
    assert offered("analyse", "~/runs/m") == ["~/runs/mine"]
    assert offered("analyse", f"{here}/runs/mi") == [f"{here}/runs/mine"]


def test_experiments_are_read_without_running_them(offered, here):
    (here / "experiments" / "bomb.py").write_text(
        '"""Boom?"""\nfrom typing import Literal\nKind = Literal["big", "small"]\nraise SystemExit(99)\n'
        "class Base:\n    kinds: tuple[Kind, ...] = ()\n    'Which.'\n"
        "class Config(Base):\n    fuse: int = 1\n    'Length.'\n    shout: bool | None = None\n    'Loud.'\n"
    )
    assert offered("run", "bomb", "--kinds", "b") == ["big"]
    assert offered("run", "bomb", "--fu") == ["--fuse"]
    assert offered("run", "bomb", "--no-s") == ["--no-shout"]
    (here / "experiments" / "bomb.py").write_text("def (:")
    assert offered("run", "bomb", "--see") == ["--seed"]


def test_shipped_experiments_declare_what_they_have():
    for name, path in files.available("experiments").items():
        fields = {field.name: field for field in declared(path)}
        assert list(fields) == list(load_experiment(name).config.model_fields), name
        assert all(field.description for field in fields.values()), name


def test_rules_are_offered_that_fit_takes(offered):
    from fwsim.rules import PresynapticRule
    from fwsim.rules.table import RULES

    assert offered("fit", "--rule", "") == [
        n for n, kind in RULES.items() if issubclass(kind, PresynapticRule)
    ]


@pytest.mark.parametrize(
    "words", [["run", "trac"], ["run", "trace", "--"], ["run", "--again", ""], ["fit", "--rule", ""]]
)
def test_asking_loads_nothing_heavy(here, words):
    code = (
        "import sys\nfrom fwsim.cli import main\n"
        f"try:\n    main(['__complete', *{words!r}])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def script(here, shell):
    path = here / f"script.{shell}"
    path.write_text(cli.app.generate_completion(shell=shell))
    return path


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash(here):
    asked = [
        "run trac",
        "run trace --order = ",
        "run --again runs/w",
        "run trace --config val",
        "run trace --order=",
        "",
    ]
    code = f'fwsim() {{ {sys.executable} -m fwsim.cli "$@"; }}\n. {script(here, "bash")}\ncomplete -p fwsim\n'
    for line in asked:
        words = " ".join(f"'{word}'" for word in ["fwsim", *line.split(" ")])
        code += f'COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _fwsim; echo "${{COMPREPLY[*]}}"\n'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=here)
    function, *answers = done.stdout.splitlines()
    assert function == "complete -F _fwsim fwsim"
    assert answers[:5] == ["trace", "1 2", r"runs/with\ blank", "values.toml", "--order=1 --order=2"]
    assert answers[5].startswith("list new run sweep")
    assert done.stderr == ""


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_finds_the_program_where_it_is_not_on_the_path(here):
    code = f". {script(here, 'bash')}; COMP_WORDS=(gone run trac); COMP_CWORD=2; _fwsim; echo $COMPREPLY"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=here)
    assert done.stdout == "trace\n"


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish(here):
    code = (
        f"function fwsim; {sys.executable} -m fwsim.cli $argv; end; source {script(here, 'fish')}\n"
        "for line in 'fwsim run trac' 'fwsim run trace --order=' 'fwsim analyse runs/w' "
        "'fwsim run trace --config val'\n"
        "complete -C$line; end"
    )
    done = subprocess.run(
        ["fish", "-c", code], capture_output=True, text=True, check=True, cwd=here, env=environment(here)
    )
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == [
        "trace", "--order=1", "--order=2", "runs/with blank", "values.toml",
    ]  # fmt: skip


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh(here):
    code = (
        f'fwsim() {{ {sys.executable} -m fwsim.cli "$@" }}\n'
        "compdef() { :; }; compset() { :; }; _files() { print -r -- files; return 0 }\n"
        "compadd() { print -r -- ${(P)@[-1]} }\n"  # its last argument names the array of what is offered
        f". {script(here, 'zsh')}\n"
        "for line in 'fwsim run trac' 'fwsim run trace --order=' 'fwsim analyse runs/w' "
        "'fwsim run trace --config val'; do\n"
        "words=(${(s: :)line}); CURRENT=$#words; PREFIX=$words[-1]; _fwsim; done"
    )
    done = subprocess.run(
        ["zsh", "-f", "-c", code], capture_output=True, text=True, check=True, cwd=here, env=environment(here)
    )
    assert done.stdout.splitlines() == ["trace", "--order=1 --order=2", "runs/with blank", "files"]


def environment(here):
    return {**os.environ, "HOME": str(here)}


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_installing(fwsim, toy, monkeypatch, shell):
    monkeypatch.setenv("HOME", str(toy))
    code, _, err = fwsim("--install-completion", "--shell", shell, "--output=~/here/script")
    assert (code, err) == (0, "")
    assert (toy / "here" / "script").read_text() == cli.app.generate_completion(shell=shell)
    assert "-m fwsim.cli" in (toy / "here" / "script").read_text()


def test_powershell_is_asked_as_cyclopts_does(here):
    done = subprocess.run(
        [sys.executable, "-m", "fwsim.cli", "__complete"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, completion.WORDS: "analyse\x1fruns/m\x1f"},
    )
    assert done.stdout.splitlines()[-2:] == ["\x1fbegin", "runs/mine"]
