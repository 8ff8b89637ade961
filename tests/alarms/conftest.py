from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.storage import Database
from tests.alarms.watch import Watch
from tests.readers.conftest import Rig
from tests.support.live import VIEWS


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    async with await Database.open(tmp_path / "views.sqlite", *VIEWS, durable=False) as views:
        yield Watch(Rig(views))
