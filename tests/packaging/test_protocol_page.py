"""Examples, tables and limits of docs/delivery-protocol.md, held against the code."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from aggregator.silence import EDGE_SILENT_S
from edge_agent.uplink import session, turns, window
from edge_agent.uplink.turns import WEIGHTS
from tests.contract.samples import FrameSample, frame_samples
from wire import codec, commands, delivery, records
from wire.delivery import Hello
from wire.identity import chain_next, record_hash
from wire.topics import LANES, TOPICS, Down, Lane, Up, up_topic

PAGE = (Path(__file__).parents[2] / "docs/delivery-protocol.md").read_text()


def sample(name: str) -> FrameSample:
    return next(one for one in frame_samples() if one.name == name)


def rows(section: str) -> list[list[str]]:
    """The cells of every table row in a section."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_worked_example_of_the_chain_is_right() -> None:
    batch, bodies = codec.decode_batch(sample("batch.events").plain)
    assert f"`{batch.before}`" in PAGE
    chain, expected = bytes.fromhex(batch.before), []
    for number, body in enumerate(bodies, batch.first):
        chain = chain_next(chain, record_hash(body))
        expected.append([str(number), str(len(body)), f"`{record_hash(body).hex()}`", f"`{chain.hex()}`"])
    assert [row for row in rows(r"4\. Records") if row[0].isdigit()] == expected
    assert codec.decode_ack(sample("ack.taken").plain).chain == chain.hex()


def test_the_example_of_a_frame_is_right() -> None:
    ack = sample("ack.taken")
    for encoded in (ack.plain, ack.zstd):
        assert re.search(rf"`{encoded[:6].hex(' ')}[0-9a-f ]*`[^.]*is\s{len(encoded)} bytes long", PAGE)
        (told,) = re.findall(rf"`({encoded[:6].hex(' ')}[0-9a-f ]*)`", PAGE)
        assert encoded.startswith(bytes.fromhex(told))


def test_the_example_of_a_signature_is_right() -> None:
    _, signed = codec.decode_signed(sample("hello.first").plain, Hello)
    (public,) = re.findall(r"`([0-9a-f]{64})`\.$", PAGE, re.MULTILINE)
    covered = b"campus/v1\n" + up_topic("demo-school", "gate-1", Up.HELLO).encode() + b"\n" + signed.line
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signed.signature), covered)


def test_the_table_of_lanes_is_the_one_in_force() -> None:
    told = {row[0]: re.findall(r"`([A-Za-z/]+)`", row[1]) for row in rows(r"5\. Lanes") if row[0] in set(LANES)}
    assert told == {lane: [topic for topic, its in TOPICS.items() if its is lane] for lane in LANES}


def test_every_topic_between_box_and_campus_is_told() -> None:
    told = " ".join(" ".join(row) for row in rows(r"2\. Carrier"))
    for leaf in Down:
        assert f"`campus/v1/<campus>/<box>/down/{leaf}`" in told
    for up in Up:
        assert f"/up/{up}`" in told or f"`{up}`" in told


def test_the_limits_are_those_in_force() -> None:
    told = dict(rows(r"11\. Limits")[1:])
    assert told == {
        "record": f"{records.RECORD_BYTES_MAX} bytes",
        "batch": f"{delivery.BATCH_RECORDS_MAX} records, {delivery.BATCH_BYTES_MAX} bytes of records",
        "frame": f"{codec.FRAME_BYTES_MAX} bytes, before compression and as sent",
        "document chunk": f"{delivery.DOCUMENT_CHUNK_BYTES_MAX} bytes",
        "in flight": f"{window.BATCHES[Lane.D]} batches in a lane, {window.BATCHES[Lane.A]} in A",
        "resend": f"{window.RESEND_S_MIN:.0f} s, doubling to {window.RESEND_S_MAX:.0f} s",
        "hello again": f"{session.HELLO_RESEND_S_MIN:.0f} s, doubling to {session.HELLO_RESEND_S_MAX:.0f} s",
        "heartbeat": f"{delivery.HEARTBEAT_INTERVAL_S:.0f} s",
        "lease": f"{commands.LEASE_VALID_S} s, {commands.LEASE_USES} uses",
        "historical": f"over {delivery.HISTORICAL_AFTER_S} s",
        "number": "1 to 2^63 − 1",
    }


@pytest.mark.parametrize(
    "sentence",
    [
        f"A sender compresses from {codec.COMPRESS_FROM_BYTES} bytes on",
        "weight " + " : ".join(f"{lane} {weight}" for lane, weight in WEIGHTS.items()),
        f"one turn in {turns.ALARMS_IN_A_ROW + 1}".replace("10", "ten"),
        f"({turns.BUDGET_BYTES_MIN // 1024} KiB at least, {turns.BUDGET_BYTES_MAX // 1024 // 1024} MiB at most, "
        f"{turns.BUDGET_BYTES_START // 1024} KiB before",
        f"in M and D for {window.SPACING_S[Lane.D] * 1000:.0f} ms, in S for {window.SPACING_S[Lane.S] * 1000:.0f} ms",
        f"no word comes for {session.HOLD_PROBE_S:.0f} s",
        f"nothing is heard for {EDGE_SILENT_S} s",
    ],
)
def test_a_number_in_a_sentence_is_the_one_in_force(sentence: str) -> None:
    assert sentence in " ".join(PAGE.split())


def test_every_field_of_every_message_is_told() -> None:
    told = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    for message in (
        *(records.Event, records.Reading, records.Outcome, records.Gap, records.ClockMark, records.Credential),
        *(records.Value, records.DeviceTime, delivery.Hello, delivery.LaneState, delivery.Welcome, delivery.Watermark),
        *(delivery.Batch, delivery.Ack, delivery.Heartbeat, delivery.LaneDepth, delivery.DocumentChunk),
        *(commands.Command, commands.Lease, commands.LeaseUse),
    ):
        assert set(message.__struct_fields__) <= told, message.__name__
