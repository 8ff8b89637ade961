"""A Modbus line in the test's hands, without a wire.

`Rig` is the channel before a link that answers at once (`FakeLink`); `Peer` is a line below pymodbus and our link, on
which every byte is the test's. Both live on virtual time.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from device_profiles.catalogue import load_catalogue
from device_profiles.model import DeviceProfile
from device_profiles.orders import plan
from edge_agent.channels.base import BoundDevice, ChannelParts
from edge_agent.channels.modbus import ModbusChannel
from edge_agent.channels.modbus_link import Dial, ModbusLink, NoAnswer, Refused, link_of
from edge_agent.channels.modbus_wire import Wire as ProtocolWire
from edge_agent.codecs.kinds.modbus import Table, Write
from edge_agent.codecs.modbus import SPEC
from edge_agent.draft import Draft
from edge_agent.health import new_counters
from edge_agent.orders import Order
from edge_agent.outbox import Appended, Fate
from edge_agent.translate import DeviceInfo
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from simulators.modbus_units import DoorBoard
from simulators.modbus_wire import Fault, Line, Unit, crc16
from tests.support.clock import VirtualClock
from wire.clock import NS_PER_S, Clock, Stamp
from wire.documents import UNTUNED, DeviceTuning
from wire.identity import Pseudonymiser
from wire.records import Event, Reading, record_lane

Kind = Literal["tcp", "rtu"]
REPLY_WITHIN_S = 0.2
QUIET_S = REPLY_WITHIN_S


def make_link(kind: Kind, *, reply_within_s: float = REPLY_WITHIN_S) -> ModbusLink:
    within_ms = int(reply_within_s * 1000)
    if kind == "tcp":
        return link_of(ModbusTcpTransport(kind="modbus-tcp", host="192.0.2.1", reply_within_ms=within_ms))
    return link_of(ModbusRtuTransport(kind="modbus-rtu", port="/dev/none", reply_within_ms=within_ms))


class Numbered:
    """Every register holds its own number."""

    def read(self, table: str, address: int, count: int) -> list[int]:
        return list(range(address, address + count))

    def write(self, table: str, address: int, words: Sequence[int]) -> None:
        raise AssertionError


class Wire(asyncio.Transport):
    """Our end. What was written goes to the peer at once; what the peer says comes for as long as it is open."""

    def __init__(self, protocol: asyncio.Protocol, heard: Callable[["Wire", bytes], None]) -> None:
        super().__init__()
        self.protocol = protocol
        self.heard = heard
        self.open = True

    def write(self, data: bytes) -> None:
        self.heard(self, bytes(data))

    def close(self) -> None:
        self.open = False

    def abort(self) -> None:
        self.open = False

    def say(self, data: bytes) -> None:
        if not self.open:
            return
        try:
            self.protocol.data_received(data)
        except Exception as error:  # noqa: BLE001  as asyncio does it; a virtual loop takes it for a failure
            context = {"message": "data_received failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


class Peer:
    """The other end: units as simulators.modbus_wire has them, and whatever the test puts between.

    spoil: from an answer as it would stand on the wire to what is said instead: pieces, each so many seconds after the
    request.
    """

    def __init__(self, kind: Kind, units: dict[int, Unit]) -> None:
        self.kind = kind
        self.line = Line(units)
        self.wire: Wire | None = None
        self.dials = 0
        self.requests: list[bytes] = []
        self.spoil: Callable[[bytes], Sequence[tuple[float, bytes]]] = lambda frame: [(0.01, frame)]
        self._answers: set[asyncio.Task[None]] = set()

    async def connect(self, link: ModbusLink) -> ModbusLink:
        async def connect(wire: ProtocolWire) -> None:
            self.dials += 1
            self.wire = Wire(wire, self._heard)
            wire.connection_made(self.wire)

        link._connect = connect
        await link.open()
        return link

    def hang_up(self) -> None:
        assert self.wire is not None
        self.wire.open = False
        self.wire.protocol.connection_lost(None)

    def _heard(self, wire: Wire, request: bytes) -> None:
        self.requests.append(request)
        task = asyncio.get_running_loop().create_task(self._answer(wire, request))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, wire: Wire, request: bytes) -> None:
        if self.kind == "tcp":
            number, unit = struct.unpack(">HxxxxB", request[:7])
            said = await self.line.answer(unit, request[7:])
            frame = b"" if said is None else struct.pack(">HHHB", number, 0, len(said) + 1, unit) + said
        else:
            assert crc16(request[:-2]) == request[-2:]
            said = await self.line.answer(request[0], request[1:-2])
            frame = b"" if said is None else request[:1] + said + crc16(request[:1] + said)
        if said is None:
            return
        passed_s = 0.0
        for after_s, piece in self.spoil(frame):
            await asyncio.sleep(after_s - passed_s)
            passed_s = after_s
            # A serial line is one, whoever has it open; a TCP connection ends with its end.
            (wire if self.kind == "tcp" else self.wire or wire).say(piece)


# --- the channel on a link of the test ----------------------------------------------------------------

PROFILES = load_catalogue().profiles
TIME_OUT_S = 0.5


class LoopClock(VirtualClock):
    """The clock of a virtual loop."""

    def mono_ns(self) -> int:
        return int(asyncio.get_running_loop().time() * NS_PER_S)

    def stamp(self) -> Stamp:
        self._mono_ns = self.mono_ns()
        return super().stamp()


class Intake:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.readings: list[Reading] = []
        self.full = False
        self.stuck: asyncio.Event | None = None

    async def accept_each(self, batches: Sequence[tuple[Sequence[Draft], Stamp | None]]) -> list[list[Appended]]:
        return [await self.accept(drafts, received) if drafts else [] for drafts, received in batches]

    async def accept(self, drafts: Sequence[Draft], received: Stamp | None = None) -> list[Appended]:
        if self.stuck is not None:
            await self.stuck.wait()
        fates = []
        for draft in drafts:
            record = draft.record
            fate = Fate.REFUSED if self.full else Fate.STORED
            if not self.full:
                if isinstance(record, Event):
                    self.events.append(record)
                elif isinstance(record, Reading):
                    self.readings.append(record)
            fates.append(Appended(fate, record_lane(record), 1, record.id))
        return fates

    def topics(self, prefix: str) -> list[str]:
        return [str(event.values.get("state", "")) for event in self.events if event.topic.startswith(prefix)]


class FakeLink:
    """A line on which a request takes turn_s, and silence a time-out and as long a pause."""

    def __init__(self, units: dict[int, Unit], turn_s: float = 0.02) -> None:
        self.units = units
        self.turn_s = turn_s
        self.dead: set[int] = set()
        self.asked: list[tuple[int, str, int, int]] = []
        self.written: list[tuple[int, Write]] = []
        self.pauses = 0
        self.at_once = 0
        self._now_at_once = 0
        self.gone = False
        self.closed = False

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        self.asked.append((unit, table, address, count))
        await self._turn(unit)
        try:
            return self.units[unit].read(table, address, count)
        except Fault as fault:
            raise Refused(fault.code) from None

    async def write(self, unit: int, write: Write) -> None:
        self.written.append((unit, write))
        await self._turn(unit)
        try:
            self.units[unit].write(write.table, write.address, write.words)
        except Fault as fault:
            raise Refused(fault.code) from None

    async def _turn(self, unit: int) -> None:
        if self.gone:
            raise ConnectionError("pulled")
        self._now_at_once += 1
        self.at_once = max(self.at_once, self._now_at_once)
        await asyncio.sleep(TIME_OUT_S if unit in self.dead else self.turn_s)
        self._now_at_once -= 1
        if unit in self.dead:
            raise NoAnswer

    async def quiet(self) -> None:
        self.pauses += 1
        await asyncio.sleep(TIME_OUT_S)

    def close(self) -> None:
        self.closed = True


class Registers:
    """A unit with numbered input registers; some are not there."""

    def __init__(self, missing: frozenset[int] = frozenset()) -> None:
        self.missing = missing
        self.values: dict[int, int] = {}
        self.reads = 0

    def read(self, table: str, address: int, count: int) -> Sequence[int]:
        self.reads += 1
        wanted = range(address, address + count)
        if self.missing & set(wanted):
            raise Fault(2)
        return [self.values.get(one, one) for one in wanted]

    def write(self, table: str, address: int, words: Sequence[int]) -> None:
        raise Fault(1)


class Rig:
    """units: the profile and the unit at each number; a line of one's own may be given as dial."""

    def __init__(
        self,
        units: Mapping[int, tuple[str | DeviceProfile, Unit]],
        *,
        dial: Dial | None = None,
        clock: Clock | None = None,
        **given: object,
    ) -> None:
        self.clock = clock or LoopClock()
        self.intake = Intake()
        self.counters = new_counters()
        self.tuned: DeviceTuning = UNTUNED
        self.link = FakeLink({number: unit for number, (_, unit) in units.items()})
        parts = ChannelParts(
            edge="gate-1",
            intake=self.intake,
            quarantine=self._no_quarantine,
            pseudonymiser=Pseudonymiser(b"k" * 16),
            clock=self.clock,
            counters=self.counters,
            tuning=lambda _: self.tuned,
        )
        bound = [
            BoundDevice(str(number), DeviceInfo(f"gate-1/u{number}", "UTC"), _profile(name), {"unit_id": 1, **given})
            for number, (name, _) in units.items()
        ]
        self.channel = ModbusChannel("bus", SPEC, bound, parts, dial or self._dial, gap_max=8)
        self.up = 0

    async def _no_quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> None:
        raise AssertionError(reason)

    async def _dial(self) -> FakeLink:
        return self.link

    def start(self) -> "asyncio.Task[None]":
        def up() -> None:
            self.up += 1

        return asyncio.get_running_loop().create_task(self.channel.run(up))

    def values(self, resource: str, quality: str = "good", device: str = "gate-1/u1") -> list[object]:
        return [
            value.value
            for reading in self.intake.readings
            if reading.device == device
            for value in reading.readings
            if (value.resource, value.quality) == (resource, quality)
        ]

    def order(self, unit: int = 1, name: str = "AccessDoor", within_s: float = 5) -> Order:
        profile = PROFILES["waveshare-relay-di"]
        return Order(
            request_id="c" * 32,
            address=str(unit),
            name=name,
            operations=plan(profile, name, {}),
            deadline_ns=self.clock.mono_ns() + int(within_s * NS_PER_S),
            reply_within_s=2,
        )


def _profile(one: str | DeviceProfile) -> DeviceProfile:
    return PROFILES[one] if isinstance(one, str) else one


def now_s() -> float:
    return asyncio.get_running_loop().time()


def board() -> DoorBoard:
    return DoorBoard(now_s)
