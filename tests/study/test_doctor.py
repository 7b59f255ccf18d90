"""`fwsim doctor`: what is missing, old or broken comes with its remedy."""

import json
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from fwsim import requirements
from fwsim.cli import main
from fwsim.study import doctor


def test_every_core_dependency_is_looked_at(monkeypatch, capsys):
    """One look for this test, without most extras: every package is imported in a process of its own."""
    wanted = [each for each in doctor._wanted() if each[1] in ("", "gpu")]
    monkeypatch.setattr(doctor, "_wanted", lambda: wanted)
    looked = doctor.checks()
    monkeypatch.setattr(doctor, "checks", lambda: looked)
    with pytest.raises(SystemExit, match="0"):
        main(["doctor"])
    assert "torch" in capsys.readouterr().out
    found = {check.name: check for check in looked}
    for name in ("python", "fwsim", "torch", "zarr", "brian2", "C++ compiler", "threads", "this folder"):
        assert found[name].state in ("ok", "absent")
    assert found["numpy"].detail == metadata.version("numpy")
    assert "triton [gpu]" in found or "win" in sys.platform


@pytest.fixture
def asked(monkeypatch):
    """What fwsim is said to ask for."""
    texts: list[str] = []
    monkeypatch.setattr(requirements.metadata, "requires", lambda name: texts)
    monkeypatch.setattr(requirements, "pip", lambda: "pip")
    monkeypatch.setattr(doctor, "pip", lambda: "pip")
    return texts


def test_what_is_missing_comes_with_its_remedy(asked):
    asked += [
        "no-such-package>=3",
        "numpy>=999",
        "other-package>=1; extra == 'gpu'",
        "numpy; python_version < '3'",
    ]
    needed, old, extra = (doctor._dependency(each, extra) for each, extra in doctor._wanted())
    assert (needed.state, needed.remedy) == ("missing", "pip install 'no-such-package>=3'")
    assert (old.state, old.remedy) == ("missing", "pip install 'numpy>=999'")
    assert (extra.state, extra.remedy) == ("absent", f"pip install {requirements.package('gpu')}")


def test_all_bounds_of_a_package_count(asked):
    asked += ["numpy>=1", "numpy<1.5; python_version > '3'"]
    (check,) = (doctor._dependency(each, extra) for each, extra in doctor._wanted())
    assert check.state == "missing"
    assert "but fwsim needs" in check.detail


BROKEN = {
    "neo": "raise AttributeError('type object ndarray\\n has no attribute ptp')",
    "emcee": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "pooch": "print('null'); raise SystemExit(3)",
}


def test_what_is_there_and_fails_to_import_is_broken(asked, tmp_path, monkeypatch, capsys):
    asked += [*BROKEN, "packaging", "sympy>=1"]
    for name, code in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    found = {check.name: check for check in doctor.checks()}
    assert (
        "cannot be imported (AttributeError: type object ndarray has no attribute ptp)" in found["neo"].detail
    )
    assert "Python is ended by SIGSEGV" in found["emcee"].detail
    assert "SystemExit: 3" in found["pooch"].detail
    assert found["packaging"].state == found["sympy"].state == "ok"
    assert {found[name].state for name in BROKEN} == {"broken"}
    assert found["neo"].remedy == "pip install --force-reinstall --no-deps neo"
    with pytest.raises(SystemExit, match="1"):
        main(["doctor"])
    assert "broken" in capsys.readouterr().out


def test_a_package_that_is_run_from_a_path_says_how_to_install_it(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(requirements.metadata, "requires", absent)
    monkeypatch.setattr(requirements.metadata, "version", absent)
    assert list(requirements.requirements()) == []
    assert "pip install -e" in doctor._itself().remedy


@pytest.mark.parametrize(
    ("origin", "taken"),
    [
        (None, "'triton>=3'"),  # fwsim is on no index
        ({"url": "file:///no/such/fwsim-1.whl"}, "'triton>=3'"),
        ({"url": Path(__file__).as_uri()}, f"'fwsim[gpu] @ {Path(__file__).as_uri()}'"),
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, "-e '/a b[gpu]'"),
    ],
)
def test_an_extra_is_added_from_where_fwsim_came(asked, monkeypatch, origin, taken):
    asked += ["numpy", "triton>=3; platform_system != 'none' and extra == 'gpu'", "neo; extra == 'neo'"]
    kept = SimpleNamespace(read_text=lambda name: origin and json.dumps(origin))
    monkeypatch.setattr(requirements.metadata, "distributions", lambda name: [kept])
    assert requirements.package("gpu") == taken


def test_the_pip_of_this_python_is_named(monkeypatch):
    monkeypatch.setattr(requirements.shutil, "which", lambda name: None)
    assert requirements.pip() == f"{sys.executable} -m pip"


def test_a_full_disk_is_noticed(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    assert (doctor._disk().state, doctor._disk().remedy) == ("absent", "cd to a larger disk")


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor._compiler().state == "absent"
    assert "g++" in doctor._compiler().remedy


def test_a_native_engine_that_was_not_compiled_is_absent(monkeypatch):
    from fwsim.engine.native import library

    assert doctor._native().name == "native engine"
    monkeypatch.setattr(library, "obstacle", lambda: "was not compiled")
    found = doctor._native()
    assert (found.state, "plain torch" in found.detail) == ("absent", True)
    assert "build_ext" in found.remedy or "pip install" in found.remedy
