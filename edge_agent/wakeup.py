"""A wake-up that cannot be lost: many tellers, one waiter, no queue."""

import asyncio


class Signal:
    """`tell` wakes the waiter now or makes its next `wait` return at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake the waiter."""
        self._event.set()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return when told, or after timeout_s; forgets what it was told."""
        if timeout_s is None:
            await self._event.wait()
        elif not self._event.is_set():
            # The one waiter is woken by its timer as by anybody else.
            timer = asyncio.get_running_loop().call_later(timeout_s, self._event.set)
            try:
                await self._event.wait()
            finally:
                timer.cancel()
        self._event.clear()
