"""ZKTeco consumption push (消费 PUSH V1.0, CM102 and CM108): canteen terminals and cashiers that push money records.

    BUYLOG   SysID CardNo PosTime PosMoney Balance CardRecID State MealType MealDate RecNo OPID [SubPosMoney SubBalance
             User_PIN]                                            a sale; State 9 takes one back
    FULLLOG  SysID CardNo CardRecNo Suptime Money Balance LogType OPID RecNo        0 charged, 1 paid out, 2 bonus
    ALLOWLOG SysID CardNo CardRecID Batch AllowTime AllowMoney Balance state BaseBatch RecNo           a subsidy

Cells are separated by tabs. Money is a whole number of fen and stays one. RecNo is the terminal's own count, one for
each table and without holes: a number that is missing is a record that is missing, and `SYNC <table> START= END=` has
the terminal send it again. The answer is `OK`; anything else makes it keep the rows.

When a terminal says hello it is told the number up to which nothing is missing here. After a start the box does not
know, says 0, and the terminal sends what it holds: the outbox knows what it has, and holes show.

Lists of what was bought (storedetail, keydetail) are told OK and dropped. So are loss reports at the terminal, with NO:
the box has no say over cards.

Source: 消费PUSH通讯协议（中控智慧）V1.0-20181225; fen and State 9 from a server in use.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from edge_agent.codecs import iclock, is_token
from edge_agent.codecs.kinds.http_push import (
    Head,
    HttpAnswer,
    HttpOrders,
    HttpPushCodec,
    Numbering,
    Pushed,
    Row,
    Visit,
)
from edge_agent.message import Discard, Holder, Message, RawCredential, Secret
from edge_agent.orders import Order
from wire.identity import source_no
from wire.records import CredentialKind, Scalar

POLL_S: Final = 4
RETRY_S: Final = 30
SYNC_TIME_S: Final = 600

_FEN = re.compile(r"-?\d{1,12}\Z", re.ASCII)
_YUAN = re.compile(r"(-?)(\d{1,10})\.(\d{2})\Z", re.ASCII)
_NUMBER_MAX: Final = (1 << 32) - 1


class Table(NamedTuple):
    """Where things stand in the rows of one table, by index. series: as the terminal's commands call it."""

    kind: str
    series: str
    space: int
    card: int
    time: int
    amount: int
    balance: int
    card_seq: int
    code: int
    number: int
    cells_min: int


TABLES: Final = {
    "BUYLOG": Table("buylog", "POSLOG", 0, 1, 2, 3, 4, 5, 6, 9, 10),
    "FULLLOG": Table("fulllog", "FULLLOG", 1, 1, 3, 4, 5, 2, 6, 8, 9),
    "ALLOWLOG": Table("allowlog", "ALLOWLOG", 2, 1, 4, 5, 6, 2, 7, 9, 10),
}
_SERIES_OF_TYPE: Final = {"pos": "POSLOG", "full": "FULLLOG", "allow": "ALLOWLOG"}
_SERIES_OF_KIND: Final = {table.kind: (table.series, table.space) for table in TABLES.values()}
_MEAL_CELL: Final = 7
_SECOND_PURSE_CELL: Final = 11


def keeps_body(head: Head) -> bool:
    """Whether anything in the body is ours to know."""
    call = iclock.call(head)
    if call is None or head.method != "POST":
        return False
    return call.endpoint == "posdevicecmd" or (call.endpoint == "cpos" and _table(call) in TABLES)


def decode(head: Head, body: bytes) -> Pushed | None:
    """One request. Never raises."""
    call = iclock.call(head)
    if call is None:
        return None
    match head.method, call.endpoint:
        case "GET", "cpos":
            purpose = "time" if call.query.get("type") == "time" else "hello"
            return iclock.asked(call.address, kind=purpose, purpose=purpose)
        case "POST", "cpos":
            return Pushed(address=call.address, rows=_rows(_table(call), body), purpose="rows")
        case "GET", "posrequest" if "reptype" in call.query:
            return iclock.asked(call.address, kind="poll", purpose="business")
        case "GET", "posrequest":
            return Pushed(
                address=call.address,
                rows=iclock.only("poll"),
                purpose="poll",
                polls=True,
                announced=_announced(call),
            )
        case "POST", "posdevicecmd":
            return Pushed(address=call.address, rows=iclock.results(body), purpose="results")
        case _:
            return None


def answer(pushed: Pushed, visit: Visit) -> HttpAnswer:
    """What the terminal is told."""
    if not visit.taken:
        return iclock.AGAIN
    match pushed.purpose:
        case "hello":
            return iclock.options(pushed.address, _options(visit))
        case "time":
            return HttpAnswer(200, f"Time={iclock.time_text(visit)}\n")
        case "poll":
            return iclock.handed(visit)
        case "business":
            return HttpAnswer(200, "NO\n")
        case _:
            return iclock.OK


