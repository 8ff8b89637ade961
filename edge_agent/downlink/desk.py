"""Takes commands from the campus and has them carried out.

Order of things for one command, and what a kill in between leaves:

    lease used up in memory                       nothing; the lease dies with the process
    Command/Taken in the outbox (FULL)            after the restart: outcome `unknown`
    lease looked at again, then the channel acts  after the restart: outcome `unknown`
    outcome in the outbox                         done

So a command acts at most once, never after its lease, and has one outcome. Full: at most WORKING_MAX commands are under
way; the next ones end as `rejected`, reason `busy`. A frame that is not signed by our campus is dropped and counted:
an outcome would let a stranger write into our ledger.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import msgspec

from device_profiles.model import DeviceProfile
from edge_agent.downlink.leases import LeaseBook, Refusal
from edge_agent.draft import NO_STAMP, Draft
from edge_agent.orders import NotPossible, Operation, Order, Performed, plan
from edge_agent.outbox import Appended, Fate, outcome_id, taken_id
from wire import codec
from wire.clock import Clock, Stamp
from wire.commands import Command
from wire.delivery import Heartbeat
from wire.errors import Malformed
from wire.records import Event, Outcome, Scalar

log = logging.getLogger(__name__)

WORKING_MAX: Final = 64
FULL_RETRY_S: Final = 1.0
_MS_PER_S: Final = 1000


class Intake(Protocol):
    """The intake, as far as this room knows it."""

    async def accept(self, drafts: Sequence[Draft], received: Stamp | None = None) -> list[Appended]:
        """See edge_agent.intake."""


Result = Literal["succeeded", "rejected", "expired", "unreachable", "unknown"]
Perform = Callable[[Order], Awaitable[Performed]]


@dataclass(frozen=True, slots=True)
class Target:
    """A device that may be commanded. perform: its channel's. given: its address as it stands in the settings."""

    address: str
    profile: DeviceProfile
    perform: Perform
    given: Mapping[str, object] = field(default_factory=dict)


