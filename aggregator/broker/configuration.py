"""mosquitto.conf and the files of users, as text. Pure."""

import getpass
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from aggregator.broker.users import BrokerUser, Role

LOOPBACK: Final = "127.0.0.1"
PLAIN_PORT: Final = 1883
TLS_PORT: Final = 8883


class Audience(StrEnum):
    """Whom a listener lets in."""

    BOXES = "boxes"
    TERMINALS = "terminals"
    EVERYBODY = "everybody"

    def admits(self, role: Role) -> bool:
        """Whether users of a role may use such a listener."""
        return self is Audience.EVERYBODY or (self is Audience.TERMINALS) == (role is Role.TERMINALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The broker's certificate. client_ca: who signs the certificates of boxes; with it a client must show one, and
    its common name is its user name, so that no password is asked.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    revoked: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One open port. Raises ValueError for one that would carry boxes' passwords in the clear over a network."""

    port: int = PLAIN_PORT
    host: str = LOOPBACK
    audience: Audience = Audience.EVERYBODY
    tls: ServerTls | None = None
    connections_max: int = 2000

    def __post_init__(self) -> None:
        """Checks what is said above, and that host is an address."""
        if not 1 <= self.port <= 65535:
            raise ValueError(f"port {self.port}")
        loopback = ipaddress.ip_address(self.host).is_loopback
        if self.tls is None and not loopback and self.audience is not Audience.TERMINALS:
            raise ValueError(f"a listener on {self.host} without TLS may be for terminals only")


def _started_by_root() -> str:
    return getpass.getuser() if os.geteuid() == 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """What a campus may choose. The limits are for one campus of a few hundred devices.

    retained_allowed: our own parties neither use nor believe retained messages; a 3.1.1 device that retains its last
    will cannot connect while they are refused. packet_bytes_max: the largest is a face record with its picture.
    queued_bytes_max: for one client that is away, in memory.
    run_as: the user mosquitto becomes when root starts it; by default root's broker stays root's, as it could not read
    these files as anybody else.
    """

    campus: str
    listeners: tuple[Listener, ...] = (Listener(),)
    retained_allowed: bool = False
    packet_bytes_max: int = 4 * 1024 * 1024
    queued_messages_max: int = 20_000
    queued_bytes_max: int = 16 * 1024 * 1024
    memory_bytes_max: int = 512 * 1024 * 1024
    run_as: str = field(default_factory=_started_by_root)

    def audiences(self) -> tuple[Audience, ...]:
        """Every audience that a listener has."""
        return tuple(audience for audience in Audience if any(one.audience is audience for one in self.listeners))


def render_configuration(settings: BrokerSettings, folder: Path) -> str:
    """mosquitto.conf for a broker whose files are in folder (absolute)."""
    template = Template((files("aggregator.broker") / "mosquitto.conf.template").read_text(encoding="utf-8"))
    return template.substitute(
        campus=settings.campus,
        pid_file=_line(folder / "mosquitto.pid"),
        packet_bytes_max=settings.packet_bytes_max,
        queued_messages_max=settings.queued_messages_max,
        queued_bytes_max=settings.queued_bytes_max,
        memory_bytes_max=settings.memory_bytes_max,
        retain_available=str(settings.retained_allowed).lower(),
        run_as=f"user {settings.run_as}\n" if settings.run_as else "",
        listeners="\n".join(_listener(listener, folder) for listener in settings.listeners),
    )


def _listener(listener: Listener, folder: Path) -> str:
    lines = [
        f"listener {listener.port} {listener.host}",
        f"max_connections {listener.connections_max}",
        "allow_anonymous false",
        f"password_file {_line(folder / password_file(listener.audience))}",
        f"acl_file {_line(folder / access_file(listener.audience))}",
    ]
    tls = listener.tls
    if tls is not None:
        lines += [f"certfile {_line(tls.certificate)}", f"keyfile {_line(tls.key)}", "tls_version tlsv1.2"]
        if tls.client_ca is not None:
            lines += [f"cafile {_line(tls.client_ca)}", "require_certificate true", "use_identity_as_username true"]
        if tls.revoked is not None:
            lines.append(f"crlfile {_line(tls.revoked)}")
    return "\n".join(lines) + "\n"


def _line(path: Path) -> str:
    text = str(path)
    if not path.is_absolute() or not text.isprintable():
        raise ValueError(f"{text!r}: mosquitto needs an absolute path on one line")
    return text


def password_file(audience: Audience) -> str:
    """Name of the password file of an audience."""
    return f"{audience}.passwd"


def access_file(audience: Audience) -> str:
    """Name of the access list of an audience."""
    return f"{audience}.acl"


def render_passwords(users: Iterable[BrokerUser], audience: Audience) -> str:
    """The password file of an audience."""
    return "".join(f"{user.name}:{user.password_hash}\n" for user in users if audience.admits(user.role))


def render_access(users: Iterable[BrokerUser], audience: Audience) -> str:
    """The access list of an audience. What it does not name is refused."""
    blocks = []
    for user in users:
        if audience.admits(user.role):
            grants = "".join(f"topic {grant.access} {grant.topic}\n" for grant in user.grants)
            blocks.append(f"# {user.role}\nuser {user.name}\n{grants}")
    return "\n".join(blocks)
