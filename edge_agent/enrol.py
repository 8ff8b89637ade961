"""Joining a campus: the box makes its key, shows the one-time token, and keeps what the campus gives back.

The private key never leaves the box. What comes back is written beside the settings, each secret in a file of its own
with mode 0600: the password for the broker, the campus key for pseudonyms, the campus' public key.
"""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from edge_agent.keys import IdentityKey, KeyFileError
from edge_agent.settings import EdgeSettings
from wire.files import replace_file

TIMEOUT_S: Final = 15.0
ANSWER_BYTES_MAX: Final = 64 * 1024


class EnrolError(Exception):
    """The box could not join. code: the campus' problem code or one of ours; detail: for a person.

    Ours: bad_url, bad_authority, no_password_file, unusable_key, not_written (a file here), unreachable, not_trusted,
    bad_answer, http_<status>.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolFiles:
    """Where things go."""

    identity_key: Path
    campus_key: Path
    campus_public_key: Path
    broker_password: Path


def files_of(settings: EdgeSettings) -> EnrolFiles:
    """Where the settings want the box's secrets. Raises EnrolError when they name no file for the broker's password."""
    if settings.uplink.password_file is None:
        raise EnrolError("no_password_file", "uplink.password_file")
    return EnrolFiles(
        identity_key=settings.identity_key_file,
        campus_key=settings.campus_key_file,
        campus_public_key=settings.campus_public_key_file,
        broker_password=settings.uplink.password_file,
    )


def enrol(
    url: str, token: str, *, edge: str, software: str, files: EnrolFiles, authority: Path | None = None
) -> dict[str, Any]:
    """Enrol box `edge` at the aggregator under url. Returns its answer without the secrets. Raises EnrolError.

    authority: whose certificates to trust where url is https, absent the machine's own.
    """
    if not _is_address(url):
        raise EnrolError("bad_url", url)
    trust = _trust(authority)
    key = _own_key(files.identity_key)
    answer = _post(
        f"{url.rstrip('/')}/api/v1/enrol",
        token,
        {"edge": edge, "public_key": key.public_hex(), "software": software},
        trust,
    )
    try:
        broker = answer["broker"]
        replace_file(files.campus_key, answer.pop("campus_key") + "\n")
        replace_file(files.broker_password, broker.pop("password") + "\n")
        replace_file(files.campus_public_key, answer["aggregator_public_key"] + "\n")
    except (KeyError, TypeError, AttributeError) as error:
        raise EnrolError("bad_answer", f"the campus answered without {error}") from None
    except OSError as error:
        raise EnrolError("not_written", _told(error)) from None
    return answer


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _own_key(path: Path) -> IdentityKey:
    """Before the token is shown: a box that cannot keep a key must not use it up."""
    try:
        return IdentityKey.load(path) if path.exists() else IdentityKey.create(path)
    except KeyFileError as error:
        raise EnrolError("unusable_key", str(error)) from None
    except OSError as error:
        raise EnrolError("not_written", _told(error)) from None


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _trust(authority: Path | None) -> ssl.SSLContext | None:
    try:
        return None if authority is None else ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise EnrolError("bad_authority", f"{authority}: {error.strerror or error}") from None


def _post(url: str, token: str, body: dict[str, str], trust: ssl.SSLContext | None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  the scheme is checked by the caller
        url,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=trust) as response:  # noqa: S310  see above
            text = response.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        raise _refusal(error) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise EnrolError("not_trusted", error.reason.verify_message) from None
        raise EnrolError(
            "unreachable", _told(error.reason) if isinstance(error.reason, OSError) else str(error.reason)
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise EnrolError("unreachable", str(error)) from None
    try:
        answer = json.loads(text)
    except ValueError:
        raise EnrolError("bad_answer", "not JSON") from None
    if not isinstance(answer, dict):
        raise EnrolError("bad_answer", "not an object")
    return answer


def _refusal(error: urllib.error.HTTPError) -> EnrolError:
    try:
        problem = json.loads(error.read(ANSWER_BYTES_MAX))
        return EnrolError(str(problem["code"]), str(problem.get("detail") or problem.get("title") or error.reason))
    except (ValueError, KeyError, TypeError, AttributeError):
        return EnrolError(f"http_{error.code}", str(error.reason))
