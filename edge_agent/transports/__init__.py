"""What `transport:` of a channel may say: one module per kind of channel, which exposes `TRANSPORT`.

The module's name is the kind with underscores. Everything is found by looking into this folder; a new kind of channel
is one module here and the one in `edge_agent.channels` that its `channel` names, and changes nothing else.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, NamedTuple, Self, Union

from pydantic import Field

from device_profiles.protocols import StrictModel
from device_profiles.settings import File, Host, MqttEndpoint, Port

__all__ = ["FILE_KEYS", "AnyTransport", "Broker", "Endpoint", "File", "Host", "Only", "Port", "Transport", "transports"]

# The keys of a transport that may name a file; no transport calls them otherwise.
FILE_KEYS: Final = ("password_file", "tls_ca", "tls_certificate", "tls_key")


class Endpoint(StrictModel):
    """Whatever may name files. Secrets stand only in files."""

    def resolved(self, base: Path) -> Self:
        """With the files it names below base, unless they are absolute."""
        files = {name: base / path for name in FILE_KEYS if (path := getattr(self, name, None)) is not None}
        return self.model_copy(update=files)


class Only(NamedTuple):
    """What a box has only one of: a port of its own, a line, another's port. keys: of the transport that name it."""

    what: str
    keys: tuple[str, ...]


class Transport(Endpoint):
    """One kind of conversation. Each member has `kind`, a literal; channel: the module that holds it.

    only: what no second channel may have. needs: see MqttEndpoint.
    """

    channel: ClassVar[str]
    only: ClassVar[Only]
    needs: ClassVar[Mapping[str, str]] = {}

    kind: str


class Broker(MqttEndpoint, Endpoint):
    """How to reach an MQTT broker."""


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
