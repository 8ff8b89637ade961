"""A device that answers one HTTP request for ever: a camera's or a recorder's event stream."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from edge_agent.transports import File, Host, Only, Port, Transport


class HttpStreamTransport(Transport):
    """How to reach the device. tls_ca: speak HTTPS and trust this authority (or the device's own certificate)."""

    channel: ClassVar[str] = "http_stream"
    only: ClassVar[Only] = Only("endpoint", ("host", "port"))
    needs: ClassVar[Mapping[str, str]] = {"password_file": "username"}

    kind: Literal["http-stream"]
    host: Host
    port: Port = 80
    username: Annotated[str, Field(max_length=128)] = ""
    password_file: File | None = None
    tls_ca: File | None = None


TRANSPORT: Final = HttpStreamTransport
