"""Packages that cannot be imported, for whatever reason: one line with the remedy, wherever they are needed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fwsim.requirements import package

ROOT = Path(__file__).parents[1]
TIMES = "__import__('torch').tensor([[0.1, 0.2]])"
SPIKES = "('spike_time', 'spike_unit', 'spike_trial')"
RUN = f"xarray.Dataset({{name: ('spike', [0]) for name in {SPIKES}}}, attrs={{'duration': 1.0}})"
HIDDEN = "xarray.DataArray(numpy.random.randn(20, 3, 4), dims=('trial', 'time', 'unit'))"
CALLS = {
    "brian2": (
        f"fw.spiking.respond(fw.TsodyksMarkram(), {TIMES}, dt=0.1)",
        "fw.spiking.build(fw.spiking.Circuit([fw.spiking.Population('E', 2)]))",
        "fw.spiking.simulate(fw.spiking.Circuit([fw.spiking.Population('E', 2)]), steps=3)",
    ),
    "neo": (f"fw.spiking.to_neo({RUN})", "fw.spiking.from_neo(None)"),
    "pynapple": (f"fw.spiking.to_pynapple({RUN})", "fw.spiking.from_pynapple(None)"),
    "pynwb": (
        f"__import__('fwsim.recording').recording.write_nwb({RUN}, 'run.nwb')",
        "__import__('fwsim.recording').recording.read_nwb('run.nwb')",
    ),
    "arviz": ("fw.fitting.to_arviz(None)",),
    "optuna": ("fw.study.search('forgetting', {'tau': '1:9:log'}, 'strength')",),
    "SALib": ("fw.study.design('forgetting', {'tau': '1:9:log'})",),
    "sklearn": (f"fw.measure.decode({HIDDEN}, numpy.arange(20) % 2)",),
    "scipy": ("fw.theory.palimpsest_capacity(0.1)", "fw.measure.bootstrap([1.0])"),
    "h5netcdf": (f"__import__('fwsim.recording').recording.write_netcdf({RUN}, 'run.nc')",),
    "gymnasium": ("__import__('fwsim.tasks.environments')",),
    "dask_jobqueue": ("fw.study.sweep('forgetting', {'tau': [2.0, 3.0]}, scheduler='slurm', workers=1)",),
}
REASONS = {
    "ImportError('libfoo.so\\n is missing')": "cannot be imported (ImportError: libfoo.so is missing)",
    "AttributeError('ndarray has no ptp')": "cannot be imported (AttributeError: ndarray has no ptp)",
    "ModuleNotFoundError('No module named x', name='x')": "cannot be imported (ModuleNotFoundError: No module named x)",
}


IMPORTS = "import json, os, sys, traceback\nimport numpy, torch, xarray\nimport fwsim as fw\n"
TRY = "try:\n    {code}\nexcept fw.ConfigError as error:\n    print(error)\n"
EACH = """
for folder, code in json.loads(sys.argv[1]):
    if os.fork() == 0:  # what torch takes seconds to load is loaded once
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY), stream)
        sys.path.insert(0, folder)
        os.chdir(folder)
        try:
            exec(code)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


def tried(code, folder):
    """What is printed of an error by code that has broken packages in front of its path."""
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n" + IMPORTS + TRY.format(code=code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=folder)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Output and errors of each call, with its package broken."""
    found, given = {}, []
    for module, calls in CALLS.items():
        for number, (error, code) in enumerate(zip(list(REASONS) * 2, calls)):
            folder = found[module, number] = tmp_path_factory.mktemp(module)
            (folder / f"{module}.py").write_text(f"raise {error}")
            given.append((str(folder), TRY.format(code=code)))
    subprocess.run([sys.executable, "-c", IMPORTS + EACH, json.dumps(given)], check=True)
    return {call: [(folder / name).read_text() for name in ("out", "err")] for call, folder in found.items()}


@pytest.mark.parametrize("module", CALLS)
def test_a_failing_import_is_one_line_with_the_remedy(module, printed):
    for number, (reason, _) in enumerate(zip(list(REASONS.values()) * 2, CALLS[module])):
        out, err = printed[module, number]
        assert reason in out, err
        assert len(out.splitlines()) == 1
        assert "pip install" in out


def test_what_can_be_done_without_is_done_without_and_said(tmp_path):
    (tmp_path / "triton.py").write_text("raise RuntimeError('needs another numpy')")
    done = tried(
        "from fwsim.requirements import obstacle; print(obstacle('triton')); obstacle('triton')", tmp_path
    )
    assert done.stdout.startswith("cannot be imported (RuntimeError: needs another numpy)")
    assert done.stderr.count("triton cannot be imported (RuntimeError: needs another numpy)") == 1


def test_a_command_says_so_too(tmp_path):
    (tmp_path / "xarray.py").write_text("raise RuntimeError('broken')")
    before = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    code = f"{before}; from fwsim.cli import main; main(['analyse', 'runs/none'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(
        r"fwsim: .* needs xarray, which cannot be imported \(RuntimeError: broken\); .*\n", done.stderr
    )


def test_no_page_or_message_installs_by_a_name_that_no_index_has():
    """fwsim is on no index: an extra is installed from where fwsim came, as `fwsim doctor` says."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "fwsim").rglob("*.py")]
    wrong = re.compile(
        r"pip install [^\n`]*(?<![\w/.-])['\"]?fwsim(\[\w+\])?['\"]?(?!\S* @)(?=[\s`'\".;,)]|$)"
    )
    found = [
        f"{page.relative_to(ROOT)}: {hit[0]}" for page in pages for hit in wrong.finditer(page.read_text())
    ]
    assert not found


def test_metadata_that_a_build_leaves_in_the_clone_do_not_hide_the_installed_ones(tmp_path, monkeypatch):
    left, installed = tmp_path / "clone/fwsim.egg-info", tmp_path / "site/fwsim-1.0.dist-info"
    for folder, name in ((left, "PKG-INFO"), (installed, "METADATA")):
        folder.mkdir(parents=True)
        (folder / name).write_text("Metadata-Version: 2.1\nName: fwsim\nVersion: 1.0\n")
    (installed / "direct_url.json").write_text(
        '{"dir_info": {"editable": true}, "url": "file:///a%20b/clone"}'
    )
    monkeypatch.setattr(sys, "path", [str(left.parent), str(installed.parent)])
    assert package("mcmc") == "-e '/a b/clone[mcmc]'"
