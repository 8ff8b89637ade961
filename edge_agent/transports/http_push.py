"""A port of ours to which terminals push over HTTP."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from edge_agent.transports import File, Host, Only, Port, Transport


class HttpPushTransport(Transport):
    """host: the address of the box in the devices' network. tls_*: for terminals that can do HTTPS."""

    channel: ClassVar[str] = "http_push"
    only: ClassVar[Only] = Only("listener", ("host", "port"))
    needs: ClassVar[Mapping[str, str]] = {"tls_key": "tls_certificate"}

    kind: Literal["http-push"]
    host: Host
    port: Port
    tls_certificate: File | None = None
    tls_key: File | None = None
    connections_max: Annotated[int, Field(ge=1, le=2048)] = 512


TRANSPORT: Final = HttpPushTransport
