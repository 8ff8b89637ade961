"""Golden cases: `tests/protocols/<protocol>/<case>/` with messages.jsonl, expected.json and README.md.

One line of messages.jsonl is one MQTT message: {"topic", and "payload" (JSON), "text" (ASCII) or "hex"}. expected.json
holds for each line what the codec decodes, what the device is told after the commit, and what the shipped profile makes
of it. A case is added without code.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.codecs import Decoded, MqttCodec
from edge_agent.message import Discard, Message, Secret

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    folder: Path

    def __str__(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def protocol(self) -> str:
        return self.folder.parent.name.replace("_", "-")

    def messages(self) -> list[tuple[str, bytes]]:
        lines = (self.folder / "messages.jsonl").read_text(encoding="utf-8").splitlines()
        return [_message(json.loads(line)) for line in lines]

    def expected(self) -> list[dict[str, Any]]:
        expected: list[dict[str, Any]] = json.loads((self.folder / "expected.json").read_text(encoding="utf-8"))
        return expected


def all_cases() -> list[Case]:
    return [Case(path.parent) for path in sorted(HERE.glob("*/*/messages.jsonl"))]


def _message(row: dict[str, Any]) -> tuple[str, bytes]:
    if "hex" in row:
        return row["topic"], bytes.fromhex(row["hex"])
    if "text" in row:
        return row["topic"], row["text"].encode("ascii")
    return row["topic"], json.dumps(row["payload"], ensure_ascii=False).encode()


def shown(codec: MqttCodec, decoded: Decoded) -> dict[str, Any]:
    """What a codec gives, as JSON. Secrets stand in clear: the people of the cases are invented."""
    address, content = decoded
    if isinstance(content, Discard):
        return {"address": address, "discard": content.reason}
    told = codec.acknowledgements(codec.topic_prefix, address, content)
    return {
        "address": address,
        "message": _shown_message(content),
        "told": [{"topic": topic, "payload": json.loads(payload)} for topic, payload in told],
    }


def _shown_message(message: Message) -> dict[str, Any]:
    holder, credential = message.holder, message.credential
    everything = {
        "kind": message.kind,
        "fields": dict(message.fields),
        "record_no": message.record_no,
        "device_time": message.device_time,
        "holder": holder and {"number": clear(holder.number), "scope": holder.scope},
        "credential": credential and {"kind": credential.kind, "number": clear(credential.number)},
        "replayed": message.replayed,
    }
    return {key: msgspec.to_builtins(value) for key, value in everything.items() if value not in (None, {}, False)}


def clear(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()
