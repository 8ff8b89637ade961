"""The campus' side, against a box's real cabinet."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.documents import Archive, Courier, DocumentMalformed, UnknownDocument
from aggregator.documents.courier import AGAIN_S_MAX, AGAIN_S_MIN
from aggregator.storage import Database
from edge_agent.documents import Cabinet, tuning_kind
from tests.documents.test_cabinet import Notes
from tests.support.clock import VirtualClock
from wire.delivery import DOCUMENT_CHUNK_BYTES_MAX
from wire.documents import Tuning
from wire.mqtt_link import LinkError
from wire.topics import Down, down_topic

EDGE = "gate-1"
BODY = json.dumps({"schema": 1, "devices": {"door-1": {"held_open_s": 45}}}).encode()
LONG = BODY + b" " * (2 * DOCUMENT_CHUNK_BYTES_MAX)


class Campus:
    """A campus, a line to one box, and that box."""

    def __init__(self, archive: Archive, clock: VirtualClock, folder: Path, devices: tuple[str, ...]) -> None:
        self.archive = archive
        self.clock = clock
        self.frames = 0
        self.down = False
        self.lose = 0
        self.in_force: list[Tuning] = []
        self.notes = Notes()
        self.cabinet = Cabinet(
            folder,
            [tuning_kind(devices, self.in_force.append)],
            edge=EDGE,
            topic=down_topic("demo-school", EDGE, Down.DOCUMENT),
            intake=self.notes,
            verify=lambda message, given: bytes.fromhex(given) == message[-16:],
        )
        self.courier = Courier(
            archive, campus="demo-school", clock=clock, sign=lambda message: message[-16:], send=self.send
        )

    async def send(self, edge: str, leaf: Down, frame: bytes) -> None:
        if self.down:
            raise LinkError("away")
        assert (edge, leaf) == (EDGE, Down.DOCUMENT)
        self.frames += 1
        if self.lose:
            self.lose -= 1
            return
        await self.cabinet.take(frame)

    async def beat(self, seconds: float = 2) -> None:
        """The box says what it has, and the campus looks."""
        self.clock.advance(seconds)
        self.courier.heard(EDGE, self.cabinet.versions())
        await self.courier.look()


@pytest.fixture
async def campus(tmp_path: Path) -> AsyncIterator[Campus]:
    clock = VirtualClock()
    async with await Database.open(tmp_path / "documents.sqlite", "aggregator.documents") as db:
        yield Campus(Archive(db, clock), clock, tmp_path / "box", ("door-1",))


async def test_a_document_reaches_the_box_and_is_not_sent_again(campus: Campus) -> None:
    await campus.beat()
    assert campus.frames == 0
    await campus.archive.put(EDGE, "tuning", LONG, "ops")
    for _ in range(20):
        await campus.beat()
    assert campus.frames == 3
    assert campus.in_force[-1].devices["door-1"].held_open_s == 45
    assert campus.courier.in_force(EDGE) == {"tuning": 1}
    assert await campus.courier.wanted(EDGE) == {"tuning": "1"}
    assert await campus.courier.wanted("gate-2") == {}


async def test_a_lost_chunk_is_made_good(campus: Campus) -> None:
    await campus.archive.put(EDGE, "tuning", LONG, "ops")
    campus.lose = 2
    await campus.beat()
    assert campus.in_force == []
    await campus.beat(AGAIN_S_MIN)
    assert campus.courier.in_force(EDGE) == {}
    await campus.beat()
    assert campus.courier.in_force(EDGE) == {"tuning": 1}
    assert campus.notes.results == [(1, "applied")]


async def test_only_the_newest_is_sent(campus: Campus) -> None:
    for _ in range(3):
        await campus.archive.put(EDGE, "tuning", BODY, "ops")
    await campus.beat()
    assert campus.notes.results == [(3, "applied")]


async def test_a_box_that_is_away_gets_it_when_it_is_back(campus: Campus) -> None:
    await campus.archive.put(EDGE, "tuning", BODY, "ops")
    campus.down = True
    await campus.beat()
    campus.clock.advance(86_400)
    campus.down = False
    await campus.beat()
    await campus.beat()
    assert campus.courier.in_force(EDGE) == {"tuning": 1}


async def test_a_refused_document_is_sent_less_and_less_until_there_is_a_newer_one(campus: Campus) -> None:
    await campus.archive.put(EDGE, "tuning", b'{"schema":1,"devices":{"door-9":{}}}', "ops")
    for _ in range(1000):
        await campus.beat()
    assert set(campus.notes.results) == {(1, "refused")}
    assert campus.frames < 12
    await campus.archive.put(EDGE, "tuning", BODY, "ops")
    await campus.beat()
    assert campus.notes.results[-1] == (2, "applied")
    assert AGAIN_S_MAX > AGAIN_S_MIN


async def test_a_restored_campus_never_gives_out_a_number_that_a_box_has_seen(campus: Campus, tmp_path: Path) -> None:
    for _ in range(5):
        await campus.archive.put(EDGE, "tuning", BODY, "ops")
    await campus.beat()
    await campus.beat()
    async with await Database.open(tmp_path / "restored.sqlite", "aggregator.documents") as db:
        restored = Campus(Archive(db, campus.clock), campus.clock, tmp_path / "box", ("door-1",))
        restored.cabinet.open()
        await restored.archive.put(EDGE, "tuning", BODY, "ops")
        await restored.beat()
        assert restored.frames == 0
        head = await restored.archive.put(EDGE, "tuning", BODY, "ops")
        assert head.version == 6
        await restored.beat()
        assert restored.notes.results == [(6, "applied")]


@pytest.mark.parametrize("text", ["", "x", "-1", "1" * 40, "²", "9" * 16])
async def test_an_odd_version_is_no_reason_to_stumble(campus: Campus, text: str) -> None:
    await campus.archive.put(EDGE, "tuning", BODY, "ops")
    campus.courier.heard(EDGE, {"tuning": text, "no-such": "7"})
    await campus.courier.look()


async def test_names_that_no_document_has_are_not_kept(campus: Campus) -> None:
    campus.courier.heard(EDGE, {"tuning": "3", **{f"name-{number}": "1" for number in range(500)}})
    await campus.courier.look()
    assert campus.courier.in_force(EDGE) == {"tuning": 3}
    async with campus.archive._db.read() as connection:
        told = await connection.execute_fetchall("SELECT name FROM told_versions")
    assert [row["name"] for row in told] == ["tuning"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"schema":1}', b'{"schema":1,"devices":{"d":{"held_open_s":0}}}'])
async def test_what_no_box_could_use_is_not_taken(campus: Campus, body: bytes) -> None:
    with pytest.raises(DocumentMalformed):
        await campus.archive.put(EDGE, "tuning", body, "ops")
    with pytest.raises(UnknownDocument):
        await campus.archive.put(EDGE, "bundle", BODY, "ops")
    assert await campus.archive.wanted() == {}
