"""Event topics, the lane each travels in, and the MQTT topics between box and campus.

Event topics are ONVIF's (Access Control and Door Control service specifications), spelled without the
`tns1:` prefix, so that the mapping is identity. Where ONVIF is silent ours follow the same grammar.
The lane of a topic is fixed here and nowhere else; no setting overrides it.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from wire.errors import Malformed, UnknownTopic


class Lane(StrEnum):
    """Five independent number spaces between one box and the campus. Only A overtakes."""

    A = "A"  # alarms and command outcomes
    M = "M"  # money
    D = "D"  # doors, attendance, badges
    S = "S"  # states and health
    T = "T"  # telemetry


LANES: Final = tuple(Lane)

TOPICS: Final[dict[str, Lane]] = {
    # A: what a duty officer must see at once
    "Door/State/DoorAlarm": Lane.A,
    "Door/State/DoorTamper": Lane.A,
    "Door/State/DoorFault": Lane.A,
    "AccessControl/Duress": Lane.A,
    "AccessControl/WrongTries": Lane.A,
    "Fire/Alarm": Lane.A,
    "Fire/Release": Lane.A,
    "Camera/Tamper": Lane.A,
    "Camera/SignalLoss": Lane.A,
    "Camera/StorageFailure": Lane.A,
    "Camera/NetworkFailure": Lane.A,
    "Device/Alarm": Lane.A,
    "Delivery/Conflict": Lane.A,
    "Delivery/EpochForked": Lane.A,
    "Delivery/Incident": Lane.A,
    "Command/Taken": Lane.A,
    "Command/Settled": Lane.A,
    "Alarm/Transition": Lane.A,
    # M
    "Payment/Sale": Lane.M,
    "Payment/Refund": Lane.M,
    "Payment/Reversal": Lane.M,
    "Payment/Declined": Lane.M,
    # D
    "AccessControl/AccessGranted/Anonymous": Lane.D,
    "AccessControl/AccessGranted/Credential": Lane.D,
    "AccessControl/AccessGranted/Identifier": Lane.D,
    "AccessControl/AccessTaken/Anonymous": Lane.D,
    "AccessControl/AccessTaken/Credential": Lane.D,
    "AccessControl/AccessNotTaken/Anonymous": Lane.D,
    "AccessControl/AccessNotTaken/Credential": Lane.D,
    "AccessControl/Denied/Anonymous": Lane.D,
    "AccessControl/Denied/Credential": Lane.D,
    "AccessControl/Denied/CredentialNotFound": Lane.D,
    "AccessControl/Denied/Identifier": Lane.D,
    "AccessControl/Request/Anonymous": Lane.D,
    "AccessControl/Request/Credential": Lane.D,
    "AccessControl/Request/Identifier": Lane.D,
    "AccessControl/Request/Timeout": Lane.D,
    "Door/State/DoorPhysicalState": Lane.D,
    "Door/RequestToExit": Lane.D,
    "Attendance/Punch": Lane.D,
    "Badge/Presence": Lane.D,
    # S
    "AccessPoint/State/Enabled": Lane.S,
    "Credential/State/Enabled": Lane.S,
    "Credential/State/ApbViolation": Lane.S,
    "Door/State/DoorMode": Lane.S,
    "Door/State/LockPhysicalState": Lane.S,
    "Door/State/DoubleLockPhysicalState": Lane.S,
    "Biometric/Enrolled": Lane.S,
    "Biometric/TemplateRemoved": Lane.S,
    "Broadcast/Started": Lane.S,
    "Broadcast/Stopped": Lane.S,
    "Broadcast/Failed": Lane.S,
    "Broadcast/State": Lane.S,
    "Camera/Motion": Lane.S,
    "Command/Requested": Lane.S,
    "Device/State/Operating": Lane.S,
    "Device/State/Clock": Lane.S,
    "Device/State/Info": Lane.S,
    "Device/State/Notice": Lane.S,
    "Document/Applied": Lane.S,
    "EdgeNode/State/Birth": Lane.S,
    "EdgeNode/State/Death": Lane.S,
    "EdgeNode/State/OutboxPressure": Lane.S,
    "EdgeNode/State/OutboxDamaged": Lane.S,
    "EdgeNode/State/Quarantined": Lane.S,
    "EdgeNode/State/Silence": Lane.S,
    "EdgeNode/Enrolled": Lane.S,
    "Audit/Entry": Lane.S,
}

# The node of facts that the campus itself makes: requests, alarm transitions, audit.
CAMPUS_NODE: Final = "@campus"


def lane_of(topic: str) -> Lane:
    """The lane an event topic travels in. Raises UnknownTopic, naming the topic."""
    try:
        return TOPICS[topic]
    except KeyError:
        raise UnknownTopic(topic) from None


# --- MQTT topics between box and campus -------------------------------------------------------------

PROTOCOL: Final = "campus/v1"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


class Up(StrEnum):
    """Last segment of a topic that the box publishes."""

    HELLO = "hello"
    HEARTBEAT = "hb"
    A = "A"
    M = "M"
    D = "D"
    S = "S"
    T = "T"


class Down(StrEnum):
    """Last segment of a topic that the campus publishes to one box."""

    WELCOME = "welcome"
    ACK = "ack"
    COMMAND = "cmd"
    DOCUMENT = "doc"


class UpTopic(NamedTuple):
    """A parsed topic from a box."""

    campus: str
    edge: str
    leaf: Up


def is_name(text: str) -> bool:
    """Whether text may name a campus, an edge node or a device: a-z, 0-9 and hyphen, 1 to 63 long."""
    return _NAME.match(text) is not None


def up_topic(campus: str, edge: str, leaf: Up | Lane) -> str:
    """`campus/v1/<campus>/<edge>/up/<leaf>`."""
    return f"{PROTOCOL}/{campus}/{edge}/up/{leaf}"


def down_topic(campus: str, edge: str, leaf: Down) -> str:
    """`campus/v1/<campus>/<edge>/down/<leaf>`."""
    return f"{PROTOCOL}/{campus}/{edge}/down/{leaf}"


def up_filter(campus: str) -> str:
    """The subscription of a campus to all its boxes."""
    return f"{PROTOCOL}/{campus}/+/up/#"


def down_filter(campus: str, edge: str) -> str:
    """The subscription of one box."""
    return f"{PROTOCOL}/{campus}/{edge}/down/#"


def parse_up(topic: str) -> UpTopic:
    """Split a box's topic. Raises Malformed when it is not one of ours."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[:2] != ["campus", "v1"] or parts[4] != "up":
        raise Malformed(f"not a topic of a box: {topic!r:.120}")
    if not (is_name(parts[2]) and is_name(parts[3])):
        raise Malformed(f"bad name in topic: {topic!r:.120}")
    try:
        return UpTopic(parts[2], parts[3], Up(parts[5]))
    except ValueError:
        raise Malformed(f"unknown leaf in topic: {topic!r:.120}") from None


def parse_down(topic: str) -> Down:
    """The leaf of a topic that the campus published to this box. Raises Malformed."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[4] != "down":
        raise Malformed(f"not a topic to a box: {topic!r:.120}")
    try:
        return Down(parts[5])
    except ValueError:
        raise Malformed(f"unknown leaf in topic: {topic!r:.120}") from None
