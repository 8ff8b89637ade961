"""What `transport:` of a channel may say: one module per kind of channel, which exposes `TRANSPORT`.

The module's name is the kind with underscores. Everything is found by looking into this folder; a new kind of channel
is one module here and the one in `edge_agent.channels` that its `channel` names, and changes nothing else.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self, Union

from pydantic import Field

from device_profiles.protocols import StrictModel
from wire.mqtt_link import BrokerAddress

Host = Annotated[str, Field(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65_535)]
File = Annotated[Path, Field(strict=False)]

# The keys of a transport that may name a file; no transport calls them otherwise.
FILE_KEYS: Final = ("password_file", "tls_ca", "tls_certificate", "tls_key")


class Endpoint(StrictModel):
    """Whatever may name files. Secrets stand only in files."""

    def resolved(self, base: Path) -> Self:
        """With the files it names below base, unless they are absolute."""
        files = {name: base / path for name in FILE_KEYS if (path := getattr(self, name, None)) is not None}
        return self.model_copy(update=files)


class Transport(Endpoint):
    """One kind of conversation. Each member has `kind`, a literal; channel: the module that holds it."""

    channel: ClassVar[str]

    kind: str


class Broker(Endpoint):
    """How to reach an MQTT broker."""

    host: Host
    port: Port = 1883
    username: Annotated[str, Field(max_length=128)] = ""
    password_file: File | None = None
    tls_ca: File | None = None
    tls_certificate: File | None = None
    tls_key: File | None = None

    def address(self, password: str) -> BrokerAddress:
        """With the password that its file holds."""
        return BrokerAddress(
            host=self.host,
            port=self.port,
            username=self.username,
            password=password,
            tls_ca=self.tls_ca,
            tls_certificate=self.tls_certificate,
            tls_key=self.tls_key,
        )


@cache
def transports() -> dict[str, type[Transport]]:
    """Every kind there is, sorted."""
    names = sorted(module.name for module in iter_modules(__path__))
    found: dict[str, type[Transport]] = {}
    for name in names:
        found[name.replace("_", "-")] = import_module(f"{__name__}.{name}").TRANSPORT
    return found


if TYPE_CHECKING:
    AnyTransport = Transport
else:

    def __getattr__(name: str) -> object:
        # Made on first use: the members import this module.
        if name != "AnyTransport":
            raise AttributeError(name)
        return Annotated[Union[tuple(transports().values())], Field(discriminator="kind")]  # noqa: UP007  of a tuple
