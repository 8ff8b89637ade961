"""Waiting for something that another process or a peer does."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Return once condition holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  nobody can tell us
            await asyncio.sleep(0.01)
