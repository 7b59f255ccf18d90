from importlib import metadata

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
    needed, old, extra = doctor._dependencies()
    assert (needed.state, needed.remedy) == ("missing", "pip install 'no-such-package>=3'")
    assert (old.state, old.remedy) == ("missing", "pip install 'numpy>=999'")
    assert (extra.state, extra.remedy) == ("absent", "pip install 'fwsim[gpu]'")


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor._compiler().state == "absent"
    assert "g++" in doctor._compiler().remedy
