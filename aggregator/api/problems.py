"""Errors as RFC 9457 says: `application/problem+json` with a stable `code` and its `params`, never a sentence to parse.

Nothing of the inside (paths, queries, tracebacks) leaves in an answer.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

MEDIA_TYPE: Final = "application/problem+json"
_CODES: Final = {400: "bad_request", 401: "not_signed_in", 403: "not_allowed", 404: "not_found", 405: "bad_method"}
_encoder = msgspec.json.Encoder()


class Problem(Exception):
    """Raise anywhere under a route. headers: for the answer, such as Retry-After."""

    def __init__(
        self, status: int, code: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.params = dict(params or {})
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "params": self.params,
        }
        return Response(_encoder.encode(body), self.status, self.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error that a route raises on purpose a problem; see envelope for the others."""

    async def problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101  registered for this type only
        return error.response()

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for this type only
        code = _CODES.get(error.status_code, f"http_{error.status_code}")
        return Problem(error.status_code, code, headers=error.headers).response()

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this type only
        # Where and what kind, never what was sent: it may be a password.
        findings = [{"at": [str(part) for part in item["loc"]], "kind": item["type"]} for item in error.errors()]
        return Problem(422, "invalid", {"findings": findings}).response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
