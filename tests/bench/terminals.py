"""Helper: face terminals that send records at a given rate, whatever becomes of them, and watch what does.

`python -m tests.bench.terminals PORT USER PASSWORD_FILE TERMINALS`; then on stdin one command a line:

    rate, seconds     send so many records a second for so long, spread over the terminals
    settle_s          then wait at most so long for what is still to be heard
    sent              {"user", "password", "topic"}: hear at the broker which batches leave the box
    screen            {"port", "token"}: be a screen that follows the live stream

The answer says how many records were sent and, of each thing that is watched, how many were seen and how long after
their sending: `stored` is a terminal's PushAck, which a box gives once a record is on its disk. Records are numbered
from the clock on, so that no run repeats the numbers of another.

Sending is open loop: a record is due at its time, and its delay counts from when it left us. `late_ms` says by how much
we ourselves were late, which is how a run shows that the machine was too busy to be believed.
"""

import asyncio
import json
import random
import re
import sys
import time
from array import array
from pathlib import Path
from typing import Any, Final

from simulators.device import Kept, RecordKey
from simulators.facesluice_messages import AUTOMATIC, REC, TerminalConfig
from simulators.people import Person, Shown, Swipe, Verdict
from tests.bench.mqtt_wire import Wire, text
from tests.bench.processes import answer, commands, quantile
from wire.codec import decode_batch
from wire.mqtt_link import BrokerAddress, Message, MqttLink

HOST: Final = "127.0.0.1"
PREFIX: Final = "mqtt/face"
FIRST_ID: Final = 1026701
PICTURE_BYTES: Final = 300
TICK_S: Final = 0.002
_NUMBER: Final = re.compile(rb'"SnapOrRecordID": ?"?(\d+)')
_RECORD: Final = re.compile(rb'"device":"[^"/]*/face-(\d+)".*?"record_no":(\d+)')
_HOLE: Final = 99_999_999_999
_TIME: Final = "2000-01-01 00:00:00"


def device_ids(count: int) -> tuple[str, ...]:
    """What the terminals call themselves."""
    return tuple(str(FIRST_ID + index) for index in range(count))


def _template(device_id: str) -> tuple[bytes, list[bytes]]:
    """Topic and payload of a record, cut where number and time stand."""
    config = TerminalConfig(device_id=device_id, picture_bytes=PICTURE_BYTES)
    chance = random.Random(int(device_id))
    person = Person(
        index=int(device_id) % 997,
        role="student",
        site_id=f"2026{device_id}",
        name="欧阳晓明",
        resident_no="110101201001011234",
        phone="13800000000",
        card="0012345678",
    )
    swipe = Swipe(0.0, 0, person.index, Verdict.ALLOWED, Shown.FACE, "in")
    fields = config.recognition(swipe, person, chance)
    kept = Kept(RecordKey(REC, 0, _HOLE), _TIME, 0.0, person.index, "1", fields)
    sent = config.record(kept, AUTOMATIC, in_time=True)
    before, _, rest = sent.payload.partition(str(_HOLE).encode())
    middle, _, after = rest.partition(_TIME.encode())
    return text(sent.topic), [before, middle, after]


class Run:
    """One run: when each record was sent, and when what became of it was seen."""

    def __init__(self, first: int, terminals: int, count: int) -> None:
        self.first = first
        self.terminals = terminals
        self.sent = 0
        self.sent_ns = array("q", bytes(8 * count))
        self.seen_ns: dict[str, array[int]] = {"stored": array("q", bytes(8 * count))}
        self.seen: dict[str, int] = {"stored": 0}
        self.frames: list[tuple[int, bytes]] = []
        self.chunks: list[tuple[int, bytes]] = []

    def saw(self, what: str, terminal: int, number: int, at_ns: int) -> None:
        """The record of a terminal, counted from 0, that has this number."""
        index = (number - self.first) * self.terminals + terminal
        seen = self.seen_ns[what]
        if 0 <= index < self.sent and not seen[index]:
            seen[index] = at_ns
            self.seen[what] += 1

    def delays_ms(self, what: str) -> list[float]:
        """From sending to being seen."""
        pairs = zip(self.sent_ns[: self.sent], self.seen_ns[what], strict=False)
        return [(seen - sent) / 1e6 for sent, seen in pairs if seen]


