"""The pinned versions suit what fwsim asks for, on every Python."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")


def applies(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": "dev"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_are_allowed(python):
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        pin = Requirement(line)
        if applies(pin, python):
            assert canonicalize_name(pin.name) not in pinned, f"{pin.name} is pinned twice"
            pinned[canonicalize_name(pin.name)] = pin.specifier
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]
    assert len(pinned) > 100
    for each in wanted:
        pin = pinned.get(canonicalize_name(each.name))
        if pin is None or not applies(each, python):
            continue
        versions = [spec.version for spec in pin if spec.operator in ("==", ">=")]
        assert all(each.specifier.contains(version) for version in versions), f"{each} and {each.name}{pin}"


@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_always_needed_is_pinned_once(python):
    lines = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for each in map(Requirement, project["dependencies"]):
        pins = [pin for pin in lines if canonicalize_name(pin.name) == canonicalize_name(each.name)]
        assert sum(applies(pin, python) for pin in pins) == 1, f"{each.name} on Python {python}"