class CommandDesk:
    """See the module. `run` must be running for commands to be carried out."""

    def __init__(
        self,
        *,
        edge: str,
        topic: str,
        targets: Mapping[str, Target],
        intake: Intake,
        clock: Clock,
        random: Callable[[int], bytes],
        verify: Callable[[bytes, str], bool],
        counters: dict[str, int],
    ) -> None:
        """topic: where our commands come from, covered by their signature. targets: by device id."""
        self._edge = edge
        self._topic = topic
        self._targets = targets
        self._intake = intake
        self._clock = clock
        self._verify = verify
        self._counters = counters
        self._leases = LeaseBook(random)
        self._session = ""
        self._group: asyncio.TaskGroup | None = None
        self._pending = 0
        self._working = 0

    async def run(self, interrupted: Sequence[Event]) -> None:
        """Carry out commands until cancelled. interrupted: Command/Taken events without an outcome, from the last run;
        each ends as unknown before anything new is taken.
        """
        for taken in interrupted:
            await self._end_interrupted(taken)
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def decorate(self, heartbeat: Heartbeat) -> Heartbeat:
        """Add a fresh lease, and what became of earlier ones. The first heartbeat of a session voids those before."""
        if heartbeat.session != self._session:
            self._session = heartbeat.session
            self._leases.void()
        now_ns = self._clock.mono_ns()
        pending = self._pending
        settled = self._leases.settled(now_ns)
        return msgspec.structs.replace(
            heartbeat, lease=self._leases.issue(now_ns), settled_leases=settled, commands_pending=pending
        )

    def disconnected(self) -> None:
        """The session is over: nothing that was sent in it may act from now on."""
        self._session = ""
        self._leases.void()

    async def take(self, frame: bytes) -> None:
        """One cmd frame. Raises Malformed when it makes no sense or is not our campus'."""
        command, signed = codec.decode_signed(frame, Command)
        if not self._verify(codec.signing_input(self._topic, signed.line), signed.signature):
            self._counters["commands_forged_total"] += 1
            raise Malformed("command is not signed by our campus")
        if self._group is None:
            self._counters["commands_dropped_total"] += 1
            return
        refusal = self._leases.take(command.lease, command.id, self._clock.mono_ns())
        if refusal is Refusal.DROPPED:
            self._counters["commands_dropped_total"] += 1
            return
        self._pending += 1
        self._group.create_task(self._settle(command, refusal), name=f"command {command.id}")

    # --- one command ----------------------------------------------------------------------------------

    async def _settle(self, command: Command, refusal: Refusal | None) -> None:
        try:
            if refusal is Refusal.EXPIRED:
                await self._end(command, "expired", refusal)
            elif refusal is not None:
                await self._end(command, "rejected", refusal)
            else:
                await self._consider(command)
        finally:
            self._pending -= 1
            self._leases.ended(command.lease)

    async def _consider(self, command: Command) -> None:
        target = self._targets.get(command.device)
        if target is None:
            await self._end(command, "rejected", "unknown_device")
            return
        try:
            operations = plan(target.profile, command.name, command.arguments)
        except NotPossible as error:
            await self._end(command, "rejected", error.reason)
            return
        if self._working >= WORKING_MAX:
            await self._end(command, "rejected", "busy")
            return
        self._working += 1
        try:
            await self._carry_out(command, target, operations)
        finally:
            self._working -= 1

    async def _carry_out(self, command: Command, target: Target, operations: tuple[Operation, ...]) -> None:
        (taken,) = await self._intake.accept([_taken(command)])
        if taken.fate is Fate.REFUSED:
            await self._end(command, "rejected", "storage_full")
            return
        if taken.fate is not Fate.STORED:
            # Taken by an earlier run of this process, which has ended it or whose end has been written since.
            return
        deadline_ns = self._leases.deadline_ns(command.lease)
        if deadline_ns is None or self._clock.mono_ns() >= deadline_ns:
            await self._end(command, "expired", Refusal.EXPIRED)
            return
        told = next(one for one in target.profile.device_commands if one.name == command.name)
        order = Order(
            request_id=command.id,
            address=target.address,
            name=command.name,
            operations=operations,
            deadline_ns=deadline_ns,
            reply_within_s=told.reply_within_ms / _MS_PER_S,
            given=target.given,
        )
        executed = self._clock.stamp()
        performed = await self._perform(target, order)
        acted = performed.result in {"succeeded", "unknown"}
        await self._end(
            command, performed.result, performed.reason, values=performed.values, executed=executed if acted else None
        )

    async def _perform(self, target: Target, order: Order) -> Performed:
        try:
            return await target.perform(order)
        except Exception as error:  # noqa: BLE001  it must end in an outcome
            # Its text may hold what the device said; its name never does.
            log.error(  # noqa: TRY400  a traceback would hold it too
                "a command failed; this is a bug of ours",
                extra={"command": order.request_id, "error": type(error).__name__},
            )
            self._counters["device_errors_total"] += 1
            return Performed("unknown", "box_error")

    # --- records --------------------------------------------------------------------------------------

    async def _end(
        self,
        command: Command,
        result: Result,
        reason: str,
        *,
        values: Mapping[str, Scalar] | None = None,
        executed: Stamp | None = None,
    ) -> None:
        await self._write(
            Outcome(
                id=outcome_id(command.id),
                stamp=NO_STAMP,
                device=command.device if command.device in self._targets else self._edge,
                command_id=command.id,
                group_id=command.group_id,
                result=result,
                reason=reason,
                executed=executed,
                values=dict(values or {}),
            )
        )

    async def _end_interrupted(self, taken: Event) -> None:
        group_id = taken.values.get("group_id")
        command_id = str(taken.values["command_id"])
        await self._write(
            Outcome(
                id=outcome_id(command_id),
                stamp=NO_STAMP,
                device=taken.device,
                command_id=command_id,
                group_id=None if group_id is None else str(group_id),
                result="unknown",
                reason="restarted",
            )
        )

    async def _write(self, outcome: Outcome) -> None:
        while True:
            (appended,) = await self._intake.accept([Draft(outcome)])
            if appended.fate is not Fate.REFUSED:
                self._counters["outcomes_total"] += 1
                return
            # No room even in the reserve of lane A. The command stays pending, which the campus is told.
            await asyncio.sleep(FULL_RETRY_S)


def _taken(command: Command) -> Draft:
    values: dict[str, Scalar] = {"command_id": command.id, "name": command.name}
    if command.group_id is not None:
        values["group_id"] = command.group_id
    return Draft(
        Event(id=taken_id(command.id), stamp=NO_STAMP, device=command.device, topic="Command/Taken", values=values)
    )
