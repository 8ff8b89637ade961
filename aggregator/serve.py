"""uvicorn inside our own TaskGroup: it takes no signals, and open streams do not keep it from ending."""

import contextlib
import socket
from collections.abc import Generator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

GRACE_S = 2


class CertificateError(ValueError):
    """Certificate and key cannot be used; the text names the files, never what they hold."""


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers; `app.py` decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take none."""
        yield

    def stop(self) -> None:
        """End: no new connections, GRACE_S for those that are open."""
        self.should_exit = True


def make_server(app: FastAPI, *, certificate: Path | None = None, key: Path | None = None) -> HttpServer:
    """A server for one application. Access logs stay off: what was asked holds cursors and names.

    certificate, key: speak HTTPS, TLS 1.2 or later. Raises CertificateError when they cannot be used.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        date_header=True,
        h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:
        raise CertificateError(f"{certificate}, {key}: {error.strerror or error}") from None
    return HttpServer(config)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError. port 0: any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        # The system's own words name no port.
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    listener.setblocking(False)  # noqa: FBT003  the socket module's own signature
    return listener
