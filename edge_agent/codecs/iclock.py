"""What all of ZKTeco's push protocols share: requests below `/iclock/`, rows of tabs, options, commands.

    GET  /iclock/cdata?SN=…&options=all        "GET OPTION FROM: <SN>" and key=value lines
    POST /iclock/cdata?SN=…&table=…            rows, one a line, cells separated by tabs; "OK" or "OK: <n>"
    GET  /iclock/getrequest?SN=…               "OK", or "C:<id>:<command>" lines
    POST /iclock/devicecmd?SN=…                "ID=…&Return=…&CMD=…" lines; "OK"

Rows are read as bytes: names in them are GB2312 on Chinese firmware, and no row that holds one is ever decoded. Some
firmware writes a slash or `.aspx` behind the path, or the table's name as a first line; so be it.

Not spoken: the encrypted variant (`/iclock/exchange`); the options say so, and terminals then use the plain one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge_agent.codecs import is_token
from edge_agent.codecs.kinds.http_push import Head, HttpAnswer, Pushed, Row, Told, Visit
from edge_agent.message import Discard, Message
from edge_agent.orders import Order, Performed
from wire.clock import NS_PER_S
from wire.records import Scalar

BODY_BYTES_MAX: Final = 1024 * 1024  # "at most 900 KB in one push"
ROWS_MAX: Final = 10_000
CELL_LENGTH_MAX: Final = 64
COMMAND_ID_LENGTH: Final = 16
# No "OK" in it: a terminal keeps what it has sent.
AGAIN: Final = HttpAnswer(503, "TRY AGAIN\n")
OK: Final = HttpAnswer(200, "OK\n")

_PREFIX: Final = "/iclock/"
_QUERY_LENGTH_MAX: Final = 4096
_QUERY_FIELDS_MAX: Final = 64
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\Z", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,15}\Z", re.ASCII)
_ARGUMENT = re.compile(r"[A-Za-z0-9 :.+-]{1,64}\Z")
_RESULT_LINES_MAX: Final = 64


class Call(NamedTuple):
    """A request of a terminal. endpoint: `cdata`, …; keys of the query are in lower case."""

    endpoint: str
    address: str
    query: Mapping[str, str]


def call(head: Head) -> Call | None:
    """None when it is no request of this family. address: empty when the serial number is none."""
    path = head.path
    if not path.startswith(_PREFIX) or len(head.query) > _QUERY_LENGTH_MAX:
        return None
    endpoint = path[len(_PREFIX) :].rstrip("/").removesuffix(".aspx").lower()
    try:
        pairs = parse_qsl(head.query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX)
    except ValueError:
        pairs = []
    query = {name.lower(): value for name, value in pairs}
    serial = query.get("sn", "")
    return Call(endpoint, serial if is_token(serial) else "", query)


def only(kind: str) -> tuple[Row, ...]:
    """A request that says nothing but that the terminal is there."""
    return (Row(Message(kind=kind), b""),)


def refused(reason: str, raw: bytes) -> tuple[Row, ...]:
    """A request that makes no sense as a whole."""
    return (Row(Discard(reason), raw),)


def rows(body: bytes, decode: Callable[[bytes], Message | Discard | None]) -> tuple[Row, ...]:
    """The rows of a body. decode: one row without its line end; None for a row that is none of our business."""
    if body.count(b"\n") > ROWS_MAX:
        return refused("too_many_rows", body)
    found = [Row(content, row) for row in _lines(body) if (content := decode(row)) is not None]
    return tuple(found) or only("empty")


def count_lines(body: bytes) -> int:
    """How many rows a body has, also those that are none of our business."""
    return sum(1 for _ in _lines(body))


def _lines(body: bytes) -> Iterator[bytes]:
    for line in body.split(b"\n"):
        row = line.rstrip(b"\r")
        if row.strip() and row[:6].upper() != b"TABLE=":
            yield row


# --- cells --------------------------------------------------------------------------------------------


def cells(row: bytes) -> list[str] | None:
    """The cells of a row of nothing but short printable ASCII; None for any other."""
    if not row.isascii():
        return None
    found = [cell.strip() for cell in row.decode("ascii").split("\t")]
    return found if all(len(cell) <= CELL_LENGTH_MAX and cell.isprintable() for cell in found) else None


def whole(cell: str) -> int | None:
    """A whole number of at most 15 digits."""
    return int(cell) if _WHOLE.match(cell) else None


def natural(cell: str) -> int | None:
    """A whole number that is not negative."""
    number = whole(cell)
    return number if number is not None and number >= 0 else None


def local_time(cell: str) -> str | None:
    """`2026-09-01 07:55:10`; None for any other text."""
    return cell if _TIME.match(cell) else None


def at(row: Sequence[str], index: int) -> str:
    """A cell; empty when the row is shorter, as it is from older firmware."""
    return row[index] if index < len(row) else ""


def present(fields: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    """Without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


