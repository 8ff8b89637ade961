"""A line is one request: {"method", "path", "query", and "text", "rows" or "hex" for its body}.

"rows" is a list of rows, each a list of cells, joined with tabs and line feeds. A body that the codec does not want to
know is not handed to it, as the channel does. The answer stands with the last thing that was said in the request, as it
is given once everything is on disk.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from device_profiles.model import DeviceProfile
from edge_agent.cases import ZONE, Heard, Replay, payload_of
from edge_agent.codecs import Decoded
from edge_agent.codecs.kinds.http_push import Head, HttpPushCodec, Visit

# 2026-09-01 08:00:00 in ZONE.
_WALL_NS: Final = 1_788_220_800 * 1_000_000_000


def replay(spec: HttpPushCodec, _profile: DeviceProfile) -> Replay:
    """See edge_agent.cases."""

    def heard(row: Mapping[str, Any]) -> Sequence[Heard]:
        head = Head(row["method"], row["path"], row.get("query", ""))
        pushed = spec.decode(head, _body(row) if spec.keeps_body(head) else b"")
        if pushed is None:
            return ()
        answer = spec.answer(pushed, Visit(taken=True, wall_ns=_WALL_NS, zone=ZONE))
        told = {"status": answer.status, "body": answer.body.splitlines()}
        last = len(pushed.rows) - 1
        return [
            Heard(Decoded(pushed.address, one.content), [told] if number == last else [])
            for number, one in enumerate(pushed.rows)
        ]

    return heard


def _body(row: Mapping[str, Any]) -> bytes:
    if "rows" in row:
        return "\n".join("\t".join(cells) for cells in row["rows"]).encode()
    return payload_of(row) if row.keys() & {"text", "hex"} else b""
