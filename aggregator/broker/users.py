"""Users of the broker: their grants, and their passwords as mosquitto keeps them."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, Literal, NamedTuple

import msgspec

from aggregator.unfit import Unfit
from device_profiles.protocols import MqttTopics
from wire.topics import PROTOCOL, is_name

# The passwords are random (new_password), so the hash only has to be one way; a broker that reboots together with
# fifty boxes must not spend seconds on them.
ITERATIONS: Final = 1000
PASSWORD_BYTES: Final = 15
_SALT_BYTES: Final = 12
_HASH_BYTES: Final = 64
_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_LEVEL = re.compile(r"[^\x00-\x20\x7f/+#%]+\Z")


class Role(StrEnum):
    """What a user is."""

    AGGREGATOR = "aggregator"
    EDGE = "edge"
    TERMINALS = "terminals"


class Grant(NamedTuple):
    """Permission to publish to (write) or to be sent (read) what matches an MQTT topic filter."""

    access: Literal["read", "write"]
    topic: str


class BrokerUser(msgspec.Struct, frozen=True, kw_only=True):
    """One who may enter. password_hash: see the function of that name; never a password."""

    name: str
    role: Role
    password_hash: str
    grants: tuple[Grant, ...]

    def __post_init__(self) -> None:
        """Raises Unfit, ValueError for what could not stand in mosquitto's line-based files."""
        if not _USER_NAME.match(self.name):
            raise Unfit("broker_user", name=self.name[:80])
        if not self.password_hash.startswith("$7$") or not self.password_hash.isprintable():
            raise ValueError(f"broker user {self.name}: not a password hash")
        for grant in self.grants:
            if not all(level in {"+", "#"} or _LEVEL.match(level) for level in grant.topic.split("/")):
                raise ValueError(f"broker user {self.name}: bad topic {grant.topic!r:.120}")


def aggregator_user(campus: str, password_hash: str, *, name: str = "aggregator") -> BrokerUser:
    """Hears all boxes of a campus and speaks to each."""
    _check_names(campus)
    grants = (Grant("read", f"{PROTOCOL}/{campus}/+/up/+"), Grant("write", f"{PROTOCOL}/{campus}/+/down/+"))
    return BrokerUser(name=name, role=Role.AGGREGATOR, password_hash=password_hash, grants=grants)


def edge_user(campus: str, edge: str, password_hash: str, *, terminal_prefixes: Iterable[str] = ()) -> BrokerUser:
    """One box, named as its edge node. terminal_prefixes: where its terminals speak, if they use this broker."""
    _check_names(campus, edge)
    grants = [Grant("write", f"{PROTOCOL}/{campus}/{edge}/up/+"), Grant("read", f"{PROTOCOL}/{campus}/{edge}/down/+")]
    for prefix in terminal_prefixes:
        grants += [Grant("read", f"{_checked(prefix)}/#"), Grant("write", f"{prefix}/+")]
    return BrokerUser(name=edge, role=Role.EDGE, password_hash=password_hash, grants=tuple(grants))


def terminal_user(name: str, topics: MqttTopics, prefix: str, password_hash: str, *, device_id: str = "") -> BrokerUser:
    """One device of a protocol; without a device id all of them below the prefix, for sites that cannot set one for
    each.
    """
    _checked(prefix)
    device = _checked(device_id) if device_id else "+"
    said = [Grant("write", topic.format(prefix=prefix, device=device)) for topic in topics.said]
    heard = [Grant("read", topic.format(prefix=prefix, device=device)) for topic in topics.heard]
    return BrokerUser(name=name, role=Role.TERMINALS, password_hash=password_hash, grants=(*said, *heard))


def _check_names(*names: str) -> None:
    for name in names:
        if not is_name(name):
            raise Unfit("edge_name", name=name[:80])


def _checked(prefix: str) -> str:
    levels = prefix.split("/")
    if not all(_LEVEL.match(level) for level in levels) or prefix.startswith((f"{PROTOCOL}/", "$")):
        raise Unfit("topic_level", name=prefix[:80])
    return prefix


def new_password(random: Callable[[int], bytes]) -> str:
    """120 random bits as 20 letters, digits, `-` and `_`: short enough for a terminal's settings page."""
    return base64.urlsafe_b64encode(random(PASSWORD_BYTES)).decode()


def password_hash(password: str, random: Callable[[int], bytes], *, iterations: int = ITERATIONS) -> str:
    """`$7$<iterations>$<salt>$<hash>`: PBKDF2-HMAC-SHA-512, 12 and 64 bytes in base64. Read by mosquitto 2."""
    salt = random(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, _HASH_BYTES)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def password_matches(stored: str, password: str) -> bool:
    """Whether a password is the one a hash was made of. A hash that cannot be read matches nothing."""
    try:
        _, form, iterations, salt, digest = stored.split("$")
        expected = base64.b64decode(digest, validate=True)
        if form != "7":
            return False
        actual = hashlib.pbkdf2_hmac(
            "sha512", password.encode(), base64.b64decode(salt, validate=True), int(iterations), len(expected)
        )
    except (ValueError, binascii.Error, OverflowError):
        return False
    return hmac.compare_digest(actual, expected)
