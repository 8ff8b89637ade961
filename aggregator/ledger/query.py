"""Pages of the ledger: filters in, SQL out. Always in order of position, always along an index.

- One filter leads and picks the index; the others are written so that they only test the rows it gives.
- The first segments of a topic stand for a list of topics, since the table of topics is closed. Each topic gives at
  most one page along its own index, and the pages are merged.
- A span of time does not sort like positions do (records arrive late), so it is first turned into the span of
  positions that holds all its rows (`occurred_hours`), and the rows are then tested.
"""

from typing import Final, NamedTuple

from aggregator.ledger.plan import HOUR_NS
from aggregator.ledger.rows import INTEGER_MAX, Filter, LedgerRow
from wire.topics import TOPICS

PAGE_MAX: Final = 1000

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
    leader = given[0] if given else ""
    parameters: Parameters = {"first": span.first, "last": span.last, "limit": min(max(limit, 1), PAGE_MAX)}
    tests = ["position >= :first", "position <= :last"]
    for name in given:
        if name == "topic":
            continue
        parameters[name] = int(wanted.historical or 0) if name == "historical" else getattr(wanted, name)
        tests.append(_test(name, leads=name == leader, value=parameters[name]))
    if wanted.since_ns is not None:
        tests.append("occurred_ns >= :since_ns")
        parameters["since_ns"] = wanted.since_ns
    if wanted.until_ns is not None:
        tests.append("occurred_ns < :until_ns")
        parameters["until_ns"] = wanted.until_ns
    names = [f"topic_{index}" for index in range(len(topics))]
    parameters.update(zip(names, topics, strict=True))
    order = "DESC" if descending else "ASC"
    if leader == "topic" and len(topics) == 1:
        return _select(["topic = :topic_0", *tests], order), parameters
    if leader == "topic":
        pages = [f"SELECT * FROM ({_select([f'topic = :{name}', *tests], order)}) AS {name}" for name in names]  # noqa: S608  names of parameters, never values
        return f"{' UNION ALL '.join(pages)} ORDER BY position {order} LIMIT :limit", parameters
    if wanted.topic is not None:
        tests.append(f"coalesce(topic, '') IN ({', '.join(f':{name}' for name in names)})")
    return _select(tests, order), parameters


def _test(name: str, *, leads: bool, value: object) -> str:
    if name == "historical":
        # A literal, because the partial index is only considered when the text of the query implies its condition.
        return "historical = 1" if value and leads else f"coalesce(historical, 0) = {value}"
    # coalesce keeps the planner from taking the index of a filter that does not lead.
    return f"{name} = :{name}" if leads else f"coalesce({name}, '') = :{name}"


def _select(tests: list[str], order: str) -> str:
    return f"SELECT * FROM ledger WHERE {' AND '.join(tests)} ORDER BY position {order} LIMIT :limit"  # noqa: S608  fixed texts


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
