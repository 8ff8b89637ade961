"""What a probe heard, told at once, and its summary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agent.channels.base import BoundDevice
from edge_agent.codecs import Codec
from edge_agent.message import Discard, Message
from edge_agent.redact import redact
from edge_agent.showing import meant, shown_message
from wire.clock import NS_PER_MS
from wire.identity import Pseudonymiser


@dataclass(slots=True)
class Report:
    """say: is told each thing when it is heard. pseudonymiser: with a key of the moment, so that nobody is named."""

    say: Callable[[dict[str, Any]], None]
    pseudonymiser: Pseudonymiser
    heard: list[dict[str, Any]] = field(default_factory=list)
    answers_ns: list[int] = field(default_factory=list)
    unanswered: int = 0

    def content(self, spec: Codec, device: BoundDevice, content: Message | Discard, raw: bytes) -> None:
        """One thing that a codec found. raw: shown redacted where it made no sense."""
        item: dict[str, Any] = {"device": device.info.id, "address": device.address}
        if isinstance(content, Discard):
            item |= {"discard": content.reason, "raw": redact(raw, spec.harmless_keys).decode()}
        else:
            events = meant(spec, device.profile, device.info, content, self.pseudonymiser)
            item |= {"message": shown_message(content), "events": [_nameless(event) for event in events]}
        self._told(item)

    def values(self, device: BoundDevice, asked: str, values: Sequence[dict[str, Any]], took_ns: int) -> None:
        """An answer to a question. asked: in the protocol's words."""
        self.answers_ns.append(took_ns)
        item = {"device": device.info.id, "address": device.address, "asked": asked, "values": list(values)}
        self._told({**item, "took_ms": round(took_ns / NS_PER_MS, 1)})

    def answered(self, what: str, took_ns: int) -> None:
        """Somebody answered, and said nothing else."""
        self.answers_ns.append(took_ns)
        self.say({"answered": what, "took_ms": round(took_ns / NS_PER_MS, 1)})

    def missed(self, device: BoundDevice, asked: str, cause: str) -> None:
        """A question without an answer, or with one that refuses it."""
        self.unanswered += 1
        self.say({"device": device.info.id, "address": device.address, "asked": asked, "cause": cause})

    def latency_ms(self) -> dict[str, float] | None:
        """min, p50, p95, max; None where nothing was asked."""
        times = sorted(self.answers_ns)
        if not times:
            return None
        at = {"min": 0, "p50": len(times) // 2, "p95": len(times) * 95 // 100, "max": len(times) - 1}
        return {name: round(times[index] / NS_PER_MS, 1) for name, index in at.items()}

    def _told(self, item: dict[str, Any]) -> None:
        self.heard.append(item)
        self.say(item)


def _nameless(event: dict[str, Any]) -> dict[str, Any]:
    """Refs under a key of the moment say nothing and look as if they did."""
    event = {name: value for name, value in event.items() if name not in {"holder_ref", "device"}}
    if "credential" in event:
        event["credential"] = {name: value for name, value in event["credential"].items() if name != "ref"}
    return event
