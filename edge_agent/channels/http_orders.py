"""Commands for devices that fetch them: each waits for its device's next poll, and no longer than it may.

    asked -- poll before the deadline --> handed out -- result --> succeeded or rejected
      |                                        '-- no result in time --> unknown
      '-- deadline passes --> withdrawn: unreachable, nothing was sent

Whether a command was sent is decided in one place and at one moment, `hand_out`, which looks at the clock itself. A
result that nobody waits for (too late, or of another's command) is passed over.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge_agent.codecs.kinds.http_push import Told
from edge_agent.orders import Order, Performed
from wire.clock import NS_PER_S

WAITING_MAX: Final = 8


@dataclass(slots=True, eq=False)
class _Waiting:
    line: str
    deadline_ns: int
    handed: asyncio.Event = field(default_factory=asyncio.Event)
    told: "asyncio.Future[Performed]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class PolledOrders:
    """The commands of one channel. mono_ns: the box's monotonic clock."""

    def __init__(self, mono_ns: Callable[[], int]) -> None:
        self._mono_ns = mono_ns
        self._waiting: dict[str, dict[str, _Waiting]] = {}

    async def perform(self, order: Order, command_id: str, line: str) -> Performed:
        """Wait for the device to fetch line and to say how it went."""
        mine = self._waiting.setdefault(order.address, {})
        if len(mine) >= WAITING_MAX or command_id in mine:
            return Performed("unreachable", "busy")
        waiting = mine[command_id] = _Waiting(line, order.deadline_ns)
        try:
            try:
                async with asyncio.timeout(max(0.0, (order.deadline_ns - self._mono_ns()) / NS_PER_S)):
                    await waiting.handed.wait()
            except TimeoutError:
                if not waiting.handed.is_set():
                    return Performed("unreachable", "no_poll")
            try:
                async with asyncio.timeout(order.reply_within_s):
                    return await waiting.told
            except TimeoutError:
                return Performed("unknown", "no_answer")
        finally:
            del mine[command_id]
            if not mine:
                self._waiting.pop(order.address, None)

    def hand_out(self, address: str) -> tuple[str, ...]:
        """The lines that this device gets now; each once, none after its deadline."""
        now_ns = self._mono_ns()
        lines = []
        for waiting in self._waiting.get(address, {}).values():
            if not waiting.handed.is_set() and now_ns < waiting.deadline_ns:
                waiting.handed.set()
                lines.append(waiting.line)
        return tuple(lines)

    def told(self, address: str, told: Told) -> None:
        """The device says how a command went."""
        waiting = self._waiting.get(address, {}).get(told.command_id)
        if waiting is not None and waiting.handed.is_set() and not waiting.told.done():
            waiting.told.set_result(told.performed)
