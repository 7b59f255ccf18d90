"""Every python example in the README runs as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)


def test_the_readme_has_an_example_for_each_use():
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_example_runs(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_example_of_attractors_finds_them(capsys):
    exec(compile(BLOCKS[2], "README.md", "exec"), {})
    lines = sorted(capsys.readouterr().out.splitlines())
    assert [line.split(", reached")[0] for line in lines] == [
        "overlap +1.00, stable: True",
        "overlap -1.00, stable: True",
    ]


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
