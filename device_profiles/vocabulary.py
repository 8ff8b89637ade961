"""What an event may say besides its topic, as closed lists: the states of a thing and the reasons of a refusal.

The words are those of ONVIF's Door Control and Access Control Service Specifications (18.12), so that a reader of the
ledger needs no table of its own. Where ONVIF is silent ours follow its spelling. A profile that uses another word is
mended before it runs; a *device's* own unknown code is no mistake of the profile and becomes `Unknown`.
"""

from collections.abc import Mapping
from typing import Final

_LOCK: Final = frozenset({"Unknown", "Locked", "Unlocked", "Fault"})
_ALARM: Final = frozenset({"Unknown", "Active", "Inactive"})

# A topic that stands here says nothing without its state.
STATES: Final[Mapping[str, frozenset[str]]] = {
    "Door/State/DoorPhysicalState": frozenset({"Unknown", "Open", "Closed", "Fault"}),
    "Door/State/LockPhysicalState": _LOCK,
    "Door/State/DoubleLockPhysicalState": _LOCK,
    "Door/State/DoorAlarm": frozenset({"Normal", "DoorForcedOpen", "DoorOpenTooLong"}),
    "Door/State/DoorTamper": frozenset({"Unknown", "NotInTamper", "TamperDetected"}),
    "Door/State/DoorFault": frozenset({"Unknown", "NotInFault", "FaultDetected"}),
    "Door/State/DoorMode": frozenset(
        {"Unknown", "Locked", "Unlocked", "Accessed", "Blocked", "LockedDown", "LockedOpen", "DoubleLocked"}
    ),
    "Camera/Tamper": _ALARM,
    "Camera/SignalLoss": _ALARM,
    "Camera/StorageFailure": _ALARM,
    "Camera/NetworkFailure": _ALARM,
    "Camera/Motion": _ALARM,
}

REASONS: Final = frozenset(
    {
        "CredentialNotEnabled",
        "CredentialNotActive",
        "CredentialExpired",
        "InvalidPIN",
        "NotPermittedAtThisTime",
        "Unauthorized",
        "Other",
        # Ours: somebody whom nobody entered anywhere was seen, and showed nothing.
        "Stranger",
    }
)
