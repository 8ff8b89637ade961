"""One box with its outbox in a folder of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outbox.damage_rig import Sample, make_sample
from tests.outbox.making import Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "outbox.sqlite")
    yield box
    box.store.close()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Made once: every test harms a copy."""
    return make_sample(tmp_path_factory.mktemp("sound"), tmp_path_factory.mktemp("cut"))
