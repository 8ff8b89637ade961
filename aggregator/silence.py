"""Silence becomes visible: a box that says nothing for 30 s is said to be silent, once, in the ledger itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aggregator.admission.sessions import Liveness
from wire.clock import NS_PER_S, Clock
from wire.identity import derived_id
from wire.records import Event, Record
from wire.topics import CAMPUS_NODE

log = logging.getLogger(__name__)

EDGE_SILENT_S: Final = 30
LOOK_EVERY_S: Final = 5.0


class SilenceWatch:
    """Looks at every box we ought to hear; a box that never came since our own start counts from that start."""

    def __init__(
        self,
        *,
        clock: Clock,
        liveness: Callable[[], Mapping[str, Liveness]],
        edges: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]],
        append: Callable[[Sequence[Record]], Awaitable[object]],
    ) -> None:
        """edges: rows of the registry (edge, last_position). append: puts records of @campus into the ledger."""
        self._clock = clock
        self._liveness = liveness
        self._edges = edges
        self._append = append
        self._started_ns = clock.mono_ns()
        self._silent: dict[str, str] = {}

    @property
    def silent(self) -> frozenset[str]:
        """Boxes that are silent now."""
        return frozenset(self._silent)

    async def run(self) -> None:
        """Look for ever; for a TaskGroup."""
        while True:
            try:
                await self.look()
            except OSError as error:
                log.warning("silence could not be looked at", extra={"cause": str(error)})
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """One look; says what has changed since the one before."""
        live, now_ns = self._liveness(), self._clock.mono_ns()
        for row in await self._edges():
            edge = str(row["edge"])
            heard_ns = live[edge].heard_ns if edge in live else self._started_ns
            quiet = now_ns - heard_ns > EDGE_SILENT_S * NS_PER_S
            if quiet and edge not in self._silent:
                # The last record of the box names this silence, so that a restart of ours does not say it again.
                self._silent[edge] = derived_id("silence", edge, int(row["last_position"]))
                await self._say(self._silent[edge], edge, "silent")
            elif not quiet and edge in self._silent:
                await self._say(derived_id(self._silent.pop(edge), "over"), edge, "heard")

    async def _say(self, event_id: str, edge: str, state: str) -> None:
        log.warning("edge is %s", state, extra={"edge": edge})
        event = Event(
            id=event_id,
            device=CAMPUS_NODE,
            stamp=self._clock.stamp(),
            topic="EdgeNode/State/Silence",
            values={"edge": edge, "state": state},
        )
        await self._append([event])
