"""ZKTeco terminals as state machines: what they keep, what they say again, what they refuse."""

from typing import Any

import pytest

from simulators.chance import seeded
from simulators.device import DeviceClock, Kept, Memory, Moment
from simulators.http_device import Ask, Reply
from simulators.iclock_device import IclockConfig, IclockDevice, IclockFaults
from simulators.people import make_people
from simulators.zk_pos import Purse, ZkPos
from simulators.zk_terminal import ZkTerminal

SERIAL = "ACJ1234560001"
NOW_S = 1_788_220_510.0


class Noted:
    """A witness that remembers the order of what it was told."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, int]] = []

    def produced(self, _device: str, record: Kept, _now: Moment) -> None:
        self.facts.append(("produced", record.key.number))

    def released(self, _device: str, record: Kept, _now: Moment) -> None:
        self.facts.append(("released", record.key.number))

    def destroyed(self, _device: str, record: Kept, cause: str, _now: Moment) -> None:
        self.facts.append((cause, record.key.number))

    def said(self, _device: str, kind: str, _time: str, _now: Moment) -> None:
        self.facts.append((kind, 0))

    def executed(self, _device: str, _request: str, _now: Moment) -> None:
        """Not looked at here."""

    def garbled(self, _device: str, _now: Moment) -> None:
        self.facts.append(("garbled", 0))


class Bench:
    """A device, its witness, and a clock that the test moves."""

    def __init__(self, kind: type[IclockDevice], capacity: int = 100, **faults: float) -> None:
        self.witness = Noted()
        self.at_s = 0.0
        self.device: Any = kind(
            IclockConfig(serial=SERIAL, batch=3),
            clock=DeviceClock(),
            memory=Memory(capacity),
            witness=self.witness,
            chance=seeded("zk"),
            faults=IclockFaults(**faults),
        )

    @property
    def now(self) -> Moment:
        return Moment(self.at_s, NOW_S + self.at_s)

    def asks(self) -> Ask:
        ask = self.device.next_request(self.now)
        assert ask is not None
        return ask

    def hears(self, ask: Ask, body: str, status: int = 200) -> None:
        self.device.answered(ask, Reply(status, body.encode()), self.now)

    def greet(self, **options: object) -> None:
        lines = "".join(f"{name}={value}\n" for name, value in options.items())
        self.hears(self.asks(), f"GET OPTION FROM: {SERIAL}\n{lines}")

    def command(self, text: str) -> str:
        """What the device reports of a command."""
        self.at_s += 100
        ask = self.asks()
        assert ask.purpose == "poll"
        self.hears(ask, f"C:17:{text}\n")
        result = self.asks()
        assert result.purpose == "results"
        self.hears(result, "OK\n")
        return result.body.decode()


@pytest.fixture
def att() -> Bench:
    return Bench(ZkTerminal)


@pytest.fixture
def pos() -> Bench:
    return Bench(ZkPos)


def test_a_row_is_said_until_ok_and_the_same_to_the_byte(att: Bench) -> None:
    att.device.punch("20260001", 1, att.now, verify=15)
    att.greet(ErrorDelay=30)
    first = att.asks()
    assert first.target == f"/iclock/cdata?SN={SERIAL}&table=ATTLOG&Stamp=9999"
    assert first.body == b"20260001\t2026-09-01 07:55:10\t0\t15\t0\t0\t0\n"
    att.device.failed(first, att.now)
    assert att.device.next_request(att.now) is None
    att.at_s = 30
    att.greet()
    again = att.asks()
    assert again == first
    att.hears(again, "OK: 1\n")
    assert att.witness.facts == [("produced", 1), ("released", 1)]
    assert att.device.owed() == 0


@pytest.mark.parametrize(("status", "body"), [(503, "OK: 3"), (200, "TRY AGAIN"), (200, ""), (403, "UNKNOWN")])
def test_any_other_answer_keeps_the_rows(att: Bench, status: int, body: str) -> None:
    att.device.punch("20260001", 1, att.now)
    att.greet()
    att.hears(att.asks(), body, status)
    assert att.device.owed() == 1


def test_ok_with_a_smaller_number_releases_the_oldest_so_many(att: Bench) -> None:
    for pin in ("1", "2", "3", "4"):
        att.device.punch(pin, 1, att.now)
    att.greet()
    ask = att.asks()
    assert ask.body.count(b"\n") == 3
    att.hears(ask, "OK: 2\n")
    assert [record.key.number for record in att.device.memory.unacked()] == [3, 4]


def test_a_second_punch_within_the_second_is_not_taken(att: Bench) -> None:
    assert att.device.punch("20260001", 1, att.now) is not None
    assert att.device.punch("20260001", 1, att.now) is None
    assert att.device.punch("20260002", 2, att.now) is not None
    att.at_s = 1
    assert att.device.punch("20260001", 1, att.now) is not None


def test_stamp_0_and_a_query_bring_out_what_was_acknowledged(att: Bench) -> None:
    att.device.punch("20260001", 1, att.now)
    att.greet()
    att.hears(att.asks(), "OK: 1\n")
    assert att.command("DATA QUERY ATTLOG StartTime=2026-09-01 07:00:00\tEndTime=2026-09-01 08:00:00").startswith(
        "ID=17&Return=0&"
    )
    ask = att.asks()
    assert ask.purpose == "rows"
    att.hears(ask, "OK: 1\n")
    assert att.witness.facts.count(("released", 1)) == 1
    att.device.failed(ask, att.now)
    att.at_s += 100
    att.greet(ATTLOGStamp=0)
    assert att.asks().purpose == "rows"


@pytest.mark.parametrize(
    "text", ["SHELL reboot", "PutFile http://x/y y", "CLEAR LOG", "DATA DELETE USERINFO PIN=1", ""]
)
def test_dangerous_and_unknown_commands_are_refused(att: Bench, text: str) -> None:
    att.greet()
    assert "Return=-1002" in att.command(text)
    assert att.device.refused == [text]


def test_names_are_gb2312_and_photos_are_sent_though_nobody_asked(att: Bench) -> None:
    person = make_people(1)[0]
    att.device.enrol(person)
    att.device.photograph(b"\xff\xd8jpeg")
    att.greet()
    user = att.asks()
    assert user.body.decode("gb2312").startswith(f"USER PIN={person.site_id}\tName={person.name}")
    att.hears(user, "OK: 1\n")
    photo = att.asks()
    assert photo.body.endswith(b"\xff\xd8jpeg")
    att.hears(photo, "OK\n")
    assert att.asks().purpose == "poll"


def test_a_full_memory_overwrites_the_oldest_and_says_so() -> None:
    bench = Bench(ZkTerminal, capacity=2)
    for pin in ("1", "2", "3"):
        bench.device.punch(pin, 1, bench.now)
    assert ("overwritten", 1) in bench.witness.facts
    assert bench.device.owed() == 2


def test_power_cuts_leave_clock_and_memory(att: Bench) -> None:
    att.device.punch("20260001", 1, att.now)
    att.greet()
    att.device.power_off()
    assert att.device.next_request(att.now) is None
    att.device.power_on()
    assert att.asks().purpose == "hello"
    assert att.device.owed() >= 1


def test_faults_show_on_the_wire() -> None:
    noisy = Bench(ZkTerminal, garbage=1.0)
    noisy.device.punch("20260001", 1, noisy.now)
    noisy.greet()
    ask = noisy.asks()
    assert ask.purpose == "garbage"
    assert b"\t" not in ask.body
    assert ("garbled", 0) in noisy.witness.facts
    cut = Bench(ZkTerminal, cut=1.0)
    cut.device.punch("20260001", 1, cut.now)
    cut.greet()
    assert cut.asks().cut is not None
    deaf = Bench(ZkTerminal, deaf=1.0)
    deaf.greet()
    assert deaf.device.next_request(deaf.now) is None


# --- money --------------------------------------------------------------------------------------------


def rows(ask: Ask) -> list[list[str]]:
    return [row.split("\t") for row in ask.body.decode().splitlines()]


def test_a_sale_takes_the_amount_off_the_card_and_counts_on(pos: Bench) -> None:
    purse = Purse("0010732817", 2000)
    pos.device.sell(purse, 1250, pos.now)
    assert pos.device.sell(purse, 800, pos.now) is None
    pos.device.take_back(purse, 1250, pos.now)
    pos.greet()
    ask = pos.asks()
    assert ask.target.endswith("&table=BUYLOG&Stamp=2026-09-01T07:55:10&StampId=2")
    shown = [(row[1], row[3], row[4], row[5], row[6], row[9]) for row in rows(ask)]
    assert shown == [("0010732817", "1250", "750", "1", "0", "1"), ("0010732817", "1250", "2000", "2", "9", "2")]
    pos.hears(ask, "OK\n")
    assert pos.device.owed() == 0
    assert pos.asks().target.endswith("devno=2")


def test_the_options_say_from_which_number_on_everything_is_sent(pos: Bench) -> None:
    for _ in range(3):
        pos.device.sell(Purse("1"), 100, pos.now)
    pos.greet()
    pos.hears(pos.asks(), "OK\n")
    pos.device.failed(Ask("GET", "", "poll"), pos.now)
    pos.at_s = 100
    pos.greet(PosLogStampId=1)
    assert [row[9] for row in rows(pos.asks())] == ["2", "3"]


def test_a_forgotten_row_comes_out_when_it_is_asked_for_by_number(pos: Bench) -> None:
    pos.device.sell(Purse("1"), 100, pos.now)
    pos.device.forgets = 1.0
    pos.device.sell(Purse("1"), 100, pos.now)
    pos.device.forgets = 0.0
    pos.device.sell(Purse("1"), 100, pos.now)
    pos.greet()
    ask = pos.asks()
    assert [row[9] for row in rows(ask)] == ["1", "3"]
    pos.hears(ask, "OK\n")
    assert pos.device.owed() == 1
    assert "Return=0" in pos.command("SYNC POSLOG START=2 END=2")
    ask = pos.asks()
    assert [row[9] for row in rows(ask)] == ["2"]
    pos.hears(ask, "OK\n")
    assert pos.device.owed() == 0
    assert "Return=-1&" in pos.command("SYNC POSLOG START=3 END=2")
