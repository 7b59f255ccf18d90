"""Every python example in the README runs as it stands."""

import json
import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README.read_text(), flags=re.S)


def test_every_example_shows_what_it_prints():
    assert len(EXAMPLES) == README.read_text().count("```python") >= 3


@pytest.mark.parametrize(("code", "shown"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_prints_what_stands_below_it(code, shown, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_the_moving_picture_is_small_and_says_what_it_shows():
    [(text, path)] = re.findall(r"!\[([^]]+)\]\((\S+\.gif)\)", README.read_text())
    assert len(text.split()) > 10
    assert (README.parent / path).stat().st_size < 500_000


def test_commands_exist():
    from fwsim.cli import app

    named = re.findall(r"^    fwsim ([a-z]+)", README.read_text(), flags=re.M)
    assert len(named) >= 5
    assert set(named) <= set(app)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name):
    text = (README.parent / name).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []


def _ratios(file: str, ratio: str, task: str, kept=lambda row: True) -> tuple[str, str]:
    rows = json.loads((README.parent / "docs" / "results" / file).read_text())["rows"]
    found = [row[ratio] for row in rows if row["task"] == task and kept(row)]
    return tuple(f"{value:.2g}" if value >= 10 else f"{value:.1f}" for value in (min(found), max(found)))


@pytest.mark.parametrize(
    ("file", "ratio", "task", "said"),
    [
        ("engine_speed.json", "vs JAX", "forward", "{} to {} times as fast, geometric mean"),
        ("engine_speed.json", "vs JAX", "training", "{} to {} times as fast, geometric mean"),
        ("engine_speed_avx512.json", "vs JAX", "forward", "Intel: {} to {},"),
        ("engine_speed_avx512.json", "vs JAX", "training", "Intel: {} to {},"),
        ("rate_training.json", "JAX / fwsim", "forward", "forward {} to {} ("),
        ("rate_training.json", "JAX / fwsim", "training step", "{} to {} times as fast;"),
    ],
)
def test_ratios_of_speed_are_those_that_were_measured(file, ratio, task, said):
    ratios = _ratios(file, ratio, task, lambda row: "tanh" not in row.get("shape", ""))
    assert said.format(*ratios) in README.read_text()


def test_times_of_spiking_networks_are_those_that_were_measured():
    measured = json.loads((README.parent / "docs" / "results" / "spiking.json").read_text())
    full = {row["engine"]: row for row in measured["rows"] if row["circuit"] == "10000 neurons"}
    native, brian2, nest = (full[name] for name in ("native", "Brian2", "NEST, 2 threads"))
    step, build = "steps, s of wall", "build, s"
    said = (
        f"{native[step]:.2f} s instead of {brian2[step]:.1f} and {nest[step]:.1f} s, at about 1 spike per neuron; "
        f"built in {native[build]:.1f} instead of {brian2[build]:.1f} and {nest[build]:.0f} s"
    )
    assert said in README.read_text()
    assert (
        f"as 64 blocks of one network | {measured['batch_speed']:.0f} times as fast |" in README.read_text()
    )


def test_times_of_a_sweep_are_those_that_were_measured():
    measured = json.loads((README.parent / "docs" / "results" / "sweep.json").read_text())
    rows = {row["program"]: row for row in measured["rows"]}
    brian2 = rows["Brian2 one by one (8 timed)"]["CPU / that of the sweep"]
    both = [rows[name]["wall s"] for name in ("JAX, vmap and jit, all cores", "fw.simulate, all cores")]
    assert f"one point after the other | {round(brian2, -1):.0f} times as fast;" in README.read_text()
    assert f"JAX, vmap and jit | {both[0] / both[1]:.1f} times as fast;" in README.read_text()
