"""Paths that users give."""

from pathlib import Path

import pytest

from fwsim.errors import ConfigError
from fwsim.paths import home_path, local_path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "work" / "below").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("~/x.zarr", "home/x.zarr"),
        (Path("~/x.zarr"), "home/x.zarr"),
        ("~", "home"),
        ("x", "work/x"),
        ("./~x", "work/~x"),
        ("below/../x y", "work/below/../x y"),
        ("a:b", "work/a:b"),
        (".", "work"),
    ],
)
def test_paths_are_absolute_and_know_the_home_folder(here, given, path):
    assert local_path(given) == here / path


def test_a_path_stays_where_it_was_when_the_folder_changes(here, monkeypatch):
    path = local_path("x")
    monkeypatch.chdir("/")
    assert path == here / "work" / "x"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "to='' is no path"),
        ("  ", "is no path"),
        ("a\0b", "is no path"),
        ("\ud800", "is no path"),
        (None, "to=None is no path"),
        (3, "to=3 is no path"),
        (b"x", "is no path"),
        ("s3://bucket/x", "to='s3://bucket/x' is not on this machine"),
        (Path("s3://bucket/x"), "is not on this machine"),
        ("file:///x", "is not on this machine"),
        ("a::b", "is not on this machine"),
        ("~nobody-of-this-name/x", "there is no home folder ~nobody-of-this-name"),
    ],
)
def test_what_is_no_path_here_is_refused_in_one_line(given, said):
    for read in (local_path, home_path):
        with pytest.raises(ConfigError) as caught:
            read(given, "to")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [".", "..", "/", "below/..", "./"])
def test_nothing_new_is_made_in_place_of_the_current_folder(given):
    local_path(given)
    with pytest.raises(ConfigError, match="is the current folder or one above it"):
        local_path(given, "to", new=True)
    assert local_path("below", "to", new=True).name == "below"


def test_relative_paths_are_shown_as_they_were_typed(here):
    assert (home_path("x/y"), home_path("~/x")) == (Path("x/y"), here / "home" / "x")
