"""`tuning`: how often this box asks its devices, and when it takes offence. Set at the campus, for each box.

    {"schema": 1, "devices": {"door-1": {"poll_interval_ms": 500, "held_open_s": 45, "silent_after_s": 30}}}

What is not named keeps what the profile and edge.yaml say; a document without a device takes its changes back.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Final, Literal

import msgspec

from edge_agent.documents.cabinet import DocumentKind, DocumentRefused

NAME: Final = "tuning"


class DeviceTuning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """poll_interval_ms: of every value of the device; held_open_s: a door open longer is an alarm; silent_after_s:
    without a sign of life the device counts as down.
    """

    poll_interval_ms: Annotated[int, msgspec.Meta(ge=50, le=86_400_000)] | None = None
    held_open_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    silent_after_s: Annotated[int, msgspec.Meta(ge=1, le=604_800)] | None = None


UNTUNED: Final = DeviceTuning()


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole document. devices: by name within the box."""

    schema: Literal[1]
    devices: Annotated[dict[str, DeviceTuning], msgspec.Meta(max_length=1024)]


def tuning_kind(devices: Collection[str], put_in_force: Callable[[Tuning], None]) -> DocumentKind:
    """The kind. devices: names of this box; a document that names another is refused whole."""
    known = frozenset(devices)

    def parse(body: bytes) -> Tuning:
        try:
            tuning = msgspec.json.decode(body, type=Tuning)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DocumentRefused(str(error)) from None
        unknown = sorted(tuning.devices.keys() - known)
        if unknown:
            raise DocumentRefused(f"no device {unknown[0]!r:.70} on this box")
        return tuning

    return DocumentKind(NAME, parse, put_in_force)
