"""The documents that a campus sends to its boxes, as far as both must understand them.

`tuning`: how often a box asks its devices, and when it takes offence.

    {"schema": 1, "devices": {"door-1": {"poll_interval_ms": 500, "held_open_s": 45, "silent_after_s": 30}}}

What is not named keeps what the profile and the box's own settings say; a document without a device takes all changes
back.
"""

from typing import Annotated, Final, Literal

import msgspec

from wire.errors import Malformed

TUNING: Final = "tuning"
DOCUMENT_BYTES_MAX: Final = 4 * 1024 * 1024


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


def read_tuning(body: bytes) -> Tuning:
    """Raises Malformed with the field at fault."""
    try:
        return msgspec.json.decode(body, type=Tuning)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from None
