"""What other places say about the package: citation, archives, recipe and paper say the same as pyproject.toml."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

import fwsim

ROOT = Path(__file__).parents[1]
CONDA = {"torch": "pytorch"}
"""Names on conda-forge, if they differ from those on PyPI."""


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_all_say_the_same_version_licence_and_keywords(project):
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    codemeta = json.loads((ROOT / "codemeta.json").read_text())
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    versions = {each["version"] for each in (citation, codemeta, zenodo)}
    assert versions | {recipe["context"]["version"]} == {fwsim.__version__}
    assert (
        project["license"] == citation["license"] == zenodo["license"] == codemeta["license"].rsplit("/")[-1]
    )
    assert recipe["about"]["license"] == project["license"]
    assert citation["title"] == zenodo["title"]
    assert codemeta["description"] == zenodo["description"] == project["description"]
    assert set(citation["keywords"]) == set(zenodo["keywords"]) == set(codemeta["keywords"])


def test_the_recipe_requires_what_the_package_requires(project):
    """Every core dependency with its versions, on each Python for which the markers ask for it."""
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    lines = recipe["requirements"]["run"]
    assert f"python {project['requires-python']}" in lines
    for python in ("3.11", "3.12", "3.13"):
        given = set()
        for line in lines:
            if isinstance(line, dict):
                assert line["if"] == 'match(python, "<3.12")'
                given.update(line["then" if python == "3.11" else "else"])
            elif not line.startswith("python "):
                given.add(line)
        wanted = set()
        for each in map(Requirement, project["dependencies"]):
            if each.marker is None or Marker(str(each.marker)).evaluate({"python_version": python}):
                versions = ",".join(sorted(map(str, each.specifier), key=lambda one: one.startswith("<")))
                wanted.add(f"{CONDA.get(each.name, each.name)} {versions}")
        assert given == wanted


def test_the_paper_cites_what_its_bibliography_has():
    text = (ROOT / "paper" / "paper.md").read_text()
    cited = set(re.findall(r"@(\w+)", text.partition("---\n")[2].partition("---\n")[2]))
    assert cited == set(re.findall(r"@\w+\{(\w+),", (ROOT / "paper" / "paper.bib").read_text()))
    for section in ("Summary", "Statement of need", "State of the field", "References"):
        assert f"\n# {section}\n" in text
    assert 250 <= len(text.split()) <= 1200
