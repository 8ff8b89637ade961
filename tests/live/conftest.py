from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.storage import Database
from tests.live.page import Page
from tests.support.live import VIEWS


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with await Database.open(tmp_path / "views.sqlite", *VIEWS, durable=False) as views:
        yield Page(views)
