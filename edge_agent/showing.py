"""What a device said, as a person or a golden case is shown it: the message, and what the profile makes of it."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from device_profiles.model import DeviceProfile
from edge_agent.codecs import Codec
from edge_agent.message import Message, Secret
from edge_agent.translate import DeviceInfo, Unmapped, translate
from wire.identity import Pseudonymiser

HIDDEN = "…"


def hidden(_secret: Secret) -> str:
    """The number of a person or a card, as anybody may see it."""
    return HIDDEN


def shown_message(message: Message, number: Callable[[Secret], str] = hidden) -> dict[str, Any]:
    """Without what is empty. number: how the numbers of people and cards are shown."""
    holder, credential = message.holder, message.credential
    everything = {
        "kind": message.kind,
        "fields": dict(message.fields),
        "record_no": message.record_no,
        "device_time": message.device_time,
        "holder": holder and {"number": number(holder.number), "scope": holder.scope},
        "credential": credential
        and {"kind": credential.kind, "number": credential.number and number(credential.number)},
        "replayed": message.replayed,
        "initialized": message.initialized,
    }
    return {key: msgspec.to_builtins(value) for key, value in everything.items() if value not in (None, {}, False)}


def meant(
    spec: Codec, profile: DeviceProfile, info: DeviceInfo, message: Message, pseudonymiser: Pseudonymiser
) -> Iterator[dict[str, Any]]:
    """The records that a profile makes of a message, without id and stamp; or that it makes none of a record."""
    is_record = message.kind in spec.records
    # A value that was asked for means something only where the profile says so.
    if not is_record and message.kind not in {resource.name for resource in profile.device_resources}:
        return
    result = translate(profile, info, message, pseudonymiser)
    if isinstance(result, Unmapped):
        if is_record:
            yield {"unmapped": result.kind}
        return
    for draft in result:
        record = msgspec.to_builtins(draft.record)
        yield {key: value for key, value in record.items() if key not in {"id", "stamp"}}
