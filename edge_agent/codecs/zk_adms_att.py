"""ZKTeco attendance push (ADMS, PUSH 2.4): the terminal is an HTTP client and sends its attendance rows.

Spoken here: the handshake with its options, ATTLOG (who, when, in or out, how) and, of OPERLOG, the OPLOG rows (door,
alarm, duress, power). A row stays in the terminal until the answer says `OK: <n>`; any other answer makes it send the
rows again, unchanged. Rows have no number of their own, so each carries what is the same in every sending (`sameness`).

    Pin <tab> Time <tab> Status <tab> Verify <tab> Workcode <tab> Reserved …
    OPLOG Type <tab> Operator <tab> Time <tab> V1 <tab> V2 <tab> V3 <tab> V4

Not ours to know, and never decoded: the other rows of OPERLOG (USER with its name and password, FP, FACE, USERPIC,
BIOPHOTO) and the bodies of every other table (ATTPHOTO, BIODATA, FINGERTMP, IDCARD, …). The options ask the terminal
not to send them; a terminal that does it anyway is told OK, because it would come back with them for ever.

Source: ZKTeco "考勤 PUSH 通讯协议", PUSH 2.4.2 (document 5.8), corrected against servers in use.
"""

from typing import Final

from edge_agent.codecs import iclock, is_token
from edge_agent.codecs.kinds.http_push import Head, HttpAnswer, HttpOrders, HttpPushCodec, Pushed, Row, Visit
from edge_agent.message import Discard, Holder, Message, RawCredential, Secret
from edge_agent.orders import Order
from wire.records import CredentialKind, Scalar

# Often enough for a command under a lease of ten seconds; a box answers a few hundred polls a second.
POLL_S: Final = 4
RETRY_S: Final = 30

_ROWS: Final = frozenset({"ATTLOG", "OPERLOG"})
_SKIPPED: Final = (b"USER", b"FP", b"FACE", b"USERPIC", b"BIOPHOTO", b"BIODATA", b"USERVF", b"PIC", b"FVEIN")
_ATTLOG_CELLS_MIN: Final = 4
_OPLOG_CELLS_MIN: Final = 4
_MASK_CELL: Final = 7
_TEMPERATURES: Final = (30.0, 45.0)
# OPLOG types whose first value is the reason of an alarm. That of others may be a person's number.
_ALARMS: Final = frozenset({3, 55})

_CREDENTIALS: Final = {
    1: CredentialKind.FINGERPRINT,
    2: CredentialKind.PIN,
    3: CredentialKind.PIN,
    4: CredentialKind.CARD,
    15: CredentialKind.FACE,
}


def keeps_body(head: Head) -> bool:
    """Whether anything in the body is ours to know."""
    call = iclock.call(head)
    if call is None or head.method != "POST":
        return False
    return call.endpoint == "devicecmd" or (call.endpoint == "cdata" and _table(call) in _ROWS)


def decode(head: Head, body: bytes) -> Pushed | None:
    """One request. Never raises."""
    call = iclock.call(head)
    if call is None:
        return None
    match head.method, call.endpoint:
        case "GET", "cdata":
            return iclock.asked(call.address, kind="hello", purpose="hello")
        case "POST", "cdata":
            rows = _rows(_table(call), body)
            return Pushed(address=call.address, rows=rows, purpose=iclock.count_lines(body))
        case "GET", "getrequest":
            return Pushed(address=call.address, rows=iclock.only("poll"), purpose="poll", polls=True)
        case "POST", "devicecmd":
            return Pushed(address=call.address, rows=iclock.results(body), purpose="results")
        case "GET", "ping":
            return iclock.asked(call.address, kind="poll", purpose="ping")
        case _:
            return None


def answer(pushed: Pushed, visit: Visit) -> HttpAnswer:
    """What the terminal is told."""
    if not visit.taken:
        return iclock.AGAIN
    match pushed.purpose:
        case "hello":
            return iclock.options(pushed.address, _options(visit))
        case "poll":
            return iclock.handed(visit)
        case int(lines) if lines:
            return HttpAnswer(200, f"OK: {lines}\n")
        case _:
            return iclock.OK


