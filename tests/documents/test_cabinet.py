import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent.documents import Cabinet, tuning_kind
from edge_agent.draft import Draft
from edge_agent.outbox import Appended, Fate
from tests.documents.test_assembly import chunks
from wire import codec
from wire.clock import Stamp
from wire.delivery import DocumentChunk
from wire.documents import DeviceTuning, Tuning
from wire.errors import Malformed
from wire.records import Event
from wire.topics import Down, Lane, down_topic

TOPIC = down_topic("demo-school", "gate-1", Down.DOCUMENT)
SLOW = {"schema": 1, "devices": {"door-1": {"poll_interval_ms": 5000, "silent_after_s": 90}}}


class Notes:
    """An intake that only remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def accept(self, drafts: Sequence[Draft], received: Stamp | None = None) -> list[Appended]:
        self.events += [draft.record for draft in drafts if isinstance(draft.record, Event)]
        return [Appended(Fate.STORED, Lane.S, 1, draft.record.id) for draft in drafts]

    @property
    def results(self) -> list[object]:
        return [(event.values["version"], event.values["result"]) for event in self.events]


class Box:
    def __init__(self, folder: Path) -> None:
        self.notes = Notes()
        self.in_force: list[Tuning] = []
        self.cabinet = Cabinet(
            folder,
            [tuning_kind(["door-1"], self.in_force.append)],
            edge="gate-1",
            topic=TOPIC,
            intake=self.notes,
            verify=lambda message, given: given == f"{len(message):x}",
        )
        self.cabinet.open()

    async def send(self, document: object, version: int = 1, *, size: int = 20) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        for chunk in chunks(body, size=size, version=version):
            line = codec.encode_line(chunk)
            signature = f"{len(codec.signing_input(TOPIC, line)):x}"
            await self.cabinet.take(codec.encode_signed(DocumentChunk, line, signature))


async def test_a_document_is_in_force_told_and_there_after_a_restart(tmp_path: Path) -> None:
    box = Box(tmp_path)
    assert box.cabinet.versions() == {}
    await box.send(SLOW, 3)
    assert box.in_force[-1].devices == {"door-1": DeviceTuning(poll_interval_ms=5000, silent_after_s=90)}
    assert box.cabinet.versions() == {"tuning": "3"}
    assert box.notes.results == [(3, "applied")]
    again = Box(tmp_path)
    assert again.in_force == box.in_force
    assert (again.cabinet.versions(), again.notes.events) == ({"tuning": "3"}, [])


async def test_the_newest_wins_and_an_older_one_never_comes_back(tmp_path: Path) -> None:
    box = Box(tmp_path)
    await box.send(SLOW, 2)
    await box.send({"schema": 1, "devices": {}}, 5)
    await box.send(SLOW, 2)
    await box.send({"schema": 1, "devices": {}}, 5)
    assert box.in_force[-1].devices == {}
    assert box.notes.results == [(2, "applied"), (5, "applied")]
    assert Box(tmp_path).cabinet.versions() == {"tuning": "5"}


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        (b"{", "truncated"),
        ({"schema": 2, "devices": {}}, "schema"),
        ({"schema": 1, "devices": {"door-9": {}}}, "door-9"),
        ({"schema": 1, "devices": {"door-1": {"poll_interval_ms": 1}}}, "poll_interval_ms"),
        ({"schema": 1, "devices": {"door-1": {"pol_interval_ms": 100}}}, "pol_interval_ms"),
    ],
)
async def test_what_cannot_be_used_changes_nothing_and_is_told_with_its_cause(
    tmp_path: Path, document: object, cause: str
) -> None:
    box = Box(tmp_path)
    await box.send(SLOW, 1)
    await box.send(document, 2)
    assert box.notes.results == [(1, "applied"), (2, "refused")]
    assert cause in str(box.notes.events[-1].values["cause"])
    assert (len(box.in_force), box.cabinet.versions()) == (1, {"tuning": "1"})
    assert Box(tmp_path).in_force == box.in_force


async def test_one_version_with_two_contents_is_told_and_the_first_stays(tmp_path: Path) -> None:
    box = Box(tmp_path)
    await box.send(SLOW, 1)
    await box.send({"schema": 1, "devices": {}}, 1)
    assert box.notes.results == [(1, "applied"), (1, "other_content")]
    assert len(box.in_force) == 1


async def test_a_document_that_is_not_signed_by_our_campus_is_not_looked_into(tmp_path: Path) -> None:
    box = Box(tmp_path)
    (chunk,) = chunks(json.dumps(SLOW).encode(), size=1000)
    with pytest.raises(Malformed):
        await box.cabinet.take(codec.encode_signed(DocumentChunk, codec.encode_line(chunk), "00"))
    assert (box.in_force, box.notes.events) == ([], [])


@pytest.mark.parametrize("damage", [b"", b"x", b'{"schema": 1}\n{}', b'{"version": 1, "sha256": "00"}\n{}'])
async def test_a_damaged_file_counts_as_none_and_the_box_still_starts(tmp_path: Path, damage: bytes) -> None:
    box = Box(tmp_path)
    await box.send(SLOW, 1)
    (tmp_path / "tuning.doc").write_bytes(damage)
    again = Box(tmp_path)
    assert (again.in_force, again.cabinet.versions()) == ([], {})
    await again.send(SLOW, 1)
    assert again.cabinet.versions() == {"tuning": "1"}


async def test_a_disk_that_does_not_take_it_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    box = Box(tmp_path)
    await box.send(SLOW, 1)
    (tmp_path / "tuning.doc.new").mkdir()
    await box.send({"schema": 1, "devices": {}}, 2)
    assert box.notes.results == [(1, "applied"), (2, "not_stored")]
    assert (len(box.in_force), box.cabinet.versions()) == (1, {"tuning": "1"})
