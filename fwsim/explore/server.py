"""Server of the page, for one user's browser on this machine only."""

from __future__ import annotations

import secrets
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from fwsim.errors import ConfigError
from fwsim.explore.scene import check_explorable, find_recording
from fwsim.names import known_arguments
from fwsim.requirements import required

if TYPE_CHECKING:
    from bokeh.server.server import BaseServer

ADDRESS = "127.0.0.1"
HIGHEST_PORT = 65535


@known_arguments
def serve(run: str | Path, *, port: int = 0, browser: bool = True) -> None:
    """Serve the page of a recording until Ctrl-C.

    Parameters
    ----------
    run
        A run's folder or name, or the folder of a recording.
    port
        Port to listen on; 0 takes a free one.
    browser
        Whether to open the page.

    Raises
    ------
    ConfigError
        The run does not exist, the port is in use, or bokeh is not installed.
    RecordingError
        There is nothing to show.
    """
    token = secrets.token_urlsafe(32)
    server = start(run, port=port, token=token)
    address = f"http://{ADDRESS}:{server.port}/?token={token}"
    print(f"exploring {run}: {address} (Ctrl-C ends)", flush=True)
    with _forwarding(address) as page:
        if browser:
            server.io_loop.add_callback(webbrowser.open, page.as_uri())
        try:
            server.run_until_shutdown()
        except KeyboardInterrupt:
            server.stop()


@contextmanager
def _forwarding(address: str) -> Iterator[Path]:
    """A file that leads to the address and that only this user can read: all users see the arguments of a browser."""
    with tempfile.TemporaryDirectory(prefix="fwsim-") as folder:
        page = Path(folder) / "explore.html"
        link = escape(address)
        page.write_text(
            f'<meta http-equiv="refresh" content="0; url={link}"><meta name="referrer" content="no-referrer">'
            f'<a href="{link}">explore</a>'
        )
        yield page


def start(run: str | Path, *, port: int = 0, token: str) -> BaseServer:
    """Server of the page of a recording, listening but not yet running; see `serve`.

    Requests without the `token` are refused: the first address contains it (`/?token=…`), then a cookie.
    """
    recording = find_recording(run)
    check_explorable(recording)  # raises before anything listens
    required("bokeh.server.server", "fwsim explore", extra="explore")
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.server.server import BaseServer
    from bokeh.server.util import bind_sockets
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop

    from fwsim.explore.guard import guarded
    from fwsim.explore.page import build

    if not 0 <= port <= HIGHEST_PORT:
        raise ConfigError(
            f"port={port} is not allowed; give one of 1024 to {HIGHEST_PORT}, or 0 for a free one"
        )
    title = str(run)
    fill: Callable = lambda document: build(document, recording, title)  # noqa: E731
    try:
        sockets, port = bind_sockets(ADDRESS, port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"port={port} cannot be used: {error}; choose another, or 0 for a free one"
        ) from None
    pages = guarded(Application(FunctionHandler(fill)), [f"{ADDRESS}:{port}", f"localhost:{port}"], token)
    http = HTTPServer(pages)
    http.add_sockets(sockets)
    server = BaseServer(IOLoop.current(), pages, http)
    server.start()
    return server
