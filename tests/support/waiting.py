"""Waiting for a condition, with a generous bound."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    """Return once condition() is true. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  whoever changes the state has no event to set
            await asyncio.sleep(0.005)
