"""Commands down to a box: a release runs at most once and never late; securing state is a document.

A lease is a permission that the box itself issues in each heartbeat: 64 numbered single uses, ten seconds on the
box's monotonic clock, void after a reboot or a reconnect. A command quotes one use of one lease. There is no other
lifetime model.
"""

from typing import Annotated, Final, Literal

import msgspec

from wire.identity import EventId
from wire.records import Scalar, Short, Text

LEASE_USES: Final = 64
LEASE_VALID_S: Final = 10

LeaseId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to command this box for valid_s seconds from its sending, uses times."""

    id: LeaseId
    uses: Annotated[int, msgspec.Meta(ge=1, le=LEASE_USES)] = LEASE_USES
    valid_s: Annotated[int, msgspec.Meta(ge=1, le=LEASE_VALID_S)] = LEASE_VALID_S


class LeaseUse(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered single use of a lease, 0 up to uses - 1."""

    lease: LeaseId
    use: Annotated[int, msgspec.Meta(ge=0, lt=LEASE_USES)]


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A release: open once, pulse, play. name: the ONVIF operation or a device command of the profile."""

    id: EventId
    device: Annotated[str, msgspec.Meta(max_length=128)]
    name: Short
    operator: Short
    reason: Text
    lease: LeaseUse
    group_id: EventId | None = None
    approver: Short = ""
    arguments: Annotated[dict[Short, Scalar], msgspec.Meta(max_length=16)] = {}
    schema: Literal[1] = 1
