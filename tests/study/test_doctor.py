import json
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from fwsim.study import doctor


def test_every_core_dependency_is_looked_at():
    found = {check.name: check for check in doctor.checks()}
    for name in ("python", "fwsim", "torch", "zarr", "brian2", "C++ compiler", "threads", "this folder"):
        assert found[name].state in ("ok", "absent")
    assert found["numpy"].detail == metadata.version("numpy")
    assert "triton [gpu]" in found or "win" in __import__("sys").platform


def test_what_is_missing_comes_with_its_remedy(monkeypatch):
    asked = [
        "no-such-package>=3",
        "numpy>=999",
        "other-package>=1; extra == 'gpu'",
        "numpy; python_version < '3'",
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: asked)
    monkeypatch.setattr(doctor, "pip", lambda: "pip")
    needed, old, extra = doctor._dependencies()
    assert (needed.state, needed.remedy) == ("missing", "pip install 'no-such-package>=3'")
    assert (old.state, old.remedy) == ("missing", "pip install 'numpy>=999'")
    assert (extra.state, extra.remedy) == ("absent", f"pip install {doctor.package('gpu')}")


@pytest.mark.parametrize(
    ("origin", "taken"),
    [
        (None, "'fwsim[gpu]'"),
        ({"url": "file:///x/fwsim-1.whl"}, "'fwsim[gpu] @ file:///x/fwsim-1.whl'"),
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, "-e '/a b[gpu]'"),
    ],
)
def test_an_extra_is_added_from_where_fwsim_came(monkeypatch, origin, taken):
    kept = SimpleNamespace(read_text=lambda name: origin and json.dumps(origin))
    monkeypatch.setattr(doctor.metadata, "distribution", lambda name: kept)
    assert doctor.package("gpu") == taken


def test_the_pip_of_this_python_is_named(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.pip() == f"{sys.executable} -m pip"


def test_a_full_disk_is_noticed(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    assert (doctor._disk().state, doctor._disk().remedy) == ("absent", "cd to a larger disk")


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor._compiler().state == "absent"
    assert "g++" in doctor._compiler().remedy
