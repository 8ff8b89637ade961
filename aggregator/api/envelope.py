"""What goes around every request: its size is bounded, its answer carries the headers, a bug of ours is a problem too.

Plain ASGI, because a stream passes through it that has no end, and outside of everything, because the answer to a bug
needs the headers like any other.
"""

import logging
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.admission.group import STORE_FAILURES
from aggregator.api.problems import Problem

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5
BODY_BYTES_MAX: Final = 1024 * 1024
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-store",
}


class Envelope:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = _refusal(Headers(scope=scope))
        if refusal is not None:
            await refusal.response()(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                # Half an answer is out; only ending the connection tells the caller so.
                raise
            if isinstance(error, STORE_FAILURES):
                log.warning("request not answered", extra={"path": scope["path"], "cause": str(error)})
                retry = {"Retry-After": str(RETRY_AFTER_S)}
                await Problem(503, "store_failing", headers=retry).response()(scope, receive, send_with_headers)
                return
            log.exception("request failed; this is a bug of ours", extra={"path": scope["path"]})
            await Problem(500, "internal").response()(scope, receive, send_with_headers)


def _refusal(headers: Headers) -> Problem | None:
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()):
        return Problem(411, "length_required")
    if int(length[:20]) > BODY_BYTES_MAX:
        return Problem(413, "too_large", {"limit": BODY_BYTES_MAX})
    return None
