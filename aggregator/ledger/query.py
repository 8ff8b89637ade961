"""Pages of the ledger: filters in, SQL out. Always in order of position, never by reading all of it.

- One filter leads. The ledger notes in which blocks of BLOCK_ROWS positions there are rows that pass it
  (`ledger_blocks`); only these are read, block after block, and their rows tested. So a page of something rare reads at
  most BLOCK_ROWS rows for each that it shows, and a record costs no index for any filter.
- Of these blocks, one in which another filter has no row is passed over unread. A device that is heard all the time has
  rows in every block, and what it said once in a year is found all the same without reading the year.
- The first segments of a topic stand for a list of topics, since the table of topics is closed. Each topic gives at
  most one page along its own blocks, and the pages are merged.
- A span of time does not sort like positions do (records arrive late), so it is first turned into the span of
  positions that holds all its rows (`occurred_hours`), and the rows are then tested.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final, NamedTuple

from aggregator.ledger.plan import HOUR_NS
from aggregator.ledger.rows import INTEGER_MAX, Filter, LedgerRow
from wire.topics import TOPICS

PAGE_MAX: Final = 1000
# Written into every file there is; never to be changed.
BLOCK_ROWS: Final = 64

Parameters = dict[str, object]

# The order in which filters are tried as leader: the one that gives the fewest rows first.
_LEADERS: Final = ("device_id", "topic", "edge", "kind", "lane", "historical")


class Span(NamedTuple):
    """Positions from first to last, both inclusive."""

    first: int
    last: int


EVERYWHERE: Final = Span(1, INTEGER_MAX)


def topics_under(prefix: str) -> list[str]:
    """All topics equal to prefix or below it."""
    return [topic for topic in TOPICS if topic == prefix or topic.startswith(prefix + "/")]


def hours_of(wanted: Filter) -> Parameters | None:
    """Parameters for `span_of_hours`, or None when the filter names no time."""
    if wanted.since_ns is None and wanted.until_ns is None:
        return None
    last_ns = INTEGER_MAX if wanted.until_ns is None else wanted.until_ns - 1
    return {"first_hour": (wanted.since_ns or 0) // HOUR_NS, "last_hour": last_ns // HOUR_NS}


def narrow(span: Span, beyond: int | None, *, descending: bool) -> Span:
    """What is left of span when a page goes on after position beyond."""
    if beyond is None:
        return span
    return Span(span.first, min(span.last, beyond - 1)) if descending else Span(max(span.first, beyond + 1), span.last)


def page_sql(wanted: Filter, span: Span, *, descending: bool, limit: int) -> tuple[str, Parameters]:
    """The statement of one page and its parameters."""
    topics = [] if wanted.topic is None else topics_under(wanted.topic)
    given = [name for name in _LEADERS if getattr(wanted, name) is not None]
    # What is not historical is almost everything.
    leader = next((name for name in given if name != "historical" or wanted.historical), "")
    parameters: Parameters = {"first": span.first, "last": span.last, "limit": min(max(limit, 1), PAGE_MAX)}
    tests = []
    for name in given:
        if name != "topic":
            parameters[name] = _text(getattr(wanted, name))
            tests.append(f"{_column(name)} = :{name}")
    if wanted.since_ns is not None:
        tests.append("occurred_ns >= :since_ns")
        parameters["since_ns"] = wanted.since_ns
    if wanted.until_ns is not None:
        tests.append("occurred_ns < :until_ns")
        parameters["until_ns"] = wanted.until_ns
    names = [f"topic_{index}" for index in range(len(topics))]
    parameters.update(zip(names, topics, strict=True))
    any_topic = ", ".join(f":{name}" for name in names)
    # What is noted of blocks beside the leader.
    noted = [
        _block_has(name, any_topic if name == "topic" else f":{name}")
        for name in given
        if name != leader and (name != "historical" or wanted.historical)
    ]
    order = "DESC" if descending else "ASC"
    if leader:
        parameters |= {"first_block": span.first // BLOCK_ROWS, "last_block": span.last // BLOCK_ROWS}
    if leader == "topic":
        tests += noted
        pages = [_along_blocks("topic", name, [f"{_column('topic')} = :{name}", *tests], order) for name in names]
        if len(pages) == 1:
            return pages[0], parameters
        named = zip(names, pages, strict=True)
        merged = " UNION ALL ".join(f"SELECT * FROM ({page}) AS {name}" for name, page in named)  # noqa: S608  names of parameters, never values
        return f"{merged} ORDER BY position {order} LIMIT :limit", parameters
    if wanted.topic is not None:
        tests.append(f"{_column('topic')} IN ({any_topic})")
    if leader:
        return _along_blocks(leader, leader, [*tests, *noted], order), parameters
    return _everywhere(tests, order), parameters


def _text(value: object) -> str:
    """The value of a filter as it stands in a block."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _column(name: str) -> str:
    # No bare column, so that the planner takes no index that serves something else. Compared as it stands in a block.
    return "CAST(historical AS TEXT)" if name == "historical" else f"coalesce({name}, '')"


