"""The series in InfluxDB: 2 and 3 by the v2 write API through influxdb-client, 1 by `/write`; read with InfluxQL.

InfluxQL is the one query language that all three understand (in 2 through a DBRP mapping, which `series setup` makes).
A write is durable when it was answered, and idempotent; what was refused as malformed or of another type is given up
and counted, so that one bad field does not stop everything behind it. Everything else is waited out by the projector.
"""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import aiohttp

from aggregator.series.address import InfluxAddress
from aggregator.series.lines import lines
from aggregator.series.points import Point
from aggregator.series.store import Bucket, SeriesUnavailable

log = logging.getLogger(__name__)

LINES_MAX: Final = 5000
TIMEOUT_S: Final = 30.0
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
MEASUREMENTS: Final = ("reading", "event", "outcome")
_REFUSED: Final = frozenset({400, 413, 422})


class _Refused(Exception):
    """These lines will never be taken."""


class Writer(Protocol):
    """How lines get there."""

    async def write(self, text: str) -> None:
        """On return they are on disk there. Raises SeriesUnavailable, or _Refused."""

    async def close(self) -> None:
        """No more."""


class InfluxSeries:
    """Implements SeriesStore. Open it with `open_influx`."""

    def __init__(self, address: InfluxAddress, writer: Writer, session: aiohttp.ClientSession) -> None:
        self._address = address
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
        except _Refused as refused:
            if len(ready) == 1:
                self.refused_lines += 1
                if self.refused_lines == 1:
                    log.warning("the series store refuses a point", extra={"cause": str(refused)[:200]})
                return
            middle = len(ready) // 2
            await self._deliver(ready[:middle])
            await self._deliver(ready[middle:])

    async def clear(self) -> None:
        """See SeriesStore. In version 2 and 3 nothing is deleted: a rebuild writes the same points again."""
        if self._address.version == 1:
            for measurement in MEASUREMENTS:
                await self._query(f'DROP MEASUREMENT "{measurement}"', write=True)

    async def counts(self) -> dict[str, int]:
        """See SeriesStore."""
        counts: dict[str, int] = {}
        for measurement, column in (("reading", "quality"), ("event", "position"), ("outcome", "position")):
            text = f'SELECT count("{column}") FROM "{measurement}"'  # noqa: S608  names of ours
            for series in await self._query(text):
                counts[measurement] = int(series["values"][0][1])
        return counts

    async def curve(self, device: str, resource: str, *, from_ns: int, until_ns: int, buckets: int) -> list[Bucket]:
        """See SeriesStore."""
        if buckets < 1 or from_ns >= until_ns:
            raise ValueError("no such stretch of time")
        step_ns = max(1, -(-(until_ns - from_ns) // buckets))
        where = (
            f'"device" = {_quoted(device)} AND "resource" = {_quoted(resource)} AND "quality" = \'good\''
            f" AND time >= {from_ns} AND time < {until_ns}"
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

    async def setup(self, *, retention_days: int) -> None:
        """Make the database (1) or the bucket with its mapping for InfluxQL (2). Doing it twice is harmless."""
        if self._address.version == 1:
            name = self._address.database.replace('"', "")
            await self._query(
                f'CREATE DATABASE "{name}" WITH DURATION {retention_days}d NAME "campus"', write=True, database=False
            )
            return
        await asyncio.to_thread(_make_bucket, self._address, retention_days)

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


# --- writing --------------------------------------------------------------------------------------------


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
                if answer.status in _REFUSED:
                    raise _Refused((await answer.content.read(400)).decode(errors="replace"))
                if answer.status != 204:
                    raise SeriesUnavailable(f"{address.url}: HTTP {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SeriesUnavailable(f"{address.url}: {error or type(error).__name__}") from error

    async def close(self) -> None:
        """See Writer."""


class V2Writer:
    """The v2 write API, by influxdb-client with ready lines. It blocks, so it has a thread; retries are ours."""

    def __init__(self, address: InfluxAddress) -> None:
        from influxdb_client import InfluxDBClient  # noqa: PLC0415  half a second and 40 MB, for those who use it
        from influxdb_client.client.write_api import SYNCHRONOUS  # noqa: PLC0415

        self._address = address
        self._client = InfluxDBClient(
            address.url, address.secret, org=address.org, enable_gzip=True, timeout=int(TIMEOUT_S * 1000)
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="influx")

    async def write(self, text: str) -> None:
        """See Writer."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, text)

    def _write(self, text: str) -> None:
        from influxdb_client.rest import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            self._api.write(bucket=self._address.database, org=self._address.org, record=text, write_precision="ns")
        except ApiException as error:
            if error.status in _REFUSED:
                raise _Refused(str(error.body)) from None
            raise SeriesUnavailable(f"{self._address.url}: HTTP {error.status}") from error
        except (HTTPError, OSError) as error:
            raise SeriesUnavailable(f"{self._address.url}: {error}") from error

    async def close(self) -> None:
        """See Writer."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._client.close)
        self._thread.shutdown(wait=False)


def _make_bucket(address: InfluxAddress, retention_days: int) -> None:
    from influxdb_client import BucketRetentionRules, InfluxDBClient  # noqa: PLC0415
    from influxdb_client.domain.dbrp_create import DBRPCreate  # noqa: PLC0415
    from influxdb_client.rest import ApiException  # noqa: PLC0415
    from influxdb_client.service.dbr_ps_service import DBRPsService  # noqa: PLC0415

    try:
        with InfluxDBClient(address.url, address.secret, org=address.org) as client:
            buckets = client.buckets_api()
            bucket = buckets.find_bucket_by_name(address.database)
            if bucket is None:
                rule = BucketRetentionRules(type="expire", every_seconds=retention_days * 86_400)
                bucket = buckets.create_bucket(bucket_name=address.database, org=address.org, retention_rules=rule)
            mapping = DBRPCreate(
                org=address.org,
                bucket_id=bucket.id,
                database=address.database,
                retention_policy="campus",
                default=True,
            )
            DBRPsService(client.api_client).post_dbrp(mapping)
    except (ApiException, OSError) as error:
        raise SeriesUnavailable(f"{address.url}: {error}") from error


@asynccontextmanager
async def open_influx(address: InfluxAddress) -> AsyncIterator[InfluxSeries]:
    """The store. Connects with the first write."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        writer: Writer = V1Writer(address, session) if address.version == 1 else V2Writer(address)
        try:
            yield InfluxSeries(address, writer, session)
        finally:
            await writer.close()
