"""The series in SQLite, for a campus that installs nothing else.

Every point stands as it came. In the same transaction each minute that is touched is made anew from its points, and
each hour from its minutes, so that a late or repeated point is counted like any other. A query takes the coarsest of
the three that is still finer than what it was asked for, and what is still kept where that is gone.

Retention, in whole hours: points 30 days, minutes a year, hours ten. A point that comes when the others of its stretch
are gone (a box that was away for a month) is added to the stretch instead, unless it stands there already.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeVar

from aggregator.series.points import Point
from aggregator.series.store import Bucket, SeriesUnavailable
from aggregator.storage import Database, Statements, StorageError
from wire.clock import NS_PER_S

T = TypeVar("T")

SQL: Final = Statements.load("aggregator.series")
_PUT, _OF_POINT = SQL.in_order("put")
_IN_ORDER: Final = itemgetter(*_OF_POINT)

MINUTE_S: Final = 60
HOUR_S: Final = 3600
WIDTHS_S: Final = (MINUTE_S, HOUR_S)
HOUR_NS: Final = HOUR_S * NS_PER_S
DAY_NS: Final = 24 * HOUR_NS
KEEP_NS: Final[Mapping[int, int]] = {0: 30 * DAY_NS, MINUTE_S: 366 * DAY_NS, HOUR_S: 3660 * DAY_NS}
BUCKETS_MAX: Final = 5000
# Of one transaction; the next write waits for it.
DROPPED_MAX: Final = 5000

_LABEL: Final[Mapping[str, str]] = {"reading": "resource", "event": "topic", "outcome": "result"}


class EmbeddedSeries:
    """Implements SeriesStore on `series.sqlite`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._curves: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}

    async def write(self, points: Sequence[Point]) -> None:
        """See SeriesStore."""
        await self._write(lambda connection: self._put(connection, points))

    async def clear(self) -> None:
        """See SeriesStore."""

        def clear(connection: sqlite3.Connection) -> None:
            for statement in ("clear_points", "clear_rollups", "clear_horizons"):
                connection.execute(SQL[statement])

        await self._write(clear)

    async def counts(self) -> dict[str, int]:
        """See SeriesStore."""
        return {row["measurement"]: row["n"] for row in await self._fetch("counts", {})}

    async def curve(self, device: str, resource: str, *, from_ns: int, until_ns: int, buckets: int) -> list[Bucket]:
        """See SeriesStore. Edges of the stretches lie on multiples of their length."""
        if not 0 < buckets <= BUCKETS_MAX or from_ns >= until_ns:
            raise ValueError("no such stretch of time")
        step_ns = max(1, -(-(until_ns - from_ns) // buckets))
        width_s = next((width for width in reversed(WIDTHS_S) if width * NS_PER_S <= step_ns), 0)
        gone = {row["width_s"]: row["before_ns"] for row in await self._fetch("horizons", {})}
        parts = list(_parts(from_ns, until_ns, width_s, gone))
        known = await self._fetch("curve_of", {"measurement": "reading", "device": device, "label": resource})
        pieces: list[Bucket] = []
        for row in known:
            for width, begin_ns, end_ns in parts:
                pieces += await self._pieces(row["id"], width, begin_ns, end_ns)
        return list(_joined(sorted(pieces, key=lambda one: one.start_ns), from_ns, step_ns))

    async def expire(self, now_ns: int) -> None:
        """See SeriesStore."""
        before_ns = {width_s: (now_ns - keep_ns) // HOUR_NS * HOUR_NS for width_s, keep_ns in KEEP_NS.items()}

        def forget(connection: sqlite3.Connection) -> None:
            for width_s, before in before_ns.items():
                connection.execute(SQL["set_horizon"], {"width_s": width_s, "before_ns": before})

        # First, so that a late point is never made into a stretch of which half the points are gone.
        await self._write(forget)
        for row in await self._fetch("curves", {}):
            while await self._drop(row["id"], before_ns) == DROPPED_MAX:
                pass

    async def _drop(self, curve: int, before_ns: Mapping[int, int]) -> int:
        def drop(connection: sqlite3.Connection) -> int:
            for width_s in WIDTHS_S:
                old = {"curve": curve, "width_s": width_s, "before_ns": before_ns[width_s]}
                connection.execute(SQL["drop_rollups"], old)
            points = {"curve": curve, "before_ns": before_ns[0], "rows": DROPPED_MAX}
            return connection.execute(SQL["drop_points"], points).rowcount

        return await self._write(drop)

    # --- inside ---------------------------------------------------------------------------------------

    def _put(self, connection: sqlite3.Connection, points: Sequence[Point]) -> None:
        gone = {row["width_s"]: row["before_ns"] for row in connection.execute(SQL["horizons"])}
        touched: set[tuple[int, int, int]] = set()
        puts: list[dict[str, Any]] = []
        for point in points:
            params = self._params(connection, point)
            if point.time_ns < gone.get(0, 0):
                # It is held against what is there, and the points before it are.
                connection.executemany(_PUT, map(_IN_ORDER, puts))
                puts.clear()
                self._add(connection, params, _stretches(params))
            elif params["value"] is not None:
                touched.update(_stretches(params))
            puts.append(params)
        connection.executemany(_PUT, map(_IN_ORDER, puts))
        for width_s, statement in ((MINUTE_S, "roll_points"), (HOUR_S, "roll_stretches")):
            spans = [_span(*stretch) for stretch in sorted(touched) if stretch[1] == width_s]
            connection.executemany(SQL[statement], spans)

    def _add(
        self, connection: sqlite3.Connection, params: Mapping[str, Any], stretches: Sequence[tuple[int, int, int]]
    ) -> None:
        """A point whose neighbours are gone."""
        good = params["value"] is not None and params["quality"] == "good"
        if good and connection.execute(SQL["has_point"], params).fetchone() is None:
            for _, width_s, start_ns in stretches:
                connection.execute(SQL["add_to_stretch"], {**params, "width_s": width_s, "start_ns": start_ns})

    def _params(self, connection: sqlite3.Connection, point: Point) -> dict[str, Any]:
        value = point.fields.get("value", point.fields.get("flag"))
        return {
            "curve": self._curve(connection, point),
            "time_ns": point.time_ns,
            "value": None if value is None or isinstance(value, str) else float(value),
            "text": point.fields.get("text"),
            "quality": point.fields.get("quality", ""),
        }

    def _curve(self, connection: sqlite3.Connection, point: Point) -> int:
        known = (point.measurement, point.tags)
        found = self._curves.get(known)
        if found is None:
            tags = dict(point.tags)
            name = (point.measurement, tags["campus"], tags["device"], tags[_LABEL[point.measurement]])
            params = dict(zip(("measurement", "campus", "device", "label"), name, strict=True))
            connection.execute(SQL["add_curve"], params)
            found = int(connection.execute(SQL["curve"], params).fetchone()[0])
            self._curves[known] = found
        return found

    async def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._db.write(function)
        except BaseException as error:
            # What was rolled back took its new names with it.
            self._curves.clear()
            if isinstance(error, sqlite3.OperationalError | StorageError):
                raise SeriesUnavailable(str(error)) from error
            raise

    async def _pieces(self, curve: int, width_s: int, from_ns: int, until_ns: int) -> list[Bucket]:
        span = {"curve": curve, "from_ns": from_ns, "until_ns": until_ns}
        if not width_s:
            return [_single(row) for row in await self._fetch("raw", span)]
        stretches = {**span, "width_s": width_s, "from_ns": _start(from_ns, width_s)}
        return [_piece(row) for row in await self._fetch("rolled", stretches)]

    async def _fetch(self, statement: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
        try:
            async with self._db.read() as connection, connection.execute(SQL[statement], dict(params)) as cursor:
                return [dict(row) for row in await cursor.fetchall()]
        except (sqlite3.OperationalError, StorageError) as error:
            raise SeriesUnavailable(str(error)) from error


def _stretches(params: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    return [(params["curve"], width_s, _start(params["time_ns"], width_s)) for width_s in WIDTHS_S]


def _span(curve: int, width_s: int, start_ns: int) -> dict[str, int]:
    end_ns = start_ns + width_s * NS_PER_S
    return {"curve": curve, "width_s": width_s, "from_width_s": MINUTE_S, "start_ns": start_ns, "end_ns": end_ns}


def _start(time_ns: int, width_s: int) -> int:
    return time_ns // (width_s * NS_PER_S) * width_s * NS_PER_S


def _parts(from_ns: int, until_ns: int, width_s: int, gone: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    """(width, from, until): the wanted width as far back as it is kept, before that the next coarser one."""
    for width in (0, *WIDTHS_S):
        begin_ns = max(from_ns, gone.get(width, 0))
        if width >= width_s and begin_ns < until_ns:
            yield width, begin_ns, until_ns
            until_ns = begin_ns


def _single(row: Mapping[str, Any]) -> Bucket:
    value = float(row["value"])
    return Bucket(row["time_ns"], 1, value, value, value, value, value)


def _piece(row: Mapping[str, Any]) -> Bucket:
    return Bucket(
        row["start_ns"], row["n"], row["minimum"], row["maximum"], row["total"] / row["n"], row["first"], row["last"]
    )


def _joined(pieces: Iterable[Bucket], from_ns: int, step_ns: int) -> Iterable[Bucket]:
    """Pieces in order of time, put together into stretches of step_ns."""
    open_at, held = 0, list[Bucket]()
    for piece in pieces:
        start_ns = from_ns + max(0, piece.start_ns - from_ns) // step_ns * step_ns
        if held and start_ns != open_at:
            yield _one(open_at, held)
            held = []
        open_at = start_ns
        held.append(piece)
    if held:
        yield _one(open_at, held)


def _one(start_ns: int, pieces: Sequence[Bucket]) -> Bucket:
    count = sum(piece.count for piece in pieces)
    return Bucket(
        start_ns,
        count,
        min(piece.minimum for piece in pieces),
        max(piece.maximum for piece in pieces),
        sum(piece.mean * piece.count for piece in pieces) / count,
        pieces[0].first,
        pieces[-1].last,
    )
