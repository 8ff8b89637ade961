"""What the Modbus channel does with a link, for tests of the link alone."""

import asyncio
from collections.abc import Sequence

import pytest

from edge_agent.channels.modbus_link import Link, NoAnswer

both = pytest.mark.parametrize("kind", ["tcp", "rtu"])


async def read(link: Link, address: int, count: int = 1) -> Sequence[int] | None:
    """What the channel does: after no answer, quiet. None when there was none."""
    try:
        return await link.read(1, "holding_registers", address, count)
    except NoAnswer:
        await link.quiet()
        return None


async def read_for_ever(link: Link) -> None:
    while True:
        await read(link, 1)
        await asyncio.sleep(0)
