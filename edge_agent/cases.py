"""Golden cases: what a device says, what the codec must make of it, and what a profile then means by it.

    <cases>/<protocol>/<case>/messages.jsonl   one MQTT message a line: {"topic", and "payload" (JSON), "text" or "hex"}
    <cases>/<protocol>/<case>/expected.json    one entry a line: {"decoded": […], "events": […]}

A case needs no code. Its people are invented, so their numbers stand in it in clear. What a real device said is played
without `reveal` and with a key of the moment: a ref under a key that everybody has would give the number away.
"""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from device_profiles.model import DeviceProfile
from edge_agent.codecs import Decoded, MqttCodec, mqtt_codec
from edge_agent.message import Discard, Message, Secret
from edge_agent.translate import DeviceInfo, Unmapped, translate
from wire.identity import Pseudonymiser

DEVICE: Final = "gate-1/face-1"
ZONE: Final = "Asia/Shanghai"
# Not a secret: the refs in expected.json are made with it, and no campus has it.
CASES_KEY: Final = b"golden cases of tests only......"

_HIDDEN: Final = "…"


@dataclass(frozen=True, slots=True)
class Played:
    """One case, played. diff: lines, expected against given; empty when they agree."""

    name: str
    diff: tuple[str, ...]


class BadCase(ValueError):
    """A case's own files cannot be read; names the file and the line."""


def case_folders(cases: Path, protocol: str) -> list[Path]:
    """The cases of a protocol, sorted by name. cases: the folder that holds one folder for each protocol."""
    folder = cases / protocol.replace("-", "_")
    return sorted(path.parent for path in folder.glob("*/messages.jsonl"))


def play(profile: DeviceProfile, folder: Path) -> Played:
    """Play one case. Raises BadCase; LookupError when the profile's protocol has no codec."""
    player = Player(mqtt_codec(profile.protocol), profile, Pseudonymiser(CASES_KEY), reveal=True)
    given = [player.play(topic, payload) for topic, payload in _messages(folder / "messages.jsonl")]
    path = folder / "expected.json"
    try:
        expected = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCase(f"{path}: {error}") from None
    diff = difflib.unified_diff(_lines(expected), _lines(given), "expected", "given", lineterm="")
    return Played(folder.name, tuple(diff))


@dataclass(frozen=True, slots=True)
class Player:
    """Says what messages become. reveal: show the numbers of people and cards in clear; zone: of the device's clock."""

    codec: MqttCodec
    profile: DeviceProfile
    pseudonymiser: Pseudonymiser
    reveal: bool = False
    zone: str = ZONE

    def play(self, topic: str, payload: bytes) -> dict[str, Any]:
        """One MQTT message: decoded, and the events of the profile without id and stamp."""
        decoded = self.codec.decode(self.codec.topic_prefix, topic, payload)
        return {
            "decoded": [self._shown(one) for one in decoded],
            "events": [event for one in decoded for event in self._events(one)],
        }

    def _shown(self, decoded: Decoded) -> dict[str, Any]:
        address, content = decoded
        if isinstance(content, Discard):
            return {"address": address, "discard": content.reason}
        told = self.codec.acknowledgements(self.codec.topic_prefix, address, content)
        return {
            "address": address,
            "message": self._shown_message(content),
            "told": [{"topic": topic, "payload": json.loads(payload)} for topic, payload in told],
        }

    def _shown_message(self, message: Message) -> dict[str, Any]:
        holder, credential = message.holder, message.credential
        everything = {
            "kind": message.kind,
            "fields": dict(message.fields),
            "record_no": message.record_no,
            "device_time": message.device_time,
            "holder": holder and {"number": self._number(holder.number), "scope": holder.scope},
            "credential": credential and {"kind": credential.kind, "number": self._number(credential.number)},
            "replayed": message.replayed,
        }
        return {key: msgspec.to_builtins(value) for key, value in everything.items() if value not in (None, {}, False)}

    def _number(self, secret: Secret | None) -> str | None:
        if secret is None:
            return None
        return secret.reveal() if self.reveal else _HIDDEN

    def _events(self, decoded: Decoded) -> list[dict[str, Any]]:
        content = decoded.content
        if not isinstance(content, Message) or content.kind not in self.codec.records:
            return []
        result = translate(self.profile, DeviceInfo(DEVICE, self.zone), content, self.pseudonymiser)
        if isinstance(result, Unmapped):
            return [{"unmapped": result.kind}]
        records = [msgspec.to_builtins(draft.record) for draft in result]
        return [{key: value for key, value in record.items() if key not in {"id", "stamp"}} for record in records]


def _messages(path: Path) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            if "hex" in row:
                payload = bytes.fromhex(row["hex"])
            elif "text" in row:
                payload = row["text"].encode("ascii")
            else:
                payload = json.dumps(row["payload"], ensure_ascii=False).encode()
            yield row["topic"], payload
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise BadCase(f"{path}:{number}: {error!r}") from None


def _lines(document: object) -> list[str]:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).splitlines()
