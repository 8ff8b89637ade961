"""What systemd is told of a running campus: that it gets on, and in one line how it stands."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aggregator.admission.group import STORE_FAILURES
from wire.clock import Clock
from wire.i18n import Texts
from wire.notify import Notifier, Watchdog
from wire.rate import Rate

EACH_S: Final = 5.0
PART: Final = "ledger"


class Progress:
    """Feeds the watchdog while the ledger can be read and the loop turns, whoever is there to ask for it."""

    def __init__(
        self,
        notifier: Notifier,
        clock: Clock,
        *,
        read: Callable[[], Awaitable[object]],
        health: Callable[[], Mapping[str, Any]],
    ) -> None:
        """read: from the ledger. health: what /health says."""
        self._notifier = notifier
        self._watchdog = Watchdog(notifier, [PART])
        self._clock = clock
        self._read = read
        self._health = health
        self._texts = Texts()
        self._rate = Rate()

    async def run(self) -> None:
        """For a TaskGroup; ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watchdog.run())
            while True:
                # A disk that fails is told by whoever needs it; here it only ends the feeding.
                with contextlib.suppress(*STORE_FAILURES):
                    await self._read()
                    self._watchdog.moved(PART)
                self._notifier.status(self.status())
                await asyncio.sleep(EACH_S)

    def status(self) -> str:
        """The line for `systemctl status`."""
        health = self._health()
        behind = max((reader["lag"] for reader in health["readers"].values()), default=0)
        counts = {"live": health["edges_live"], "silent": health["edges_silent"], "behind": behind}
        self._rate.observe(self._clock.mono_ns(), health["admission"].get("records", 0))
        return self._texts("agg.status.line", rate=self._rate.per_s(), **counts)
