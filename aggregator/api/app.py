"""The application: routers, limits, headers, errors."""

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from aggregator.api import accounts, alarms, commands, devices, documents, doors, events, live, metrics, series, stream
from aggregator.api.campus import Campus
from aggregator.api.envelope import Envelope
from aggregator.api.guard import ANYBODY, Credential, require
from aggregator.api.problems import install

__all__ = ["create_app"]


def create_app(campus: Campus) -> FastAPI:
    """The HTTP interface of one campus."""
    app = FastAPI(title="campus aggregator", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.campus = campus
    install(app)
    app.add_middleware(Envelope)
    for room in (events, devices, stream, live, alarms, doors, commands, documents, series, accounts):
        app.include_router(room.router, prefix="/api/v1")
    app.include_router(metrics.router)

    @app.get("/api/v1/health", dependencies=[require(credential=Credential.NONE)])
    async def health() -> dict[str, object]:
        """Whether the campus works; the only route that asks nobody who they are."""
        return campus.health()

    @app.get("/api/v1/openapi.json", dependencies=[require(*ANYBODY)])
    async def openapi() -> dict[str, object]:
        """This interface, for programs."""
        return get_openapi(title=app.title, version=app.version, routes=app.routes)

    return app
