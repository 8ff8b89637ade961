"""The Modbus channel: one line or TCP connection, many units, each asked in its own rhythm.

    rota: who is due -> plan: requests -> link: one at a time -> decode -> told: what is news -> mailbox -> commit

One task owns the line. Before each request it looks whether somebody wants something done; an order waits for one
request at most. What the answers bring waits in a mailbox (`modbus_post`) while the disk is busy; when that is full
nobody is asked, and the turns that pass are counted as overrun. A value whose unit stopped answering is told once as
stale.

What a unit refuses is told by `modbus_jobs` from what it does not; a unit that is silent is left to `polling`; a line
that is gone ends `run`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.channels.base import BoundDevice, Channel, ChannelHealth, ChannelParts
from edge_agent.channels.bugs import Bugs
from edge_agent.channels.modbus_jobs import Job
from edge_agent.channels.modbus_link import Dial, Link, NoAnswer, Refused, dialler
from edge_agent.channels.modbus_post import Letter, Post
from edge_agent.channels.modbus_station import Station
from edge_agent.channels.polling import Rota
from edge_agent.channels.reception import Reception
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.modbus import ModbusCodec
from edge_agent.codecs.poll_plan import Request
from edge_agent.orders import UNREACHABLE, Order, Performed
from edge_agent.settings import ChannelSettings
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from edge_agent.wakeup import Signal
from wire.clock import NS_PER_S
from wire.records import Scalar, Value

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
ORDERS_MAX: Final = 32
OVERRUN_OVER_S: Final = 60

# Illegal function, address, value: the request itself is what the unit does not like.
_NEVER: Final = frozenset({1, 2, 3})
_REASONS: Final = {1: "illegal_function", 2: "illegal_address", 3: "illegal_value", 4: "device_failure", 6: "busy"}


@dataclass(frozen=True, slots=True)
class _Turn:
    """A job of a unit, as it stands in the rota."""

    station: Station
    job: Job


@dataclass(frozen=True, slots=True)
class _Asked:
    order: Order
    answer: "asyncio.Future[Performed]"


class ModbusChannel:
    """Implements edge_agent.channels.Channel."""

    def __init__(
        self,
        name: str,
        codec: ModbusCodec,
        devices: Sequence[BoundDevice],
        parts: ChannelParts,
        dial: Dial,
        *,
        gap_max: int,
        tick_s: float = TICK_S,
    ) -> None:
        self.name = name
        self._codec = codec
        self._parts = parts
        self._dial = dial
        self._tick_s = tick_s
        self._reception = Reception(name, devices, parts, Bugs(name, parts.counters), codec.harmless_keys)
        self._post = Post(self._reception)
        self._stations = {bound.address: Station(bound, codec, gap_max) for bound in devices}
        self._turns = [_Turn(station, job) for station in self._stations.values() for job in station.jobs]
        self._link: Link | None = None
        self._orders: deque[_Asked] = deque()
        self._wanted = Signal()
        self._retimed = False
        self._overrun_ns: int | None = None

    async def run(self, up: Callable[[], None]) -> None:
        """One opening of the line, until it ends. Raises OSError."""
        self._retune()
        await self._report_age()
        link = await self._dial()
        self._link = link
        up()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._serve(link))
                group.create_task(self._post.deliver())
                group.create_task(self._watch())
        except ExceptionGroup as ended:
            raise _first(ended) from None
        finally:
            self._link = None
            while self._orders:
                _end(self._orders.popleft(), UNREACHABLE)
            link.close()

    async def perform(self, order: Order) -> Performed:
        """See Channel."""
        if len(self._orders) >= ORDERS_MAX:
            return Performed("rejected", "busy")
        if self._link is None or self._stations[order.address].unit.silent:
            return UNREACHABLE
        asked = _Asked(order, asyncio.get_running_loop().create_future())
        self._orders.append(asked)
        self._wanted.tell()
        try:
            return await asked.answer
        finally:
            if asked in self._orders:
                self._orders.remove(asked)

    def health(self) -> ChannelHealth:
        """See Channel."""
        return self._reception.health(connected=self._link is not None, waiting=self._post.waiting)

    # --- the line -------------------------------------------------------------------------------------

    async def _serve(self, link: Link) -> None:
        rota = Rota.starting(range(len(self._turns)), self._now_ns())
        while True:
            await self._obey(link)
            await self._post.room()
            if self._retimed:
                self._retimed = False
                rota.retime([turn.station.interval_ns(turn.job) for turn in self._turns])
            now_ns = self._now_ns()
            left_ns = rota.due_ns() - now_ns if self._turns else NS_PER_S
            if left_ns > 0:
                await self._wanted.wait(left_ns / NS_PER_S)
                continue
            due = rota.take()
            turn = self._turns[due.job]
            station = turn.station
            if station.unit.may_be_asked(now_ns):
                now_ns = await self._poll(link, station, turn.job, now_ns)
            left_out = rota.put_back(due, station.interval_ns(turn.job), now_ns)
            if not station.unit.silent:
                self._overrun(left_out, now_ns)

    async def _poll(self, link: Link, station: Station, job: Job, now_ns: int) -> int:
        """One turn: every request, in pieces where the unit refuses one; what came is posted. Gives when it ended."""
        values: list[Value] = []
        answered = False
        waiting = deque(job.requests(now_ns))
        while waiting:
            request = waiting.popleft()
            began_ns = now_ns
            self._count("polls_total")
            try:
                words = await link.read(station.number, request.table, request.address, request.count)
            except Refused as refused:
                now_ns = self._now_ns()
                waiting.extendleft(reversed(self._refused(station, job, request, refused.code)))
            except NoAnswer:
                self._count("polls_unanswered_total")
                await link.quiet()
                now_ns = self._now_ns()
                self._missed(station, now_ns, now_ns - began_ns)
                break
            else:
                now_ns = self._now_ns()
                self._reception.answered(station.bound.address, now_ns - began_ns)
                values += request.values(words)
                for name in job.answered(request.points):
                    log.info("device refuses no more", extra={"device": station.bound.info.id, "resource": name})
            answered = True
            self._answered(station)
            if self._orders:
                await self._obey(link)
                now_ns = self._now_ns()
        self._tell(station, job, values, now_ns, answered=answered)
        return now_ns

    def _refused(self, station: Station, job: Job, request: Request, code: int) -> list[Request]:
        """What to ask in place of a request that was refused."""
        if code not in _NEVER:
            return []
        parts, name = job.refused(request, self._now_ns())
        if name is not None:
            cause = _REASONS[code]
            device = station.bound.info.id
            log.warning("device refuses a resource", extra={"device": device, "resource": name, "cause": cause})
        return parts

    def _answered(self, station: Station) -> None:
        if station.unit.silent:
            log.info("unit answers again", extra={"channel": self.name, "device": station.bound.info.id})
        station.unit.answered()

    def _missed(self, station: Station, now_ns: int, cost_ns: int) -> None:
        was_silent = station.unit.silent
        alone = all(other.unit.silent for other in self._stations.values() if other is not station)
        station.unit.missed(now_ns, cost_ns, alone=alone)
        if station.unit.silent and not was_silent:
            log.warning("unit does not answer", extra={"channel": self.name, "device": station.bound.info.id})

    def _overrun(self, left_out: int, now_ns: int) -> None:
        if left_out:
            self._parts.counters["polls_overrun_total"] += left_out
            if self._overrun_ns is None:
                log.warning("line too slow for its intervals; turns are left out", extra={"channel": self.name})
            self._overrun_ns = now_ns
        elif self._overrun_ns is not None and now_ns - self._overrun_ns >= OVERRUN_OVER_S * NS_PER_S:
            self._overrun_ns = None
            log.info("line keeps up again", extra={"channel": self.name})

    # --- orders ---------------------------------------------------------------------------------------

    async def _obey(self, link: Link) -> None:
        while self._orders:
            asked = self._orders.popleft()
            try:
                performed = await self._perform(link, asked.order)
            except BaseException:
                # The line ended or we are told to stop: the request may be on its way.
                _end(asked, Performed("unknown", "link_lost"))
                raise
            _end(asked, performed)

    async def _perform(self, link: Link, order: Order) -> Performed:
        station = self._stations[order.address]
        values: dict[str, Scalar] = {}
        for done, step in enumerate(order.operations):
            began_ns = self._now_ns()
            if began_ns >= order.deadline_ns:
                return Performed("unknown", "too_late") if done else UNREACHABLE
            try:
                if step.value is not None:
                    await link.write(
                        station.number, self._codec.write(station.bound.profile, step.resource, step.value)
                    )
                else:
                    point = station.points[step.resource]
                    words = await link.read(station.number, point.table, point.address, point.count)
                    value = point.decode(words).value
                    values |= {} if value is None else {step.resource: value}
            except Refused as refused:
                reason = _REASONS.get(refused.code, "refused")
                return Performed("unknown" if done else "rejected", reason)
            except (ValueError, KeyError):
                return Performed("unknown" if done else "rejected", "not_supported")
            except NoAnswer:
                await link.quiet()
                now_ns = self._now_ns()
                self._missed(station, now_ns, now_ns - began_ns)
                return Performed("unknown", "no_answer")
            self._answered(station)
        return Performed("succeeded", values=values)

    # --- what is told ---------------------------------------------------------------------------------

    def _tell(self, station: Station, job: Job, values: Sequence[Value], now_ns: int, *, answered: bool) -> None:
        states, measured = station.news(job, values, now_ns)
        self._parts.counters["messages_total"] += answered
        parcel = self._reception.polled(station.bound.address, states, measured, alive=answered)
        if parcel.change is not None or parcel.drafts:
            self._post.post(Letter(station, parcel, self._parts.clock.stamp(), states, measured))

    async def _watch(self) -> None:
        while True:
            self._retune()
            await self._report_age()
            await asyncio.sleep(self._tick_s)

    def _retune(self) -> None:
        """The campus may have set another rhythm, and who waits for an hour must hear of it."""
        changed = [station.retune(self._parts.tuning(station.bound.info.id)) for station in self._stations.values()]
        if any(changed):
            self._retimed = True
            self._wanted.tell()

    async def _report_age(self) -> None:
        for parcel in self._reception.silent():
            await self._reception.settle(parcel)
        now_ns = self._now_ns()
        for station in self._stations.values():
            if old := station.grown_old(now_ns):
                parcel = self._reception.polled(station.bound.address, [], old, alive=False)
                await self._reception.settle(parcel)

    def _now_ns(self) -> int:
        return self._parts.clock.mono_ns()

    def _count(self, name: str) -> None:
        self._parts.counters[name] += 1


def _end(asked: _Asked, performed: Performed) -> None:
    if not asked.answer.done():
        asked.answer.set_result(performed)


def _first(ended: ExceptionGroup[Exception]) -> Exception:
    error: Exception = ended
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def make(settings: ChannelSettings, devices: Sequence[BoundDevice], parts: ChannelParts, password: str) -> Channel:
    """The channel of one entry of the settings. Raises LookupError when its protocol is not Modbus."""
    del password
    spec = codec(settings.protocol, ModbusCodec)
    transport = settings.transport
    if not isinstance(transport, ModbusTcpTransport | ModbusRtuTransport):
        raise TypeError(transport.kind)
    return ModbusChannel(settings.name, spec, devices, parts, dialler(transport), gap_max=transport.gap_max)