# --- answers ------------------------------------------------------------------------------------------


def options(address: str, values: Mapping[str, str | int]) -> HttpAnswer:
    """What a terminal is told when it says hello."""
    lines = [f"GET OPTION FROM: {address}", *(f"{name}={value}" for name, value in values.items())]
    return HttpAnswer(200, "\n".join(lines) + "\n")


def handed(visit: Visit) -> HttpAnswer:
    """The answer to a poll."""
    return HttpAnswer(200, "\n".join(visit.commands) + "\n") if visit.commands else OK


def offset_of(visit: Visit) -> timedelta:
    """The device's zone against UTC at this moment; 8 h for a zone that nobody knows."""
    try:
        offset = datetime.fromtimestamp(visit.wall_ns // NS_PER_S, UTC).astimezone(ZoneInfo(visit.zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OverflowError, OSError):
        offset = None
    return timedelta(hours=8) if offset is None else offset


def time_zone(visit: Visit) -> int:
    """As the option `TimeZone` wants it: hours, or minutes where the hours are not whole."""
    minutes = int(offset_of(visit).total_seconds()) // 60
    return minutes // 60 if minutes % 60 == 0 else minutes


def time_text(visit: Visit) -> str:
    """`2026-09-01T07:55:10+08:00`."""
    offset = offset_of(visit)
    minutes = int(offset.total_seconds()) // 60
    moment = datetime.fromtimestamp(visit.wall_ns // NS_PER_S, UTC) + offset
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


# --- commands -----------------------------------------------------------------------------------------


def line(command_id: str, text: str) -> str:
    """One command as it is handed out. command_id: at most 16 letters and digits."""
    return f"C:{command_id}:{text}"


def request(order: Order, separator: str, suffix: str = "") -> str | None:
    """The command of an order's steps: the one command they all name, and the arguments in their order.

    separator: between arguments. None when the steps do not name one command, or a value could be read as anything but
    a value: nothing that came from outside can begin a second line or a second argument.
    """
    commands = {str(step.attributes.get("command", "")) for step in order.operations}
    if len(commands) != 1 or "" in commands:
        return None
    arguments = []
    for step in order.operations:
        name = step.attributes.get("argument")
        if name is None:
            continue
        value = str(step.value)
        if isinstance(step.value, bool | float) or not _ARGUMENT.match(value):
            return None
        arguments.append(f"{name}={value}")
    text = " ".join([commands.pop(), separator.join(arguments)]).strip()
    return text + suffix


def results(body: bytes) -> tuple[Row, ...]:
    """What a terminal says to commands: `ID=…&Return=…&CMD=…` lines. Whatever else stands there is passed over."""
    found = []
    for raw in body.split(b"\n", _RESULT_LINES_MAX)[:_RESULT_LINES_MAX]:
        text = raw.strip()
        if not text.isascii() or len(text) > 256:
            continue
        pairs = dict(part.partition("=")[::2] for part in text.decode("ascii").split("&"))
        command_id, code = pairs.get("ID", ""), whole(pairs.get("Return", ""))
        if is_token(command_id) and len(command_id) <= COMMAND_ID_LENGTH and code is not None:
            found.append(Row(Message(kind="command_result", fields={"command_id": command_id, "code": code}), b""))
    return tuple(found) or only("empty")


def told(message: Message) -> Told | None:
    """The end of a command, when message is one. 0 and above is success, below it a reason of the terminal's own."""
    if message.kind != "command_result":
        return None
    code = message.fields["code"]
    good = isinstance(code, int) and code >= 0
    performed = Performed("succeeded") if good else Performed("rejected", f"device_code_{code}")
    return Told(str(message.fields["command_id"]), performed)


def asked(address: str, *, kind: str, purpose: object) -> Pushed:
    """A request without rows."""
    return Pushed(address=address, rows=only(kind), purpose=purpose)
