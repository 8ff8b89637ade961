"""Silence becomes visible: a box that says nothing for 30 s is said to be silent, once, in the ledger itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aggregator.admission.group import STORE_FAILURES
from aggregator.admission.sessions import Liveness
from wire.clock import NS_PER_S, Clock
from wire.identity import derived_id
from wire.records import Event, Record
from wire.topics import CAMPUS_NODE

log = logging.getLogger(__name__)

EDGE_SILENT_S: Final = 30
LOOK_EVERY_S: Final = 5.0


class SilenceWatch:
    """Looks at every box we ought to hear; a box that never came since our own start counts from that start.

    The registry remembers which boxes the ledger calls silent, so that a silence that began before our start ends, too.
    An id is derived from the box's last record and the count of its silences: whatever is cut off between saying and
    remembering is said again under the same id, which the ledger takes once.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        liveness: Callable[[], Mapping[str, Liveness]],
        edges: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]],
        append: Callable[[Sequence[Record]], Awaitable[object]],
    ) -> None:
        """edges: rows of the registry (edge, last_position, silences, silence_id). append: puts records of @campus
        into the ledger.
        """
        self._clock = clock
        self._liveness = liveness
        self._edges = edges
        self._append = append
        self._started_ns = clock.mono_ns()
        self._silent: dict[str, str] = {}
        self._over: dict[str, str] = {}

    @property
    def silent(self) -> frozenset[str]:
        """Boxes that are silent now."""
        return frozenset(self._silent)

    async def run(self) -> None:
        """Look for ever; for a TaskGroup."""
        failing = False
        while True:
            try:
                await self.look()
                failing = False
            except STORE_FAILURES as error:
                if not failing:
                    failing = True
                    log.warning("silence could not be looked at", extra={"cause": str(error)})
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """One look; says what has changed since the one before."""
        live, now_ns = self._liveness(), self._clock.mono_ns()
        for row in await self._edges():
            edge, said = str(row["edge"]), str(row["silence_id"])
            # The registry may not have read yet that a silence is over.
            if said and said != self._over.get(edge):
                self._silent.setdefault(edge, said)
            heard_ns = live[edge].heard_ns if edge in live else self._started_ns
            quiet = now_ns - heard_ns > EDGE_SILENT_S * NS_PER_S
            if quiet and edge not in self._silent:
                event_id = derived_id("silence", edge, int(row["last_position"]), int(row["silences"]))
                await self._say(event_id, edge, "silent")
                self._silent[edge] = event_id
            elif not quiet and edge in live and edge in self._silent:
                await self._say(derived_id(self._silent[edge], "over"), edge, "heard")
                self._over[edge] = self._silent.pop(edge)

    async def _say(self, event_id: str, edge: str, state: str) -> None:
        event = Event(
            id=event_id,
            device=CAMPUS_NODE,
            stamp=self._clock.stamp(),
            topic="EdgeNode/State/Silence",
            values={"edge": edge, "state": state},
        )
        await self._append([event])
        log.warning("edge is %s", state, extra={"edge": edge})
