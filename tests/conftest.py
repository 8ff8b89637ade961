"""Fixtures for every test: real brokers from Debian's packages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mosquitto import AnonymousBroker, Mosquitto


@pytest.fixture
def anonymous_broker(tmp_path: Path) -> Iterator[AnonymousBroker]:
    """A running mosquitto that lets everybody in."""
    folder = tmp_path / "anonymous-broker"
    folder.mkdir()
    broker = AnonymousBroker(folder)
    with broker.running():
        yield broker


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running mosquitto with the configuration that we ship, and no users yet."""
    broker = Mosquitto(tmp_path / "broker")
    with broker.running():
        yield broker
