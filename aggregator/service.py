"""The API of a running aggregator, as our own commands call it: beside it on the same machine, or by its address."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

PATH: Final = "/api/v1"
TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024


class ServiceUnreachable(Exception):
    """Nobody answers, or not as we do; the text says why. Whether something that was sent arrived is not known."""


class NotRunning(ServiceUnreachable):
    """No service of this campus runs on this machine; the text is the file that would be there."""


class ServiceRefused(Exception):
    """An answer that is a problem. code and params as in the API."""

    def __init__(self, status: int, code: str, params: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.params = params

    @property
    def about_the_caller(self) -> bool:
        """Whether it is refused because of who asks."""
        return self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Service:
    """base: `http://127.0.0.1:8000`. token: of an account; empty for what anybody may ask. Prints without it.

    tls: whom to trust where base is HTTPS, absent the machine's authorities.
    """

    base: str
    token: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    def get(self, *parts: str, **query: str | int) -> dict[str, Any]:
        """Raises ServiceUnreachable, ServiceRefused."""
        return self._call(parts, "GET", query=_query(query))

    def post(self, *parts: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Raises ServiceUnreachable, ServiceRefused."""
        return self._call(parts, "POST", data=json.dumps(body).encode(), headers=headers)

    def stream(self, *parts: str, silent_s: float, **query: str | int) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, data) of server-sent events until the stream ends; the name is `message` where none is given.

        silent_s: a stream that says nothing for so long, be it that there is nothing, is lost. Raises as get does.
        """
        request = self._request(parts, "GET", query=_query(query))
        with _failures_told(), self._open(request, silent_s) as response:
            name = "message"
            for line in response:
                key, _, value = line.rstrip(b"\r\n").partition(b": ")
                if key == b"event":
                    name = value.decode()
                elif key == b"data":
                    yield name, _document(value)
                elif not key:
                    name = "message"

    def _call(
        self,
        parts: tuple[str, ...],
        method: str,
        *,
        query: str = "",
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        request = self._request(parts, method, query=query, data=data, headers=headers)
        with _failures_told(), self._open(request, TIMEOUT_S) as response:
            return _document(response.read(ANSWER_BYTES_MAX))

    def _request(
        self,
        parts: tuple[str, ...],
        method: str,
        *,
        query: str = "",
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib.request.Request:
        path = "/".join((PATH, *(quote(part, safe="") for part in parts)))
        request = urllib.request.Request(f"{self.base}{path}{'?' if query else ''}{query}", data, method=method)  # noqa: S310  the operator's own address
        for name, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            request.add_header(name, value)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        return request

    def _open(self, request: urllib.request.Request, timeout_s: float) -> HTTPResponse:
        # Ours is never behind a proxy, whatever the environment says for the rest of the world.
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)]
        direct = urllib.request.build_opener(*handlers)
        response: HTTPResponse = direct.open(request, timeout=timeout_s)
        return response


@contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error.code, error.read(ANSWER_BYTES_MAX)) from None
    except (OSError, ValueError, HTTPException) as error:
        raise ServiceUnreachable(str(getattr(error, "reason", error) or type(error).__name__)) from None


def running(run_file: Path, token: str = "") -> Service:
    """The service of a campus on this machine, as it says itself. Raises ServiceUnreachable when it does not run.

    Its certificate is for its name and we come over its address, so that very certificate is what is trusted here.
    """
    if not run_file.exists():
        raise NotRunning(str(run_file))
    try:
        said = json.loads(run_file.read_text(encoding="utf-8"))
        host = f"[{said['host']}]" if ":" in said["host"] else said["host"]
        certificate = said.get("certificate")
        if certificate is None:
            return Service(f"http://{host}:{said['http']}", token)
        return Service(f"https://{host}:{said['http']}", token, _pinned(certificate))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServiceUnreachable(str(error)) from None


def trusting(authority: Path) -> ssl.SSLContext:
    """For a campus with an authority of its own. Raises OSError when the file cannot be used."""
    return ssl.create_default_context(cafile=authority)


def _pinned(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _query(query: Mapping[str, str | int]) -> str:
    return urlencode({name: value for name, value in query.items() if value != ""})


def _document(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("not an answer of ours")  # noqa: TRY004  told like any other that is not
    return document


def _refused(status: int, body: bytes) -> ServiceRefused:
    try:
        problem = _document(body)
    except ValueError:
        problem = {}
    return ServiceRefused(status, str(problem.get("code", f"http_{status}")), dict(problem.get("params") or {}))
