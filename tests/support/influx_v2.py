"""The API of InfluxDB 2 as far as we use it, in front of a server of version 1, which keeps the points.

Ours, from the published description of the API: it checks that a client sends what that asks for, and answers as it
says. It is no InfluxDB 2; what only a real one would show, it does not show.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.support.influx import Influx

ORG: Final = "school"
ORG_ID: Final = "0a0b0c0d0e0f0001"
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Version2:
    """One server. buckets: name -> seconds of retention; mappings: databases that InfluxQL may read."""

    def __init__(self, influx: Influx, token: str) -> None:
        self._influx = influx
        self._token = token
        self.buckets: dict[str, int] = {}
        self.mappings: set[str] = set()
        self.deletes = True
        self.url = ""
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v2/orgs", self._signed(self._orgs)),
            web.get("/api/v2/buckets", self._signed(self._find_bucket)),
            web.post("/api/v2/buckets", self._signed(self._make_bucket)),
            web.patch("/api/v2/buckets/{id}", self._signed(self._change_bucket)),
            web.get("/api/v2/dbrps", self._signed(self._find_mapping)),
            web.post("/api/v2/dbrps", self._signed(self._make_mapping)),
            web.post("/api/v2/write", self._signed(self._write)),
            web.post("/api/v2/delete", self._signed(self._delete)),
            web.get("/query", self._signed(self._query)),
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Version2"]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(self.routes())
        async with aiohttp.ClientSession() as self._session:
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()

    def _signed(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Token {self._token}":
                return _problem(401, "unauthorized", "unauthorized access")
            return await handler(request)

        return handle

    async def _orgs(self, request: web.Request) -> web.Response:
        known = request.query.get("org", ORG) == ORG
        return web.json_response({"orgs": [{"id": ORG_ID, "name": ORG}] if known else []})

    async def _find_bucket(self, request: web.Request) -> web.Response:
        name = request.query["name"]
        found = [_bucket(name, self.buckets[name])] if name in self.buckets else []
        return web.json_response({"buckets": found})

    async def _make_bucket(self, request: web.Request) -> web.Response:
        asked = await request.json()
        name, (rule,) = asked["name"], asked["retentionRules"]
        if asked.get("orgID") != ORG_ID:
            return _problem(400, "invalid", "organization is required")
        if name in self.buckets:
            return _problem(422, "conflict", f"bucket with name {name} already exists")
        await self._ask(f'CREATE DATABASE "{name}"')
        await self._ask(
            f'CREATE RETENTION POLICY "campus" ON "{name}" DURATION {_seconds(rule)}s REPLICATION 1 DEFAULT'
        )
        self.buckets[name] = _seconds(rule)
        return web.json_response(_bucket(name, self.buckets[name]), status=201)

    async def _change_bucket(self, request: web.Request) -> web.Response:
        (name,) = (one for one in self.buckets if _id(one) == request.match_info["id"])
        (rule,) = (await request.json())["retentionRules"]
        await self._ask(f'ALTER RETENTION POLICY "campus" ON "{name}" DURATION {_seconds(rule)}s')
        self.buckets[name] = _seconds(rule)
        return web.json_response(_bucket(name, self.buckets[name]))

    async def _find_mapping(self, request: web.Request) -> web.Response:
        assert request.query["org"] == ORG
        name = request.query["db"]
        return web.json_response({"content": [_mapping(name)] if name in self.mappings else []})

    async def _make_mapping(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked["org"] == ORG
        assert asked["bucketID"] == _id(asked["database"])
        if asked["database"] in self.mappings:
            return _problem(409, "conflict", "another DBRP mapping with same orgID, db, and rp exists")
        self.mappings.add(asked["database"])
        return web.json_response(_mapping(asked["database"]), status=201)

    async def _write(self, request: web.Request) -> web.Response:
        assert request.query["precision"] == "ns"
        assert request.query["org"] == ORG
        assert request.headers["Content-Encoding"] == "gzip"
        bucket = request.query["bucket"]
        if bucket not in self.buckets:
            return _problem(404, "not found", f'bucket "{bucket}" not found')
        # aiohttp has unpacked it.
        async with self._open.post(
            f"{self._influx.url}/write", params={"db": bucket, "precision": "ns"}, data=await request.read()
        ) as answer:
            if answer.status == 204:
                return web.Response(status=204)
            cause = (await answer.json())["error"]
            return _problem(422 if "beyond retention" in cause else answer.status, "invalid", cause)

    async def _delete(self, request: web.Request) -> web.Response:
        if not self.deletes:
            return _problem(404, "not found", "path not found")
        asked = await request.json()
        assert asked["start"] < asked["stop"]
        name, _, value = asked["predicate"].partition("=")
        await self._ask(f"DROP SERIES WHERE \"{name}\" = '{json.loads(value)}'", db=request.query["bucket"])
        return web.Response(status=204)

    async def _query(self, request: web.Request) -> web.Response:
        if request.query["db"] not in self.mappings:
            return _problem(404, "not found", "no DBRP mapping found")
        async with self._open.get(f"{self._influx.url}/query", params=dict(request.query)) as answer:
            return web.Response(status=answer.status, body=await answer.read())

    async def _ask(self, text: str, **params: str) -> None:
        async with self._open.post(f"{self._influx.url}/query", params={"q": text, **params}) as answer:
            (result,) = (await answer.json())["results"]
            assert "error" not in result, result

    @property
    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session


def _id(name: str) -> str:
    return name.encode().hex()[:16].ljust(16, "0")


def _seconds(rule: dict[str, Any]) -> int:
    assert rule["type"] == "expire"
    seconds: int = rule["everySeconds"]
    return seconds


def _bucket(name: str, seconds: int) -> dict[str, Any]:
    rules = [{"type": "expire", "everySeconds": seconds}]
    return {"id": _id(name), "orgID": ORG_ID, "name": name, "type": "user", "retentionRules": rules}


def _mapping(name: str) -> dict[str, Any]:
    return {
        "id": _id(f"m{name}"),
        "orgID": ORG_ID,
        "bucketID": _id(name),
        "database": name,
        "retention_policy": "campus",
        "default": True,
    }


def _problem(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