def _table(call: iclock.Call) -> str:
    return call.query.get("table", "").upper()


def _options(visit: Visit) -> dict[str, str | int]:
    # A stamp of 9999 is "go on from your own mark"; 0 would have it send everything again.
    stamps = ("ATTLOGStamp", "OPERLOGStamp", "ATTPHOTOStamp", "BIODATAStamp", "IDCARDStamp", "ERRORLOGStamp")
    return {
        **dict.fromkeys(stamps, "9999"),
        "ErrorDelay": RETRY_S,
        "Delay": POLL_S,
        "TransTimes": "00:00;12:00",
        "TransInterval": 1,
        # AttLog and OpLog; no photos, no templates, no users.
        "TransFlag": "110000000000",
        "TimeZone": iclock.time_zone(visit),
        "Realtime": 1,
        "Encrypt": 0,
        # The last version without encryption.
        "PushProtVer": "2.3.0",
    }


# --- rows ---------------------------------------------------------------------------------------------


def _rows(table: str, body: bytes) -> tuple[Row, ...]:
    match table:
        case "ATTLOG":
            return iclock.rows(body, _attlog)
        case "OPERLOG":
            return iclock.rows(body, _operlog)
        case _:
            return iclock.only("skipped")


def _attlog(row: bytes) -> Message | Discard:
    cells = iclock.cells(row)
    if cells is None:
        return Discard("not_text")
    if len(cells) < _ATTLOG_CELLS_MIN:
        return Discard("short_row")
    pin, time, status, verify = (
        cells[0],
        iclock.local_time(cells[1]),
        iclock.natural(cells[2]),
        iclock.natural(cells[3]),
    )
    if not is_token(pin) or time is None or status is None or verify is None:
        return Discard("bad_row")
    fields: dict[str, Scalar | None] = {
        "status": status,
        "verify": verify,
        "work_code": iclock.natural(iclock.at(cells, 4)) or None,
        "mask": iclock.natural(iclock.at(cells, _MASK_CELL)),
        "temperature": _temperature(iclock.at(cells, _MASK_CELL + 1)),
    }
    return Message(
        kind="attlog",
        fields=iclock.present(fields),
        # What stands behind the work code may differ from one firmware to the next.
        sameness=Secret("\t".join([pin, time, str(status), str(verify), iclock.at(cells, 4)])),
        device_time=time,
        holder=Holder(Secret(pin)) if pin.strip("0") else None,
        credential=RawCredential(_CREDENTIALS.get(verify, CredentialKind.OTHER)),
    )


def _temperature(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    low, high = _TEMPERATURES
    return value if low <= value <= high else None


def _operlog(row: bytes) -> Message | Discard | None:
    word, _, rest = row.partition(b" ")
    if word.upper() in _SKIPPED:
        return None
    if word.upper() != b"OPLOG":
        return Discard("unknown_row")
    cells = iclock.cells(rest)
    if cells is None or len(cells) < _OPLOG_CELLS_MIN:
        return Discard("bad_row")
    operation, operator, time = iclock.natural(cells[0]), cells[1], iclock.local_time(cells[2])
    if operation is None or time is None or not is_token(operator):
        return Discard("bad_row")
    reason = iclock.natural(cells[3]) if operation in _ALARMS else None
    return Message(
        kind="oplog",
        fields=iclock.present({"operation": operation, "alarm_reason": reason}),
        sameness=Secret("\t".join([str(operation), operator, time, *cells[3:7]])),
        device_time=time,
        holder=Holder(Secret(operator)) if operator.strip("0") else None,
    )


def _request(command_id: str, order: Order) -> str | None:
    text = iclock.request(order, "\t")
    return None if text is None else iclock.line(command_id, text)


SPEC: Final = HttpPushCodec(
    protocol="zk-adms-att",
    records=frozenset({"attlog", "oplog"}),
    signs={},
    harmless_keys=frozenset(),
    body_bytes_max=iclock.BODY_BYTES_MAX,
    keeps_body=keeps_body,
    decode=decode,
    answer=answer,
    orders=HttpOrders(request=_request, answer=iclock.told),
)
