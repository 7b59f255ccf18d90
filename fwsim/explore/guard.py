"""Access control of the page's server: the browser must know the token and use exactly this address."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from bokeh.application import Application
from bokeh.server.tornado import BokehTornado
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler

COOKIE = "fwsim-explore"
HEADERS = {
    "Referrer-Policy": "no-referrer",  # the first address has the token
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def guarded(application: Application, hosts: Sequence[str], token: str) -> BokehTornado:
    """Bokeh's pages with three checks of every request, including those of the websocket.

    - Is the `Host` one of `hosts`? The name of another site that points to this machine is not (DNS rebinding).
    - Is the `Origin`, if there is one, a page of this server?
    - Does the request have the token, in the address or in the cookie that the first answer sets? Other users of the
      machine do not know it.
    """
    name = f"{COOKIE}-{hosts[0].rpartition(':')[2]}"  # cookies do not distinguish ports

    def refusal(request: HTTPServerRequest) -> str:
        if request.host.lower() not in hosts:
            return (
                f"this is not the server of {request.host!r}; open the address that fwsim explore has printed"
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in [f"http://{host}" for host in hosts]:
            return "another site has asked"
        known = [each.decode("latin-1") for each in request.query_arguments.get("token", [])]
        known += [request.cookies[name].value] if name in request.cookies else []
        if not any(secrets.compare_digest(each.encode(), token.encode()) for each in known):
            return "the token is missing; open the address that fwsim explore has printed"
        return ""

    class Remembered(OutputTransform):
        """Sets the cookie in answers to requests with the token in their address, and the headers of all answers."""

        def __init__(self, request: HTTPServerRequest) -> None:
            self.known = not refusal(request) and "token" in request.query_arguments

        def transform_first_chunk(
            self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
        ) -> tuple[int, HTTPHeaders, bytes]:
            for header, value in HEADERS.items():
                headers[header] = value
            if self.known:
                headers.add("Set-Cookie", f"{name}={token}; Path=/; HttpOnly; SameSite=Strict")
            return status_code, headers, chunk

    class Guarded(BokehTornado):
        """Checks requests before any handler runs."""

        def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
            reason = refusal(request)
            if reason:
                return self.get_handler_delegate(request, Refused, {"reason": reason})
            return super().find_handler(request, **kwargs)

    pages = Guarded(application, extra_websocket_origins=list(hosts))
    pages.add_transform(Remembered)
    return pages


class Refused(RequestHandler):
    """Answers refused requests."""

    def initialize(self, reason: str) -> None:
        """Store the reason."""
        self.reason = reason

    def prepare(self) -> None:
        """Answer requests of any method."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"403: {self.reason}\n")