def _block_has(name: str, values: str) -> str:
    # Depends on the block alone, so it is asked once for each and before any of its rows is read.
    return (
        f"EXISTS (SELECT 1 FROM ledger_blocks AS beside WHERE beside.filter = '{name}'"  # noqa: S608  fixed texts
        f" AND beside.value IN ({values}) AND beside.block = ledger_blocks.block)"
    )


def _everywhere(tests: list[str], order: str) -> str:
    where = " AND ".join(["position >= :first", "position <= :last", *tests])
    return f"SELECT * FROM ledger WHERE {where} ORDER BY position {order} LIMIT :limit"  # noqa: S608  fixed texts


def _along_blocks(leader: str, parameter: str, tests: list[str], order: str) -> str:
    # CROSS JOIN: the blocks first. Block and position in the order of both are in the order of position.
    where = " AND ".join(
        [
            f"filter = '{leader}' AND value = :{parameter} AND block >= :first_block AND block <= :last_block",
            f"position >= block * {BLOCK_ROWS} AND position < (block + 1) * {BLOCK_ROWS}",
            "coalesce(position, 0) >= :first AND coalesce(position, 0) <= :last",
            *tests,
        ]
    )
    return (
        f"SELECT ledger.* FROM ledger_blocks CROSS JOIN ledger WHERE {where}"  # noqa: S608  fixed texts
        f" ORDER BY block {order}, position {order} LIMIT :limit"
    )


def blocks_of(rows: Iterable[LedgerRow]) -> list[tuple[str, str, int]]:
    """(filter, value, block) of all filters that rows pass, each once. Nobody asks for what is not historical alone."""
    found = []
    for block, together in groupby(rows, key=lambda row: row.position // BLOCK_ROWS):
        inside = list(together)
        values = {
            "device_id": {row.device_id for row in inside},
            "topic": {row.topic for row in inside},
            "edge": {row.edge for row in inside},
            "kind": {row.kind for row in inside},
            "lane": {row.lane.value for row in inside},
            "historical": {_text(row.historical) for row in inside if row.historical},
        }
        found += [(name, value, block) for name, of_name in values.items() for value in sorted(of_name)]
    return found


def matches(row: LedgerRow, wanted: Filter) -> bool:
    """Whether a row passes; what the SQL above means."""
    return (
        (wanted.device_id is None or row.device_id == wanted.device_id)
        and (wanted.edge is None or row.edge == wanted.edge)
        and (wanted.topic is None or row.topic in topics_under(wanted.topic))
        and (wanted.lane is None or row.lane == wanted.lane)
        and (wanted.kind is None or row.kind == wanted.kind)
        and (wanted.since_ns is None or row.occurred_ns >= wanted.since_ns)
        and (wanted.until_ns is None or row.occurred_ns < wanted.until_ns)
        and (wanted.historical is None or row.historical == wanted.historical)
    )
