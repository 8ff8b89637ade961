"""Bytes that a broken, half-updated or hostile device puts on its topics. None of them is a record."""

import json
import random
from collections.abc import Callable
from typing import Final

Spoil = Callable[[bytes, random.Random], bytes]


def _cut_short(payload: bytes, chance: random.Random) -> bytes:
    return payload[: chance.randrange(1, max(2, len(payload) - 1))]


def _not_utf8(payload: bytes, chance: random.Random) -> bytes:
    middle = chance.randrange(1, max(2, len(payload)))
    return payload[:middle] + b"\xff\xfe\x80" + payload[middle:]


def _no_json(_payload: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 64))


def _nothing(_payload: bytes, _chance: random.Random) -> bytes:
    return b""


def _deep(_payload: bytes, _chance: random.Random) -> bytes:
    return b'{"operator":"RecPush","info":' + b"[" * 5000 + b"]" * 5000 + b"}"


def _unknown_operator(_payload: bytes, _chance: random.Random) -> bytes:
    return b'{"operator":"NoSuchPush","info":{}}'


def _wrong_types(payload: bytes, chance: random.Random) -> bytes:
    """A record whose number cannot be read, so that nobody can take it for a record."""
    message = json.loads(payload)
    info = message.get("info")
    if not isinstance(info, dict):
        return b"[]"
    for name in ("RecordID", "SnapID"):
        if name in info:
            info[name] = chance.choice((None, [], {}, "", "many", "42x", -1, True))
    info["time"] = chance.choice((None, 7, "yesterday", ["2026"]))
    return json.dumps(message).encode()


SPOILS: Final[tuple[Spoil, ...]] = (
    _cut_short,
    _not_utf8,
    _no_json,
    _nothing,
    _deep,
    _unknown_operator,
    _wrong_types,
)


def spoil(payload: bytes, chance: random.Random) -> bytes:
    """A broken version of a good message. payload: a JSON object of the protocol."""
    return chance.choice(SPOILS)(payload, chance)
