"""The series in InfluxDB: 2 and 3 by the v2 write API through influxdb-client, 1 by `/write`; read with InfluxQL.

InfluxQL is the one query language that all three understand (in 2 through a DBRP mapping, which `series setup` makes).
A write is durable when it was answered, and idempotent; what was refused as malformed or of another type is given up
and counted, so that one bad field does not stop everything behind it. What is older than the store keeps is gone there
anyway. Everything else is waited out by the projector.

Many campuses may share one database: everything is written, read and cleared by the tag `campus`.
"""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from aggregator.series.address import REFUSED, InfluxAddress, PointsRefused, Writer
from aggregator.series.lines import lines
from aggregator.series.points import Point
from aggregator.series.store import Bucket, SeriesUnavailable

log = logging.getLogger(__name__)

LINES_MAX: Final = 5000
TIMEOUT_S: Final = 30.0
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
MEASUREMENTS: Final = ("reading", "event", "outcome")
# What the server says when the other points of a write were taken and these are older than its retention.
_TOO_OLD: Final = "beyond retention policy"


class InfluxSeries:
    """Implements SeriesStore. Open it with `open_influx`."""

    def __init__(self, address: InfluxAddress, writer: Writer, session: aiohttp.ClientSession, *, campus: str) -> None:
        self._address = address
        self._campus = campus
        self._writer = writer
        self._session = session
        self.refused_lines = 0

    async def write(self, points: Sequence[Point]) -> None:
        """See SeriesStore."""
        ready = lines(points)
        for at in range(0, len(ready), LINES_MAX):
            await self._deliver(ready[at : at + LINES_MAX])

    async def _deliver(self, ready: Sequence[str]) -> None:
        try:
            await self._writer.write("\n".join(ready))
        except PointsRefused as refused:
            if _TOO_OLD in str(refused):
                return
            if len(ready) == 1:
                self.refused_lines += 1
                if self.refused_lines == 1:
                    log.warning("the series store refuses a point", extra={"cause": str(refused)[:200]})
                return
            middle = len(ready) // 2
            await self._deliver(ready[:middle])
            await self._deliver(ready[middle:])

    async def clear(self) -> None:
        """See SeriesStore. Where nothing can be deleted, a rebuild writes the same points again, over themselves."""
        if self._address.version == 1:
            for measurement in MEASUREMENTS:
                await self._query(f'DROP SERIES FROM "{measurement}" WHERE {self._ours()}', write=True)
        else:
            from aggregator.series.influx_v2 import delete_points  # noqa: PLC0415  see open_influx

            await asyncio.to_thread(delete_points, self._address, self._campus)

    async def counts(self) -> dict[str, int]:
        """See SeriesStore."""
        counts: dict[str, int] = {}
        for measurement, column in (("reading", "quality"), ("event", "position"), ("outcome", "position")):
            text = f'SELECT count("{column}") FROM "{measurement}" WHERE {self._ours()}'  # noqa: S608  names of ours
            for series in await self._query(text):
                counts[measurement] = int(series["values"][0][1])
        return counts

    def _ours(self) -> str:
        return f'"campus" = {_quoted(self._campus)}'

    async def curve(self, device: str, resource: str, *, from_ns: int, until_ns: int, buckets: int) -> list[Bucket]:
        """See SeriesStore."""
        if buckets < 1 or from_ns >= until_ns:
            raise ValueError("no such stretch of time")
        step_ns = max(1, -(-(until_ns - from_ns) // buckets))
        where = (
            f'{self._ours()} AND "device" = {_quoted(device)} AND "resource" = {_quoted(resource)}'
            f" AND \"quality\" = 'good' AND time >= {from_ns} AND time < {until_ns}"
        )
        # The offset lays the stretches on from_ns; without it they begin at multiples of their length.
        wanted = ", ".join(f'{name}("value")' for name in ("count", "min", "max", "mean", "first", "last"))
        grouped = f"time({step_ns}ns, {from_ns % step_ns}ns) fill(none)"
        text = f'SELECT {wanted} FROM "reading" WHERE {where} GROUP BY {grouped}'  # noqa: S608  quoted above
        found = await self._query(text)
        rows = found[0]["values"] if found else []
        return [
            Bucket(int(at), int(n), float(low), float(high), float(mean), float(first), float(last))
            for at, n, low, high, mean, first, last in rows
            if n
        ]

    async def expire(self, now_ns: int) -> None:
        """See SeriesStore: the retention of the database or bucket does it."""
        del now_ns

    async def setup(self, *, retention_days: int) -> None:
        """Make the database (1) or the bucket with its mapping for InfluxQL (2). Again: changes the retention."""
        if self._address.version == 2:
            from aggregator.series.influx_v2 import make_bucket  # noqa: PLC0415  see open_influx

            await asyncio.to_thread(make_bucket, self._address, retention_days)
            return
        name = self._address.database
        await self._query(f'CREATE DATABASE "{name}"', write=True, database=False)
        policies = await self._query(f'SHOW RETENTION POLICIES ON "{name}"', database=False)
        known = {row[0] for row in policies[0].get("values", [])}
        verb, rest = ("ALTER", "") if "campus" in known else ("CREATE", " REPLICATION 1")
        await self._query(
            f'{verb} RETENTION POLICY "campus" ON "{name}" DURATION {retention_days}d{rest} DEFAULT',
            write=True,
            database=False,
        )

    async def _query(self, text: str, *, write: bool = False, database: bool = True) -> list[dict[str, Any]]:
        address = self._address
        params = {"q": text, "epoch": "ns"} | ({"db": address.database} if database else {})
        headers = {"Authorization": f"Token {address.secret}"} if address.version == 2 and address.secret else {}
        auth = (
            aiohttp.BasicAuth(address.username, address.secret) if address.version == 1 and address.username else None
        )
        try:
            async with self._session.request(
                "POST" if write else "GET", f"{address.url}/query", params=params, headers=headers, auth=auth
            ) as answer:
                body = await answer.content.read(BODY_BYTES_MAX)
                if answer.status != 200:
                    raise SeriesUnavailable(f"{address.url}: HTTP {answer.status}: {body[:200]!r}")
            result = json.loads(body)["results"][0]
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError) as error:
            raise SeriesUnavailable(f"{address.url}: {error or type(error).__name__}") from error
        if "error" in result:
            raise SeriesUnavailable(f"{address.url}: {result['error']}")
        series: list[dict[str, Any]] = result.get("series", [])
        return series


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class V1Writer:
    """`/write` of version 1."""

    def __init__(self, address: InfluxAddress, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    async def write(self, text: str) -> None:
        """See Writer."""
        address = self._address
        body = gzip.compress(text.encode(), compresslevel=1)
        auth = aiohttp.BasicAuth(address.username, address.secret) if address.username else None
        try:
            async with self._session.post(
                f"{address.url}/write",
                params={"db": address.database, "precision": "ns"},
                data=body,
                headers={"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"},
                auth=auth,
            ) as answer:
                if answer.status in REFUSED:
                    raise PointsRefused((await answer.content.read(400)).decode(errors="replace"))
                if answer.status != 204:
                    raise SeriesUnavailable(f"{address.url}: HTTP {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SeriesUnavailable(f"{address.url}: {error or type(error).__name__}") from error

    async def close(self) -> None:
        """See Writer."""


@asynccontextmanager
async def open_influx(address: InfluxAddress, *, campus: str) -> AsyncIterator[InfluxSeries]:
    """The store. Connects with the first write. campus: whose points it is about."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        writer: Writer
        if address.version == 1:
            writer = V1Writer(address, session)
        else:
            from aggregator.series.influx_v2 import V2Writer  # noqa: PLC0415  half a second and 40 MB, for those who use it

            writer = V2Writer(address, timeout_s=TIMEOUT_S)
        try:
            yield InfluxSeries(address, writer, session, campus=campus)
        finally:
            await writer.close()
