"""Doors that remember when they were opened: the truth about commands.

A door answers an order like a real one: at once or late, with yes or no, or not at all. What it did stands here and
nowhere else: `opened` holds every moment in which it moved, by command.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from edge_agent.orders import Order, Performed
from tests.campus.chance import Chance
from tests.campus.trace import Trace

REPLY_WITHIN_S: Final = 5.0


@dataclass
class DoorTruth:
    """Of all boxes. issued_s: when the operator asked; opened_s: when a door moved. Seconds of the virtual loop."""

    trace: Trace
    issued_s: dict[str, float] = field(default_factory=dict)
    opened_s: dict[str, list[float]] = field(default_factory=dict)

    def issued(self, command_id: str) -> None:
        self.issued_s[command_id] = asyncio.get_running_loop().time()

    def opened(self, command_id: str) -> None:
        self.opened_s.setdefault(command_id, []).append(asyncio.get_running_loop().time())
        self.trace.say("door", "opened", command_id[:8])


class Door:
    """One door of one box. alive: whether the process that gives orders still lives; a dead one cannot act."""

    def __init__(self, truth: DoorTruth, chance: Chance) -> None:
        self._truth = truth
        self._chance = chance

    async def perform(self, order: Order) -> Performed:
        """Implements a channel's perform: up to a second on the wire, and then whatever the door does."""
        if self._chance.happens(0.05):
            return Performed("unreachable", "device_down")
        await asyncio.sleep(self._chance.uniform(0.0, 0.2))
        if self._chance.happens(0.03):
            return Performed("rejected", "locked_down")
        self._truth.opened(order.request_id)
        if self._chance.happens(0.05):
            await asyncio.sleep(order.reply_within_s)
            return Performed("unknown", "no_answer")
        await asyncio.sleep(self._chance.uniform(0.0, 1.5))
        return Performed("succeeded")
