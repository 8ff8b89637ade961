"""The web server inside a camera, as small as a camera's own: requests without bodies, sign-in by digest or basic.

Written by hand on asyncio's streams, so that nothing of the other side's HTTP or digest is on this side. RFC 7616 with
MD5 and qop=auth, which is what cameras have.
"""

import asyncio
import base64
import hashlib
import random
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

_HEAD_BYTES_MAX: Final = 16 * 1024
_NONCES_MAX: Final = 64
_PAIR: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')

SignInKind = Literal["digest", "basic", "both", "none"]


class Request(NamedTuple):
    """The head of a request. headers: names in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request on a connection; None at its end. Raises ValueError for something that is none."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _HEAD_BYTES_MAX:
        raise ValueError("a body of that length")
    await reader.readexactly(length)
    return Request(method, target, headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """A short answer."""

    status: str
    body: str = ""
    challenges: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """As it goes over the wire."""
        body = self.body.encode()
        lines = [
            f"HTTP/1.1 {self.status}",
            *(f"WWW-Authenticate: {one}" for one in self.challenges),
            'Content-Type: application/xml; charset="UTF-8"',
            f"Content-Length: {len(body)}",
            "",
            "",
        ]
        return "\r\n".join(lines).encode() + body


class DoorKeeper:
    """Knows one user. Its nonces are chance; the latest _NONCES_MAX of them are good."""

    def __init__(self, kind: SignInKind, username: str, password: str, realm: str, chance: random.Random) -> None:
        self.kind = kind
        self._username = username
        self._password = password
        self._realm = realm
        self._chance = chance
        self._nonces: deque[str] = deque(maxlen=_NONCES_MAX)

    def lets_in(self, request: Request) -> bool:
        """Whether the request proves the password."""
        if self.kind == "none":
            return True
        scheme, _, said = request.headers.get("authorization", "").partition(" ")
        if scheme == "Digest" and self.kind != "basic":
            return self._is_digest(request, {name: quoted or plain for name, quoted, plain in _PAIR.findall(said)})
        if scheme == "Basic" and self.kind != "digest":
            return said == base64.b64encode(f"{self._username}:{self._password}".encode()).decode()
        return False

    def refusal(self) -> Answer:
        """What somebody is told who is not let in."""
        nonce = f"{self._chance.getrandbits(128):032x}"
        self._nonces.append(nonce)
        digest = f'Digest qop="auth", realm="{self._realm}", nonce="{nonce}", stale="FALSE"'
        basic = f'Basic realm="{self._realm}"'
        challenges = {"digest": (digest,), "basic": (basic,), "both": (basic, digest), "none": ()}[self.kind]
        return Answer("401 Unauthorized", "", challenges)

    def _is_digest(self, request: Request, said: Mapping[str, str]) -> bool:
        if said.get("nonce") not in self._nonces or said.get("uri") != request.target or said.get("qop") != "auth":
            return False
        if said.get("username") != self._username or said.get("realm") != self._realm:
            return False
        secret = _md5(f"{self._username}:{self._realm}:{self._password}")
        asked = _md5(f"{request.method}:{request.target}")
        middle = f"{said['nonce']}:{said.get('nc', '')}:{said.get('cnonce', '')}:auth"
        return said.get("response") == _md5(f"{secret}:{middle}:{asked}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
