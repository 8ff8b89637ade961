"""The application: routers, limits, headers, errors."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from aggregator.accounts import Role
from aggregator.api import accounts, devices, events, stream
from aggregator.api.campus import Campus
from aggregator.api.guard import ANYBODY, Credential, require
from aggregator.api.problems import Problem, install

BODY_BYTES_MAX: Final = 1024 * 1024
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-store",
}

__all__ = ["Role", "create_app"]


def create_app(campus: Campus) -> FastAPI:
    """The HTTP interface of one campus."""
    app = FastAPI(title="campus aggregator", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.campus = campus
    install(app)
    for router in (events.router, devices.router, stream.router, accounts.router):
        app.include_router(router, prefix="/api/v1")

    @app.get("/api/v1/health", dependencies=[require(credential=Credential.NONE)])
    async def health() -> dict[str, object]:
        """Whether the campus works; the only route that asks nobody who they are."""
        return campus.health()

    @app.get("/api/v1/openapi.json", dependencies=[require(*ANYBODY)])
    async def openapi() -> dict[str, object]:
        """This interface, for programs."""
        return get_openapi(title=app.title, version=app.version, routes=app.routes)

    @app.middleware("http")
    async def guard_size_and_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        length = request.headers.get("content-length", "0")
        chunked = "transfer-encoding" in request.headers
        if chunked or not length.isdigit() or int(length) > BODY_BYTES_MAX:
            response = Problem(413, "too_large", {"limit": BODY_BYTES_MAX}).response()
        else:
            response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return app
