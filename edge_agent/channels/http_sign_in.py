"""How an HTTP client proves its password: digest (RFC 7616) where the device offers it, else basic (RFC 7617). Pure.

Cameras name several ways, each in a header of its own and in any order. The best of them is taken, so that a password
goes over the line in clear only where there is no other way.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_HASHES: Final[Mapping[str, Callable[[bytes], "hashlib._Hash"]]] = {
    "SHA-256": hashlib.sha256,
    # The only one that most cameras know; nothing else is protected by it.
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
}
_PARAMETER: Final = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+)')
_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z]+)(?=\s+[A-Za-z0-9_-]+\s*=|\s*(?:,|$))")
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What to send as Authorization. in_clear: whoever hears it has the password."""

    header: str
    in_clear: bool


@dataclass(frozen=True, slots=True)
class Credentials:
    """Prints as nothing."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Neither of them."""
        return "Credentials(…)"


@dataclass(frozen=True, slots=True)
class Asked:
    """The request. target: path and query as they are sent; client_nonce: chance, hex digits."""

    method: str
    target: str
    client_nonce: str


def sign_in(challenges: Sequence[str], credentials: Credentials, asked: Asked) -> SignIn | None:
    """The answer to a 401. challenges: every WWW-Authenticate. None when the device offers nothing that we know."""
    offers = [offer for header in challenges for offer in _offers(header)]
    digests = [said for scheme, said in offers if scheme == "digest" and _usable(said)]
    for algorithm in _HASHES:
        for said in digests:
            if _algorithm(said).removesuffix("-SESS") == algorithm:
                return SignIn(_digest(said, algorithm, credentials, asked), in_clear=False)
    if any(scheme == "basic" for scheme, _ in offers):
        pair = f"{credentials.username}:{credentials.password}".encode()
        return SignIn(f"Basic {base64.b64encode(pair).decode()}", in_clear=True)
    return None


def _offers(header: str) -> list[tuple[str, dict[str, str]]]:
    """Scheme and parameters of each challenge in one header, which may hold several."""
    # Quoted texts may hold commas and words; they are looked at only as values.
    blank = re.sub(r'"(?:[^"\\]|\\.)*"', lambda quoted: '"' + "x" * (len(quoted[0]) - 2) + '"', header)
    schemes = [(match[1].lower(), match.end()) for match in _SCHEME.finditer(blank)]
    ends = [*(match.start() for match in _SCHEME.finditer(blank)), len(header)][1:]
    return [
        (scheme, {name.lower(): _plain(value) for name, value in _PARAMETER.findall(header[begin:end])})
        for (scheme, begin), end in zip(schemes, ends, strict=True)
    ]


def _plain(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _algorithm(said: Mapping[str, str]) -> str:
    return said.get("algorithm", "MD5").upper()


def _usable(said: Mapping[str, str]) -> bool:
    qops = _qops(said)
    return bool(said.get("nonce")) and "realm" in said and (not qops or "auth" in qops)


def _qops(said: Mapping[str, str]) -> set[str]:
    return {one.strip().lower() for one in said.get("qop", "").split(",")} - {""}


def _digest(said: Mapping[str, str], algorithm: str, credentials: Credentials, asked: Asked) -> str:
    def hashed(*parts: str) -> str:
        return _HASHES[algorithm](":".join(parts).encode()).hexdigest()

    realm, nonce, count = said["realm"], said["nonce"], "00000001"
    client_nonce, target = asked.client_nonce, asked.target
    secret = hashed(credentials.username, realm, credentials.password)
    if _algorithm(said).endswith("-SESS"):
        secret = hashed(secret, nonce, client_nonce)
    request = hashed(asked.method, target)
    quoted = {"username": credentials.username, "realm": realm, "nonce": nonce, "uri": target}
    plain = {}
    if "algorithm" in said:
        plain["algorithm"] = said["algorithm"]
    if _qops(said):
        quoted["response"] = hashed(secret, nonce, count, client_nonce, "auth", request)
        quoted["cnonce"] = client_nonce
        plain |= {"qop": "auth", "nc": count}
    else:
        quoted["response"] = hashed(secret, nonce, request)
        if _algorithm(said).endswith("-SESS"):
            quoted["cnonce"] = client_nonce
    if "opaque" in said:
        quoted["opaque"] = said["opaque"]
    parts = [f'{name}="{_escaped(value)}"' for name, value in quoted.items()]
    return "Digest " + ", ".join([*parts, *(f"{name}={value}" for name, value in plain.items())])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
