"""Where an MQTT broker is, how to enter it, what can go wrong on the way there, and what comes back."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class LinkError(OSError):
    """The broker could not be reached, refused us, or went away. The text names broker and cause."""


class LinkRefused(LinkError):
    """The broker answered and said no (bad password, not authorised). Trying at once again is pointless."""


class Message(NamedTuple):
    """One message from the broker. token goes back to `MqttLink.ack`."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where a broker is and how to enter. The password never appears in repr."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str = ""
    password: str = field(default="", repr=False)
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class ClientTls(ssl.SSLContext):
    """TLS 1.2 or later, the broker's name and certificate checked. Remembers its last socket, because paho forgets one
    whose handshake failed without closing it.
    """

    last: ssl.SSLSocket | None = None

    @classmethod
    def to(cls, address: BrokerAddress, authority: Path) -> "ClientTls":
        """Raises LinkError for a file that cannot be used."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        path = authority
        try:
            context.load_verify_locations(authority)
            if address.tls_certificate is not None:
                path = address.tls_certificate
                context.load_cert_chain(address.tls_certificate, address.tls_key)
        except OSError as error:
            raise LinkError(f"MQTT broker {address}: {path} or its key: {error.strerror or error}") from error
        return context

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:  # noqa: ANN401  passed on as it is
        """See ssl.SSLContext."""
        self.last = super().wrap_socket(*args, **kwargs)
        return self.last
