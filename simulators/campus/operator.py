"""Somebody at the office who opens doors and rings the bell all day, and the proof that nothing was done twice or late.

Every command is asked for at the API like any other program does it, whatever is being killed. A box that is not
reachable is told at once; everything else must have exactly one end when the campus has come to rest, and no device may
have done what was asked more than once, or later than the lease of its box allowed.

A device whose protocol does not name what it was asked for says only that it did something. Each of these needs an
order of its own at that device, asked for in time, that did not end as not carried out.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from simulators.campus.http import ApiClient, ApiError, ApiUnreachableError
from simulators.campus.report import Commands
from simulators.journal import Journal
from wire.clock import parse_utc

log = logging.getLogger(__name__)

EVERY_S: Final = (0.5, 2.0)
# A lease lives 10 s at its box, and the desk takes at most a second to draw one.
LATE_AFTER_NS: Final = 11_000_000_000
PAGE: Final = 1000
# While the campus is down the office finds out only after a while; a bell in the middle of a lesson is worse than none.
BELL_LATE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """What may be asked of devices, of all at once. bell: asked for at the begin and the end of each lesson; else now
    and then.
    """

    devices: tuple[str, ...]
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    bell: bool = False


@dataclass(slots=True)
class Verdict:
    """What became of all commands. late, twice: executions that must not have been; open: without an end."""

    commands: Commands
    late: int = 0
    twice: int = 0
    open: int = 0


class Operator:
    """See the module."""

    def __init__(self, client: ApiClient, orders: Sequence[Order], chance: Random) -> None:
        self._client = client
        self._orders = [order for order in orders if not order.bell]
        self._bells = [order for order in orders if order.bell]
        self._chance = chance
        self._asked_ns: dict[str, int] = {}
        self._number = 0
        self.issued = 0
        self.refused = 0

    async def work(self, wall_ns: Callable[[], int]) -> None:
        """Ask for something now and then, until cancelled."""
        while self._orders:
            await asyncio.sleep(self._chance.uniform(*EVERY_S))
            await self._ask(self._chance.choice(self._orders), wall_ns)

    async def ring(self, bells_s: Iterable[float], wall_ns: Callable[[], int]) -> None:
        """Ring all bells at these seconds from now, until cancelled or there are no more. None is rung late."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for at_s in bells_s:
            left_s = began_s + at_s - loop.time()
            if left_s > -BELL_LATE_S:
                await asyncio.sleep(max(0.0, left_s))
                await asyncio.gather(*(self._ask(order, wall_ns) for order in self._bells))

    async def _ask(self, order: Order, wall_ns: Callable[[], int]) -> None:
        self._number += 1
        body = {"devices": order.devices, "name": order.name, "arguments": order.arguments, "reason": "demo"}
        key = f"demo-{self._number:08d}"
        for _ in range(2):
            # Asked again is asked now: the answer may be that of the first time, and what happened then was no later.
            asked_ns = wall_ns()
            try:
                answer = await self._client.post("/api/v1/commands", body, headers={"Idempotency-Key": key})
            except ApiError as error:
                if error.code == "box_unreachable":
                    self.issued += len(order.devices)
                    self.refused += len(order.devices)
                    return
                log.info("command refused", extra={"code": error.code})
                return
            except ApiUnreachableError:
                # Nobody knows whether it was taken. The same key once more: it is done once whatever happened.
                await asyncio.sleep(1.0)
                continue
            self.issued += len(order.devices)
            for item in answer["items"]:
                self._asked_ns[item["id"]] = asked_ns
            return

    async def ends(self) -> list[dict[str, Any]]:
        """Every command the campus knows. Raises ApiUnreachableError, ApiError."""
        items: list[dict[str, Any]] = []
        query: dict[str, str | int] = {"limit": PAGE}
        while True:
            page = await self._client.get("/api/v1/commands", **query)
            items += page["items"]
            if page["next"] is None:
                return items
            query["cursor"] = page["next"]

    async def calm(self) -> bool:
        """Whether every command has its end."""
        return all(item["state"] == "settled" for item in await self.ends())

    async def verdict(self, journal: Journal, devices: Mapping[str, str]) -> Verdict:
        """Hold what the campus says against what the devices did. devices: name in the journal -> id on the campus."""
        items = await self.ends()
        results = Counter(item["result"] for item in items if item["result"])
        done = Counter(one.request for one in journal.executed if one.request)
        nameless = self._nameless(items, journal, devices)
        late = nameless.late + sum(
            one.at_ns - self._asked_ns[one.request] > LATE_AFTER_NS
            for one in journal.executed
            if one.request in self._asked_ns
        )
        return Verdict(
            Commands(
                issued=max(self.issued, len(items) + self.refused),
                succeeded=results["succeeded"],
                rejected=results["rejected"],
                expired=results["expired"],
                unreachable=results["unreachable"] + self.refused,
                unknown=results["unknown"],
            ),
            late=late,
            twice=nameless.twice + sum(count - 1 for count in done.values() if count > 1),
            open=sum(item["state"] != "settled" for item in items),
        )

    def _nameless(
        self, items: Sequence[Mapping[str, Any]], journal: Journal, devices: Mapping[str, str]
    ) -> "_Unmatched":
        asked: dict[str, list[int]] = {}
        for item in items:
            if item["result"] in {"succeeded", "unknown", None}:
                asked_ns = self._asked_ns.get(item["id"], parse_utc(item["asked"]))
                asked.setdefault(item["device"], []).append(asked_ns)
        done: dict[str, list[int]] = {}
        for one in journal.executed:
            if not one.request:
                done.setdefault(devices[one.device], []).append(one.at_ns)
        each = [_match(asked.get(device, []), times) for device, times in done.items()]
        return _Unmatched(sum(one.late for one in each), sum(one.twice for one in each))


@dataclass(frozen=True, slots=True)
class _Unmatched:
    """Executions at devices that do not say of what. twice: more of them than there were orders."""

    late: int
    twice: int


def _match(asked_ns: Sequence[int], done_ns: Sequence[int]) -> _Unmatched:
    """Give each execution the oldest order that allowed it."""
    left = sorted(asked_ns)
    late = twice = 0
    for at_ns in sorted(done_ns):
        before = [asked for asked in left if asked <= at_ns]
        allowed = [asked for asked in before if at_ns - asked <= LATE_AFTER_NS]
        if before:
            left.remove((allowed or before)[0])
        late += bool(before) and not allowed
        twice += not before
    return _Unmatched(late, twice)
