"""The server: one page, all its parts from this machine, and from no other."""

import asyncio
import http.client
import os
import queue
import re
import resource
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import closing
from pathlib import Path
from shutil import which
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

import fwsim as fw
from tests.explore import recordings

TOKEN = "a-token_of-this-test"
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
            server = start(path, token=TOKEN)
            found.put(server)
            server.io_loop.start()
            server.io_loop.close()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        server = found.get(timeout=300)
        stops.append((server, thread))
        return server.port

    yield serve
    for server, thread in stops:
        server.io_loop.add_callback(server.stop)
        server.io_loop.add_callback(server.io_loop.stop)
        thread.join(10)


def test_the_page_takes_everything_from_this_machine(runs, serving):
    port = serving(runs / "fast.zarr")
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/?token={TOKEN}", timeout=120).read().decode()
    parts = re.findall(r"(?:src|href)=[\"']([^\"']+)", page)
    assert any("bokeh.min.js" in part for part in parts)
    assert all(not part.startswith(("http:", "https:", "//")) or "127.0.0.1" in part for part in parts)


def test_it_listens_on_the_loopback_address_only(runs, serving):
    port = serving(runs / "fast.zarr")
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def asked(port, path="/", **headers):
    """Status, headers and body of a request as it is sent; what has an underscore in its name has a hyphen."""
    given = {"Host": f"127.0.0.1:{port}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with closing(connection):
        connection.putrequest("GET", path, skip_host=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = b"" if answer.status == 101 else answer.read()
    return answer.status, str(answer.headers), body.decode(errors="replace")


def page_of(port):
    """The cookie that the first page sets, and Bokeh's own token of a session."""
    status, head, body = asked(port, f"/?token={TOKEN}")
    assert status == 200
    cookie = re.search(r"Set-Cookie: (fwsim-explore-\d+=[^;]+); Path=/; HttpOnly; SameSite=Strict", head)[1]
    return cookie, re.search(r'"token":"([^"]+)"', body)[1]


def websocket(port, session, **headers):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    return asked(port, "/ws", Sec_WebSocket_Protocol=f"bokeh, {session}", **upgrade, **headers)[0]


def test_the_token_opens_the_page_and_a_cookie_the_rest(runs, serving):
    port = serving(runs / "fast.zarr")
    cookie, session = page_of(port)
    script = "/static/js/bokeh.min.js"
    assert asked(port, script, Cookie=cookie)[0] == 200
    assert asked(port, "/", Cookie=cookie)[0] == 200
    for path in ("/", script, "/ws", "/metadata", "/autoload.js", "/absent"):
        for wrong in ({}, {"Cookie": cookie[:-1]}, {"Cookie": "fwsim-explore-1=" + TOKEN}, {"Cookie": "x"}):
            status, head, body = asked(port, path, **wrong)
            assert (status, body.count("\n")) == (403, 1)
            assert "Set-Cookie" not in head
            assert TOKEN not in head + body
    for path in (
        "/?token=",
        f"/?token={TOKEN[:-1]}",
        f"/?token={TOKEN}x",
        "/?token=%00",
        "/?token=%c3%a4",
        "/?Token=" + TOKEN,
    ):
        assert asked(port, path)[0] == 403
    origin = f"http://127.0.0.1:{port}"
    assert websocket(port, session, Cookie=cookie, Origin=origin) == 101
    assert websocket(port, session, Origin=origin) == 403


def test_an_address_that_is_another_name_of_this_machine_is_refused(runs, serving):
    """A page of evil.example whose name comes to mean 127.0.0.1 has no host and no origin that this server has."""
    port = serving(runs / "fast.zarr")
    cookie, session = page_of(port)
    for host in (
        f"evil.example:{port}",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.2:{port}",
        "",
        None,
    ):
        status, head, body = asked(port, f"/?token={TOKEN}", Host=host, Cookie=cookie)
        assert status in (400, 403)  # HTTP has no request without a host
        assert "Set-Cookie" not in head
        assert "bokeh" not in body.lower()
        assert websocket(port, session, Host=host, Origin=f"http://{host}", Cookie=cookie) in (400, 403)
    assert asked(port, f"/?token={TOKEN}", Host=f"LOCALHOST:{port}")[0] == 200


def test_another_origin_is_refused(runs, serving):
    port = serving(runs / "fast.zarr")
    cookie, session = page_of(port)
    own = f"http://127.0.0.1:{port}"
    for origin in (
        "http://evil.example",
        f"http://evil.example:{port}",
        "null",
        f"https{own[4:]}",
        own[:-1],
        "",
    ):
        assert websocket(port, session, Origin=origin, Cookie=cookie) == 403
        assert asked(port, "/", Origin=origin, Cookie=cookie)[0] == 403
    assert asked(port, "/", Origin=own, Cookie=cookie)[0] == 200


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to be somebody else")
def test_another_user_of_the_machine_gets_nothing(runs, serving):
    """Not from the server, and not from what can be seen of this process."""
    port = serving(runs / "fast.zarr")
    script = (
        "import sys, urllib.error, urllib.request\n"
        "try: print(urllib.request.urlopen(sys.argv[1], timeout=120).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    call = ["/usr/bin/env", "python3", "-c", script, f"http://127.0.0.1:{port}/"]
    other = subprocess.run(
        call, user=65534, group=65534, extra_groups=[], capture_output=True, text=True, cwd="/"
    )
    assert other.stdout == "403\n"
    assert TOKEN not in Path("/proc/self/cmdline").read_text()


def test_the_browser_is_called_with_a_page_that_only_this_user_reads(runs, monkeypatch, capsys):
    """Arguments of processes can be seen by everybody."""
    from bokeh.server.server import BaseServer

    from fwsim.explore import server

    opened = []
    monkeypatch.setattr(server.webbrowser, "open", opened.append)

    def run(self):
        self.io_loop.call_later(0.1, self.io_loop.stop)
        self.io_loop.start()
        page = Path(url2pathname(urlparse(opened[0]).path))
        found.append((page, page.parent.stat().st_mode & 0o077, page.read_text()))
        raise KeyboardInterrupt

    found = []
    monkeypatch.setattr(BaseServer, "run_until_shutdown", run)
    asyncio.set_event_loop(asyncio.new_event_loop())
    server.serve(runs / "fast.zarr")
    printed = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", capsys.readouterr().out)[0]
    ((page, others, text),) = found
    assert others == 0
    assert printed in text
    assert "token" not in opened[0]
    assert not page.exists()


def test_what_cannot_be_served_is_refused_in_one_line(tmp_path, runs):
    from fwsim.explore.server import start

    with pytest.raises(fw.ConfigError):
        start(tmp_path / "absent", token=TOKEN)
    taken = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(fw.ConfigError, match="choose another"):
        start(runs / "fast.zarr", port=taken.getsockname()[1], token=TOKEN)
    taken.close()
    for port in (-1, 99999):  # bokeh would fail with an AssertionError
        with pytest.raises(fw.ConfigError, match=f"port={port} is not allowed; give one of 1024 to 65535"):
            start(runs / "fast.zarr", port=port, token=TOKEN)


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
        page.goto(f"http://127.0.0.1:{serving(runs / name)}/?token={TOKEN}")
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
