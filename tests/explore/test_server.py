"""The server: one page, all its parts from this machine, and from no other."""

import asyncio
import queue
import re
import resource
import socket
import subprocess
import sys
import threading
import urllib.request
from shutil import which

import pytest

import fwsim as fw
from tests.explore import recordings

bokeh = pytest.importorskip("bokeh", reason="the explorer needs the extra 'explore'")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore")
    recordings.fast_weights(to=folder / "fast.zarr")
    recordings.spikes(to=folder / "spikes.zarr")
    return folder


@pytest.fixture
def serving():
    """Function that serves a recording in a thread and returns the port."""
    from fwsim.explore.server import start

    stops = []

    def serve(path):
        found = queue.Queue()

        def work():
            asyncio.set_event_loop(asyncio.new_event_loop())
            server = start(path)
            found.put(server)
            server.io_loop.start()
            server.io_loop.close()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        server = found.get(timeout=60)
        stops.append((server, thread))
        return server.port

    yield serve
    for server, thread in stops:
        server.io_loop.add_callback(server.stop)
        server.io_loop.add_callback(server.io_loop.stop)
        thread.join(10)


def test_the_page_takes_everything_from_this_machine(runs, serving):
    port = serving(runs / "fast.zarr")
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read().decode()
    parts = re.findall(r"(?:src|href)=[\"']([^\"']+)", page)
    assert any("bokeh.min.js" in part for part in parts)
    assert all(not part.startswith(("http:", "https:", "//")) or "127.0.0.1" in part for part in parts)


def test_it_listens_on_the_loopback_address_only(runs, serving):
    port = serving(runs / "fast.zarr")
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_what_cannot_be_served_is_refused_in_one_line(tmp_path, runs):
    from fwsim.explore.server import start

    with pytest.raises(fw.ConfigError):
        start(tmp_path / "absent")
    taken = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(fw.ConfigError, match="choose another"):
        start(runs / "fast.zarr", port=taken.getsockname()[1])
    taken.close()


@pytest.mark.slow
def test_a_million_steps_open_in_three_seconds(tmp_path):
    """From nothing to a page that is filled: a new process, its imports, the recording, and all views."""
    recordings.long(tmp_path / "long.zarr")
    script = (
        "from bokeh.document import Document; from fwsim.explore.scene import find_recording; "
        f"from fwsim.explore.page import build; build(Document(), find_recording({str(tmp_path / 'long.zarr')!r}), '')"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, since other processes may keep this one waiting.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3.0


def shown(page, *times):
    """Wait until the clock, which the server sets, shows one of some times."""
    page.wait_for_function(
        "times => times.includes(Bokeh.documents[0].get_model_by_name('clock').text)",
        arg=[f"<b>{time}</b>" for time in times],
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fast.zarr", "spikes.zarr"])
def test_keys_step_in_a_browser_and_nothing_is_in_the_console(runs, serving, name):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = which("chromium") or which("chromium-browser") or which("google-chrome")
    if chromium is None:
        pytest.skip("needs chromium on the path")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        said, hosts = [], set()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
        page.goto(f"http://127.0.0.1:{serving(runs / name)}/")
        page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")

        def value(of):
            return page.evaluate(f"Bokeh.documents[0].get_model_by_name('{of}').value")

        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "."):
            page.keyboard.press(key)
        assert (value("step"), value("unit")) == (2, 1)
        page.keyboard.press("End")
        shown(page, "t = 40 s", "t = 0.5 s")
        page.evaluate("Bokeh.documents[0].get_model_by_name('trial').value = 1")
        page.wait_for_function("Bokeh.documents[0].get_model_by_name('step').value == 0")
        page.keyboard.press("ArrowRight")
        shown(page, "t = 2 s", "t = 0.002 s")
        assert value("step") == 1
        browser.close()
    assert said == []
    assert hosts == {"127.0.0.1"}
