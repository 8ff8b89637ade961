"""A port of ours to which terminals push over HTTP."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from edge_agent.transports import File, Host, Port, Transport


class HttpPushTransport(Transport):
    """host: the address of the box in the devices' network. tls_*: for terminals that can do HTTPS."""

    channel: ClassVar[str] = "http_push"

    kind: Literal["http-push"]
    host: Host
    port: Port
    tls_certificate: File | None = None
    tls_key: File | None = None
    connections_max: Annotated[int, Field(ge=1, le=2048)] = 512


TRANSPORT: Final = HttpPushTransport
