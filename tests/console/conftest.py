from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.rig import Rig, assembled


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with assembled(tmp_path) as rig:
        yield rig
