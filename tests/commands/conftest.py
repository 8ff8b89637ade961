from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.rig import assembled
from tests.commands.rig import Box


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with assembled(tmp_path) as rig:
        box = Box(rig)
        await box.announce()
        yield box