def _table(call: iclock.Call) -> str:
    return call.query.get("table", "").upper()


def _announced(call: iclock.Call) -> dict[str, int]:
    series = _SERIES_OF_TYPE.get(call.query.get("type", "").lower())
    number = iclock.natural(call.query.get("devno", ""))
    return {} if series is None or number is None or number > _NUMBER_MAX else {series: number}


def _options(visit: Visit) -> dict[str, str | int]:
    return {
        "OpStamp": 0,
        "PosLogStamp": 0,
        "FullLogStamp": 0,
        "AllowLogStamp": 0,
        "PosLogStampId": visit.standing.get("POSLOG", 0),
        "FullLogStampId": visit.standing.get("FULLLOG", 0),
        "AllowLogStampId": visit.standing.get("ALLOWLOG", 0),
        "UseStampId": 1,
        "ErrorDelay": RETRY_S,
        "Delay": POLL_S,
        "TransTimes": "00:00;12:00",
        "TransInterval": 1,
        "SyncTime": SYNC_TIME_S,
        "TimeZone": iclock.time_zone(visit),
        "Realtime": 1,
        "Encrypt": 0,
        "PushProtVer": "2.3.0",
    }


# --- rows ---------------------------------------------------------------------------------------------


def _rows(name: str, body: bytes) -> tuple[Row, ...]:
    table = TABLES.get(name)
    return iclock.only("skipped") if table is None else iclock.rows(body, _decoder(table))


def _decoder(table: Table) -> Callable[[bytes], Message | Discard]:
    return lambda row: _row(table, row)


def _row(table: Table, row: bytes) -> Message | Discard:
    cells = iclock.cells(row)
    if cells is None:
        return Discard("not_text")
    if len(cells) < table.cells_min:
        return Discard("short_row")
    number, code = iclock.natural(cells[table.number]), iclock.natural(cells[table.code])
    if number is None or number > _NUMBER_MAX or code is None:
        return Discard("bad_number")
    amount, balance = fen(cells[table.amount]), fen(cells[table.balance])
    if amount is None or balance is None:
        return Discard("bad_amount")
    time = _time(cells[table.time])
    card = cells[table.card]
    if time is None or not is_token(card):
        return Discard("bad_row")
    fields: dict[str, Scalar | None] = {
        "code": code,
        "amount_fen": amount,
        "balance_fen": balance,
        "card_seq": iclock.natural(cells[table.card_seq]),
    }
    holder = ""
    if table.kind == "buylog":
        fields |= {
            "meal": iclock.natural(cells[_MEAL_CELL]) or None,
            "sub_amount_fen": fen(iclock.at(cells, _SECOND_PURSE_CELL)),
            "sub_balance_fen": fen(iclock.at(cells, _SECOND_PURSE_CELL + 1)),
        }
        holder = iclock.at(cells, _SECOND_PURSE_CELL + 2)
    return Message(
        kind=table.kind,
        fields=iclock.present(fields),
        record_no=source_no(number, table.space),
        device_time=time,
        holder=Holder(Secret(holder)) if is_token(holder) and holder.strip("0") else None,
        credential=RawCredential(CredentialKind.CARD, Secret(card)) if card.strip("0") else None,
    )


def fen(cell: str) -> int | None:
    """An amount in fen: a whole number is one already, a number with two decimals is yuan. No float is ever made."""
    if _FEN.match(cell):
        return int(cell)
    yuan = _YUAN.match(cell)
    return int(f"{yuan[1]}{yuan[2]}{yuan[3]}") if yuan else None


def _time(cell: str) -> str | None:
    # "An integer, in seconds", from an epoch that the document does not give; servers in use read a local time.
    return iclock.local_time(cell) or (cell if cell.isdigit() and cell.isascii() and len(cell) <= 10 else None)


# --- numbers and commands -----------------------------------------------------------------------------


def number_of(message: Message) -> tuple[str, int] | None:
    """The terminal's own count of a record."""
    found = _SERIES_OF_KIND.get(message.kind)
    if found is None or message.record_no is None:
        return None
    series, space = found
    return series, message.record_no - source_no(0, space)


def again(command_id: str, series: str, first: int, last: int) -> str:
    """Has the terminal send first..last of a series once more."""
    return iclock.line(command_id, f"SYNC {series} START={first} END={last}")


def _request(command_id: str, order: Order) -> str | None:
    text = iclock.request(order, " ")
    return None if text is None else iclock.line(command_id, text)


SPEC: Final = HttpPushCodec(
    protocol="zk-cm-pos",
    records=frozenset(_SERIES_OF_KIND),
    signs={},
    harmless_keys=frozenset(),
    body_bytes_max=iclock.BODY_BYTES_MAX,
    keeps_body=keeps_body,
    decode=decode,
    answer=answer,
    orders=HttpOrders(request=_request, answer=iclock.told),
    numbering=Numbering(number=number_of, again=again),
)
