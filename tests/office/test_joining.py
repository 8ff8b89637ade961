"""How a box joins, and what readers make of what it then says."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from aggregator.broker import password_matches
from aggregator.enrolment import EnrolmentRefused
from aggregator.ledger import LedgerRow
from aggregator.readers import Registry
from aggregator.silence import SilenceWatch
from tests.office.campus import Desk, open_desk
from wire.identity import derived_id
from wire.records import Event
from wire.topics import CAMPUS_NODE

KEY = "12" * 32


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path) as one:
        yield one


async def refusal(desk: Desk, edge: str, token: str, key: str = KEY) -> str:
    with pytest.raises(EnrolmentRefused) as caught:
        await desk.campus.enrolment.redeem(edge, token, key, "1")
    return caught.value.code


async def test_a_token_lets_one_box_in_once(desk: Desk) -> None:
    enrolment = desk.campus.enrolment
    token = await enrolment.issue("gate-1")
    assert await refusal(desk, "gate-2", token) == "wrong_edge"
    assert await refusal(desk, "gate-1", "enrol_00") == "token_unknown"
    assert await refusal(desk, "gate-1", token, "zz") == "bad_key"
    answer = await enrolment.redeem("gate-1", token, KEY, "1")
    assert await refusal(desk, "gate-1", token) == "token_used"
    enrolled = await enrolment.enrolled("gate-1")
    assert enrolled is not None
    assert enrolled.public_key.hex() == KEY
    (user,) = [user for user in desk_users(desk) if user.name == "gate-1"]
    assert password_matches(user.password_hash, answer.broker_password)


def desk_users(desk: Desk):
    from aggregator.broker import BrokerFolder

    return BrokerFolder(desk.folder / "broker").users()


async def test_a_token_is_worth_nothing_after_a_day(desk: Desk) -> None:
    token = await desk.campus.enrolment.issue("gate-1")
    desk.clock.advance(24 * 3600)
    assert await refusal(desk, "gate-1", token) == "token_expired"


async def test_a_revoked_box_is_refused_here_and_at_the_broker_until_it_joins_again(desk: Desk) -> None:
    enrolment = desk.campus.enrolment
    await enrolment.redeem("gate-1", await enrolment.issue("gate-1"), KEY, "1")
    assert await enrolment.revoke("gate-1")
    assert not await enrolment.revoke("gate-1")
    assert await enrolment.enrolled("gate-1") is None
    assert "gate-1" not in {user.name for user in desk_users(desk)}
    await enrolment.redeem("gate-1", await enrolment.issue("gate-1"), "34" * 32, "1")
    assert (await enrolment.enrolled("gate-1")) is not None


async def test_no_secret_of_a_box_stands_in_a_database(desk: Desk) -> None:
    token = await desk.campus.enrolment.issue("gate-1")
    answer = await desk.campus.enrolment.redeem("gate-1", token, KEY, "1")
    stored = b"".join(path.read_bytes() for path in desk.folder.glob("*.sqlite*"))
    assert token.encode() not in stored
    assert answer.broker_password.encode() not in stored
    assert answer.campus_key.hex().encode() not in stored


# --- readers ----------------------------------------------------------------------------------------------


async def said(desk: Desk, number: int, topic: str = "Audit/Entry") -> None:
    event = Event(
        id=derived_id("row", number), device=CAMPUS_NODE, stamp=desk.clock.stamp(), topic=topic, values={"edge": "g"}
    )
    await desk.ledger.append_campus([event], desk.clock.stamp())


class Fussy(Registry):
    """Takes every row but one."""

    name = "fussy"
    poison = 3

    def apply(self, connection, rows: Sequence[LedgerRow]) -> None:
        if any(row.position == self.poison for row in rows):
            raise ValueError("cannot take this")
        super().apply(connection, rows)


async def test_a_row_that_cannot_be_taken_stops_nothing_behind_it(desk: Desk) -> None:
    for number in range(6):
        await said(desk, number)
    reader = Fussy(desk.ledger, desk.views)
    await reader.step()
    assert (reader.health.position, reader.health.faults) == (6, 1)
    again = Fussy(desk.ledger, desk.views)
    await again._find_position()
    assert (again.health.position, again.health.faults) == (6, 1)


async def test_a_reader_ahead_of_a_restored_ledger_starts_over(desk: Desk) -> None:
    backup = desk.ledger.snapshot()
    for number in range(4):
        await said(desk, number)
    await Registry(desk.ledger, desk.views).step()
    reader = Registry(backup, desk.views)
    await reader._find_position()
    assert reader.health.position == 0


async def test_silence_is_said_once_and_its_end_once_also_over_a_restart(desk: Desk) -> None:
    def watch() -> SilenceWatch:
        async def edges():
            return [{"edge": "gate-1", "last_position": 17, "silences": 0, "silence_id": ""}]

        return SilenceWatch(
            clock=desk.clock,
            liveness=dict,
            edges=edges,
            append=lambda records: desk.ledger.append_campus(records, desk.clock.stamp()),
        )

    for _ in range(2):
        one = watch()
        await one.look()
        assert not one.silent
        desk.clock.advance(31)
        await one.look()
        await one.look()
        assert one.silent == {"gate-1"}
    rows = await desk.ledger.read(0, 100)
    assert [row.topic for row in rows] == ["EdgeNode/State/Silence"]
