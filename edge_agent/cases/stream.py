"""A line is what comes over the stream next: {"xml"} or {"json"}, a part with its headers as they should be; or the
bytes themselves, {"text"} or {"hex"}, in pieces as one likes.

The reader remembers the lines before. The boundary is `boundary`. Which states already stand is not looked at: every
alert gives its event.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from device_profiles.model import DeviceProfile
from device_profiles.protocols import ONLY_ONE
from edge_agent.cases import Heard, Replay, payload_of
from edge_agent.codecs import Decoded
from edge_agent.codecs.kinds.stream import StreamCodec
from edge_agent.codecs.multipart import Multipart
from edge_agent.message import Discard

BOUNDARY: Final = "boundary"


def replay(spec: StreamCodec, _profile: DeviceProfile) -> Replay:
    """See edge_agent.cases."""
    reader = Multipart(BOUNDARY.encode(), spec.media_types, spec.part_bytes_max)

    def heard(row: Mapping[str, Any]) -> Sequence[Heard]:
        parts = reader.feed(_bytes_of(row))
        return [
            Heard(
                Decoded(ONLY_ONE, Discard("too_large") if part.too_large else spec.decode(part.media_type, part.body))
            )
            for part in parts
        ]

    return heard


def _bytes_of(row: Mapping[str, Any]) -> bytes:
    if "xml" in row:
        return _part("application/xml", row["xml"].encode())
    if "json" in row:
        return _part("application/json", json.dumps(row["json"], ensure_ascii=False).encode())
    return payload_of(row)


def _part(media_type: str, body: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Type: {media_type}; charset="UTF-8"\r\nContent-Length: {len(body)}\r\n\r\n'
    return head.encode() + body + b"\r\n"
