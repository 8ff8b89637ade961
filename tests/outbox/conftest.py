"""One box with its outbox in a folder of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outbox.making import Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "outbox.sqlite")
    yield box
    box.store.close()
