"""Polling with a generous bound, for conditions that no event announces."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  the condition belongs to a thread or another process
            await asyncio.sleep(0.005)