class Terminals:
    """All terminals, on one connection."""

    def __init__(self, count: int) -> None:
        self._templates = [_template(device_id) for device_id in device_ids(count)]
        self._by_topic = {f"{PREFIX}/{device_id}".encode(): index for index, device_id in enumerate(device_ids(count))}
        self._wire: Wire | None = None
        self._run: Run | None = None

    async def connect(self, port: int, user: str, password: str) -> None:
        self._wire = await Wire.connect(
            HOST, port, name="bench-terminals", user=user, password=password, heard=self._heard
        )
        self._wire.subscribe(f"{PREFIX}/+")

    def _heard(self, topic: bytes, payload: bytes) -> None:
        terminal, found = self._by_topic.get(topic), _NUMBER.search(payload)
        if self._run is not None and terminal is not None and found:
            self._run.saw("stored", terminal, int(found[1]), time.monotonic_ns())

    async def run(self, command: dict[str, Any]) -> dict[str, Any]:
        rate, seconds = float(command["rate"]), float(command["seconds"])
        run = self._run = Run(time.time_ns() // 1_000_000, len(self._templates), int(rate * seconds) + 1)
        link = stream = None
        if asked := command.get("sent"):
            link = await _watch_batches(asked, run)
        if asked := command.get("screen"):
            stream = asyncio.create_task(_watch_screen(asked, run))
            await asyncio.sleep(0.5)
        late_ms = await self._send(run, rate, seconds)
        deadline_s = time.monotonic() + float(command.get("settle_s", 5.0))
        while run.seen["stored"] < run.sent and time.monotonic() < deadline_s:  # noqa: ASYNC110  once in 20 ms is cheap
            await asyncio.sleep(0.02)
        if link is not None or stream is not None:
            await asyncio.sleep(1.5)
        if link is not None:
            await link.close()
            _read_batches(run)
        if stream is not None:
            stream.cancel()
            _read_stream(run)
        self._run = None
        return self._told(run, late_ms)

    async def _send(self, run: Run, rate: float, seconds: float) -> list[float]:
        """Gives by how many milliseconds each tick was late."""
        loop, late_ms = asyncio.get_running_loop(), []
        began_s = loop.time()
        total = int(rate * seconds)
        while run.sent < total:
            elapsed_s = loop.time() - began_s
            due = min(int(elapsed_s * rate) + 1, total)
            if due > run.sent:
                late_ms.append((elapsed_s - run.sent / rate) * 1000)
                self._send_some(run, due - run.sent)
            await asyncio.sleep(max(TICK_S, run.sent / rate - (loop.time() - began_s)))
        return late_ms

    def _send_some(self, run: Run, count: int) -> None:
        wire, terminals, packets = self._wire, len(self._templates), []
        assert wire is not None
        # Devices keep the time of their place, which is eight hours ahead of UTC.
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 8 * 3600)).encode()
        for index in range(run.sent, run.sent + count):
            topic, (before, middle, after) = self._templates[index % terminals]
            number = b"%d" % (run.first + index // terminals)
            packets.append(wire.packet(topic, b"".join((before, number, middle, now, after))))
        at_ns = time.monotonic_ns()
        wire.write(b"".join(packets))
        for index in range(run.sent, run.sent + count):
            run.sent_ns[index] = at_ns
        run.sent += count

    def _told(self, run: Run, late_ms: list[float]) -> dict[str, Any]:
        told: dict[str, Any] = {"count": run.sent, "late_ms": quantile(late_ms, 0.99)}
        for what in run.seen:
            delays = run.delays_ms(what)
            told[what] = {
                "count": run.seen[what],
                "p50_ms": quantile(delays, 0.5),
                "p99_ms": quantile(delays, 0.99),
                "within_1s": sum(delay < 1000 for delay in delays) / run.sent,
            }
        return told


# --- what leaves the box ------------------------------------------------------------------------------


async def _watch_batches(asked: dict[str, Any], run: Run) -> MqttLink:
    def heard(message: Message) -> None:
        run.frames.append((time.monotonic_ns(), message.payload))

    address = BrokerAddress(host=HOST, port=asked["port"], username=asked["user"], password=asked["password"])
    link = await MqttLink.connect(address, heard, client_id="bench-watch")
    await link.subscribe(asked["topic"])
    _add(run, "sent")
    return link


def _add(run: Run, what: str) -> None:
    run.seen[what], run.seen_ns[what] = 0, array("q", bytes(8 * len(run.sent_ns)))


def _read_batches(run: Run) -> None:
    for at_ns, frame in run.frames:
        for record in decode_batch(frame)[1]:
            _read_record(run, "sent", record, at_ns)


def _read_record(run: Run, what: str, record: bytes, at_ns: int) -> None:
    if found := _RECORD.search(record):
        run.saw(what, int(found[1]) - 1, int(found[2]), at_ns)


# --- what comes to a screen ---------------------------------------------------------------------------


async def _watch_screen(asked: dict[str, Any], run: Run) -> None:
    _add(run, "screen")
    reader, writer = await asyncio.open_connection(HOST, asked["port"], limit=2**22)
    request = f"GET /api/v1/stream HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {asked['token']}\r\n\r\n"
    writer.write(request.encode())
    try:
        while chunk := await reader.read(2**20):
            run.chunks.append((time.monotonic_ns(), chunk))
    finally:
        writer.close()


def _read_stream(run: Run) -> None:
    """Each event counts from when its last byte was here."""
    held = b""
    for at_ns, chunk in run.chunks:
        *events, held = (held + chunk).split(b"\n\n")
        for event in events:
            for item in _items(event):
                device = str(item["device"]).rpartition("-")[2]
                if "source" in item and device.isdecimal():
                    run.saw("screen", int(device) - 1, int(item["source"]["record_no"]), at_ns)


def _items(event: bytes) -> list[dict[str, Any]]:
    # Chunks of HTTP begin and end where events do, so the lengths between them are lines of their own.
    for said in event.splitlines():
        if said.startswith(b'data: {"items"'):
            items: list[dict[str, Any]] = json.loads(said[6:])["items"]
            return items
    return []


async def main(port: int, user: str, password: str, count: int) -> None:
    terminals = Terminals(count)
    await terminals.connect(port, user, password)
    loop = asyncio.get_running_loop()
    told = commands()
    while (command := await loop.run_in_executor(None, next, told, None)) is not None:
        answer(await terminals.run(command))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text().strip(), int(sys.argv[4])))
