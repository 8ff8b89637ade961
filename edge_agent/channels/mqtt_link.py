"""What the MQTT channel needs of a connection to a broker."""

import asyncio
from typing import Protocol

from wire.mqtt_link import Message as MqttMessage


class Link(Protocol):
    """A live connection to a broker; wire.mqtt_link.MqttLink, or a test's."""

    closed: asyncio.Event
    session_present: bool

    @property
    def cause(self) -> Exception | None:
        """Why the link ended."""

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        """See MqttLink."""

    def send(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> asyncio.Future[None]:
        """See MqttLink."""

    def unsent(self) -> bool:
        """See MqttLink."""

    def ack(self, message: MqttMessage) -> None:
        """See MqttLink."""

    def pause(self) -> None:
        """See MqttLink."""

    def resume(self) -> None:
        """See MqttLink."""

    def mark(self) -> int | None:
        """See MqttLink."""

    def arrived(self, mark: int | None) -> bool:
        """See MqttLink."""

    def abort(self, cause: str = "") -> None:
        """See MqttLink."""

    async def close(self) -> None:
        """See MqttLink."""
