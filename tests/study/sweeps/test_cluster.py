"""Sweeps on several processes: the same numbers, whoever dies."""

import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.study import Run, StudyError, resume_sweep
from fwsim.study.sweeps.cluster import parse_options, slurm_options
from fwsim.study.sweeps.run import finished_points
from tests.forked import DASK, FWSIM
from tests.study.test_execute import write_experiment

OVER = {"tau": [1.0, 2.0], "eta": [1.0, 2.0, 3.0, 4.0]}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@pytest.fixture
def expected(toy):
    """What an uninterrupted sweep in one process gives."""
    return fw.sweep("leak", OVER, 2, batch_size=2, workers=1, folder="expected").load()


@pytest.fixture
def gate(tmp_path_factory, monkeypatch):
    """Function that says how many batches are kept before all others wait; with None they need not.

    So a process has all the time to die in, on every machine. Two workers may keep one more, if both begin at once.
    """
    file = tmp_path_factory.mktemp("gate") / "batches"

    def let(batches):
        if batches is None:
            monkeypatch.delenv("LEAK_GATE")
        else:
            file.write_text(str(batches))
            monkeypatch.setenv("LEAK_GATE", str(file))

    return let


class Cluster:
    """A scheduler and workers in processes of their own, started by hand in another folder.

    The first worker has not loaded fwsim.
    """

    def __init__(self, folder, forked, workers=2):
        self.folder, self.forked = folder, forked
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes = {}
        self.start("scheduler")
        for number in range(workers):
            self.start(f"worker {number}")

    def start(self, name):
        if name == "scheduler":
            tokens = ["dask", "scheduler", "--port", str(self.port), "--host", "127.0.0.1", "--no-dashboard"]
        else:
            tokens = ["dask", "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            tokens += ["--death-timeout", "30"]
        if name == "worker 0":
            command = [str(Path(sys.executable).with_name(tokens[0])), *tokens[1:]]
            self.processes[name] = subprocess.Popen(command, cwd=self.folder, **QUIET)
        else:
            self.processes[name] = self.forked(DASK, *tokens[1:], folder=self.folder)

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def close(self):
        for name in self.processes:
            self.kill(name)


@pytest.fixture
def cluster(tmp_path_factory, forked):
    started = []

    def start(workers=2):
        started.append(Cluster(tmp_path_factory.mktemp("elsewhere"), forked, workers))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def client(toy, forked):
    """Start the command line in a process of its own."""

    def start(*options, command="sweep"):
        tokens = ["resume", "here", *options]
        if command == "sweep":
            over = [f"--over={name}={','.join(map(str, values))}" for name, values in OVER.items()]
            tokens = ["sweep", "leak", *over, "--batch-size=2", "--to=here", *options]
            tokens += [] if "--seeds=10" in options else ["--seeds=2"]
        return forked(FWSIM, *tokens, folder=toy)

    return start


def wait_for_points(toy, number, process):
    """Until a number of points are kept, or the client has ended."""
    while process.poll() is None and len(list((toy / "here" / "batches").glob("[!.]*"))) * 2 < number:
        time.sleep(0.05)


def test_two_processes_of_this_machine(toy, expected):
    """Nothing in the script guards against being run again, and it need not."""
    call = f"fw.sweep('leak', {OVER!r}, 2, batch_size=2, workers=2, folder='here')"
    (toy / "script.py").write_text(f"import fwsim as fw\n{call}\nprint('once')\n")
    done = subprocess.run([sys.executable, "script.py"], cwd=toy, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("once\n", "")
    xr.testing.assert_equal(Run(toy / "here").recording.load(), expected)


INTRUDER = """
import asyncio, os, sys, urllib.request
from distributed import Security
from distributed.comm import connect
mine = Security.temporary()
os.setgid(65534)
os.setuid(65534)

def look(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/info/main/workers.html", timeout=5) as page:
        return page.status

async def ask(kind, port):
    key = mine.get_connection_args("client") if kind == "tls" else {}
    comm = await connect(f"{kind}://127.0.0.1:{port}", timeout=3, **key)
    await comm.write({"op": "identity"})
    return await comm.read()

async def enter(kind, port):
    way = asyncio.to_thread(look, port) if kind == "http" else ask(kind, port)
    try:
        return f"in by {kind}: {await asyncio.wait_for(way, 8)}"
    except Exception:
        return "out"

async def enter_all():
    return await asyncio.gather(*[enter(kind, port) for port in sys.argv[2:] for kind in ("tcp", "tls", "http")])

for answer in asyncio.run(enter_all()):
    print(answer)
for folder in os.listdir(sys.argv[1]):
    if folder.startswith("fwsim-sweep-"):
        try:
            print("entered", os.listdir(os.path.join(sys.argv[1], folder)))
        except PermissionError:
            print("shut")
"""


def listening(process):
    """Ports of each of two workers and their client, once all have some."""
    client = psutil.Process(process.pid)
    family = [client, *client.children(recursive=True)]
    ports = []
    for member in family:
        with suppress(psutil.NoSuchProcess):  # a helper of the start that has just ended
            found = member.net_connections("inet")
            ports.append({str(each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN})
    return sorted(set().union(*ports)) if sum(map(bool, ports)) == 3 else []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_cannot_enter_a_sweep(toy, monkeypatch, client, gate):
    """Nobody connects to scheduler, workers or their web servers, and no key of the sweep can be read."""
    gate(0)
    scratch = Path(tempfile.mkdtemp())  # where others may look
    scratch.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(scratch))
    process = client("--workers=2")
    try:
        ports = listening(process)
        while len(ports) < 3:  # a scheduler and two workers
            assert process.poll() is None
            time.sleep(0.2)
            ports = listening(process)
        command = [sys.executable, "-c", INTRUDER, str(scratch), *sorted(ports)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert process.poll() is None, process.communicate()
        assert set(done.stdout.split("\n")) == {"out", "shut", ""}, done.stdout + done.stderr[-2000:]
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_workers_keep_what_a_point_frees(toy):
    """Twenty arrays of 4 MB a point would make 20,000 pages anew."""
    write_experiment(
        toy,
        "import resource\n"
        "def use():\n"
        "    for _ in range(20):\n"
        "        np.ones(4_000_000, dtype=np.uint8)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "faults = -use() + use()\n"
        "return xr.Dataset({'faults': ((), faults, {'units': '1', 'long_name': 'pages made'})})",
    )
    before = dict(os.environ)
    made = fw.sweep("made", {"size": [1, 2]}, batch_size=1, workers=2).load()
    assert int(made["faults"].max()) < 5_000
    assert os.environ == before  # Dask sets numbers of threads for its workers in this process


def test_a_running_cluster_loses_a_worker_and_its_scheduler(toy, cluster, expected, client, gate):
    """By its address, with workers in another folder; the other worker goes on, and later so does this process."""
    gate(1)
    running = cluster()
    process = client(f"--scheduler={running.address}")
    wait_for_points(toy, 2, process)
    running.kill("worker 0")
    gate(4)
    wait_for_points(toy, 8, process)
    running.kill("scheduler")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    warned, gone = err.splitlines()
    assert warned.startswith(f"fwsim: {running.address} takes anybody's connection")
    assert (
        gone
        == "fwsim: the Dask scheduler is gone; what is finished is kept; continue with: fwsim resume here"
    )
    stopped = Run(toy / "here")
    assert stopped.state == "interrupted"
    assert finished_points(stopped) == 8
    gate(None)
    xr.testing.assert_equal(resume_sweep("here", workers=1).load(), expected)


@pytest.mark.parametrize(
    ("patience", "done", "said"),
    [
        (10.0, lambda cluster: cluster.kill("worker 0"), "the cluster has had no worker for 10 s"),
        pytest.param(  # Dask waits a minute for a scheduler that says nothing before it closes
            3.0,
            lambda cluster: cluster.processes["scheduler"].send_signal(signal.SIGSTOP),
            "the Dask scheduler has not answered for 3 s",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["no worker", "no answer"],
)
@pytest.mark.filterwarnings("ignore:.*takes anybody's connection")
def test_a_cluster_that_is_silent_is_named(toy, cluster, monkeypatch, gate, patience, done, said):
    """The sweep can go on afterwards."""
    gate(1)
    monkeypatch.setattr("fwsim.study.sweeps.dispatch.BEAT", 0.5)
    running = cluster(workers=1)

    def silence():
        while not list((toy / "here" / "batches").glob("[!.]*")):
            time.sleep(0.05)
        monkeypatch.setattr("fwsim.study.sweeps.dispatch.PATIENCE", patience)  # the start may take longer
        done(running)

    silencing = threading.Thread(target=silence, daemon=True)
    silencing.start()
    with pytest.raises(
        StudyError, match=rf"{said}; what is finished is kept; continue with: fwsim resume here"
    ):
        fw.sweep("leak", OVER, 2, batch_size=2, folder="here", scheduler=running.address)
    silencing.join()
    assert Run(toy / "here").state == "interrupted"
    assert finished_points(Run(toy / "here")) == 2


def test_the_client_dies(toy, expected, client, gate):
    gate(2)
    process = client("--workers=1")
    wait_for_points(toy, 4, process)
    process.kill()
    process.wait()
    assert Run(toy / "here").state == "interrupted"
    assert finished_points(Run(toy / "here")) == 4
    gate(None)
    out, err = client("--workers=1", command="resume").communicate(timeout=300)
    assert "16 points: 16 done, 0 failed, in" in out
    assert err == ""
    xr.testing.assert_equal(Run(toy / "here").recording.load(), expected)


@pytest.mark.slow
def test_the_client_of_local_processes_dies(toy, expected, client, gate):
    gate(2)
    process = client("--workers=2")
    wait_for_points(toy, 4, process)
    process.kill()
    process.wait()
    gate(None)
    xr.testing.assert_equal(resume_sweep("here", workers=2).load(), expected)


@pytest.mark.slow
def test_points_that_kill_their_worker_are_failures(toy):
    """The other points of their batch are not."""
    with pytest.warns(UserWarning, match="1 of 4 points failed"):
        recording = fw.sweep(
            "leak", {"eta": [1, 2, 3, 4]}, config={"kills": 2.0}, workers=2, batch_size=2, folder="here"
        )
    assert recording.failed.values.ravel().tolist() == [False, True, False, False]
    assert "its worker died 4 times" in (toy / "here" / "failed.csv").read_text()


@pytest.mark.slow
def test_ctrl_c_stops_all_processes(toy, client, gate):
    gate(1)
    process = client("--workers=2")
    wait_for_points(toy, 2, process)
    for _ in range(3):  # by somebody who is in a hurry
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        time.sleep(0.1)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err == "fwsim: interrupted; continue with: fwsim resume here\n"
    assert Run(toy / "here").state == "interrupted"


FAKE_SLURM = """#!/bin/sh
# Runs the job script here and now, as Slurm would somewhere else some time.
cp "$1" "$FAKE_SLURM/job.sh"
setsid sh "$FAKE_SLURM/job.sh" > /dev/null 2>&1 &
echo $! >> "$FAKE_SLURM/pids"
echo "Submitted batch job $!"
"""


def test_slurm_jobs(toy, tmp_path_factory, monkeypatch, expected):
    """A sweep through dask-jobqueue, with a `sbatch` that runs the script on this machine."""
    pytest.importorskip("dask_jobqueue", reason="the extra 'slurm' is not installed")
    fake = tmp_path_factory.mktemp("slurm")
    for name, text in (("sbatch", FAKE_SLURM), ("scancel", '#!/bin/sh\nkill -- -"$1"\n')):
        (fake / name).write_text(text)
        (fake / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(fake))
    try:
        recording = fw.sweep(
            "leak",
            OVER,
            2,
            batch_size=2,
            folder="here",
            scheduler="slurm",
            workers=1,
            cluster={"memory": "1GB", "queue": "long", "walltime": "00:10:00", "interface": "lo"},
        )
        xr.testing.assert_equal(recording.load().drop_attrs(), expected.drop_attrs())
        script = (fake / "job.sh").read_text()
    finally:
        for pid in (fake / "pids").read_text().split():
            subprocess.run(["kill", "-9", "--", f"-{pid}"], **QUIET)
    assert "#SBATCH -p long\n" in script
    assert "#SBATCH -t 00:10:00\n" in script
    assert "--nthreads 1 " in script
    assert "--protocol tls:// --tls-ca-file " in script
    assert not list(toy.glob(".fwsim-keys-*"))


def test_slurm_options(monkeypatch, toy):
    pytest.importorskip("dask_jobqueue", reason="the extra 'slurm' is not installed")
    options = parse_options(["memory=8GB", "cores=4", 'job_extra_directives=["--gres=gpu:4"]'])
    assert options == {"memory": "8GB", "cores": 4, "job_extra_directives": ["--gres=gpu:4"]}
    assert slurm_options(options)["processes"] == 4  # one worker a device
    monkeypatch.setenv("PATH", "")
    for options, said in (
        ({"memory": "1GB"}, "there is no Slurm here"),
        ({}, "Slurm options do not fit"),
        ({"memory": "1GB", "quue": "long"}, "Slurm options do not fit"),
    ):
        with pytest.raises(ConfigError, match=said):
            fw.sweep("leak", OVER, scheduler="slurm", workers=1, cluster=options, folder="here")
    with pytest.raises(ConfigError, match="is not KEY=VALUE"):
        parse_options(["memory"])
    assert not (toy / "here").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills(toy, cluster, monkeypatch, client, gate):
    """Scheduler, worker or client dies at a random moment, twenty times; the result is that of an undisturbed sweep."""
    expected = fw.sweep("leak", OVER, 10, batch_size=2, workers=1, folder="expected").load()
    gate(30)  # of 40, however fast the machine
    monkeypatch.setenv("LEAK_PAUSE", "2")
    dice, running = random.Random(20), cluster()
    arguments = [f"--scheduler={running.address}", "--seeds=10"]
    process = client(*arguments)
    for _ in range(20):
        time.sleep(dice.uniform(0.0, 10.0))
        victim = dice.choice(["scheduler", "worker 0", "worker 1", "client"])
        if victim == "client":
            process.kill()
            process.wait()
        else:
            running.kill(victim)
            running.start(victim)
        if process.poll() is not None:  # killed, or for want of a scheduler
            begun = (toy / "here" / "run.json").exists()
            process = client(*arguments[: 1 if begun else 2], command="resume" if begun else "sweep")
    wait_for_points(toy, 2, process)
    process.kill()
    process.wait()
    assert 0 < finished_points(Run(toy / "here")) < 80
    gate(None)
    monkeypatch.delenv("LEAK_PAUSE")
    xr.testing.assert_equal(resume_sweep("here", workers=1).load(), expected)
