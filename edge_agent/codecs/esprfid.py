"""esp-rfid over MQTT: door controllers on an ESP8266 with a reader of their own, at QoS 0.

    from the door    <prefix>/send    boot (at each connection), heartbeat every 180 s, access, its log line by line
    to the door      <prefix>/cmd     {"cmd": "opendoor", "doorip": "192.0.2.40"}

All doors may share the two topics. A door signs with its hostname (before 2.0: `door`) and listens to what carries its
own IP address, which therefore stands in the settings beside the hostname.

An `access` line says what became of a card: `uid` is its number. A unit with several locks gives an array with a word
for each, leaving out what it has no word for, so that the places only count when there are as many as door names. A
line with a blank `uid` has no card: `username` is then `MQTT` for an order, which is all the answer that an order has,
and `Button` for the button beside the door. Only there is it looked at; everywhere else it is a person's name.

What others ask of a door is answered on the same topic. Lists of people come without a sender and are passed over.

Sources: firmware 2.0.0, `README-MQTT.md`; `src/mqtt.esp`, `src/rfid.esp`, `src/door.esp` and `src/main.cpp` for what
the manual leaves out (a wrong PIN, the button, the arrays).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from device_profiles.protocols.esprfid import TOPICS
from edge_agent.codecs import Decoded, loose
from edge_agent.codecs.kinds.mqtt import Answer, Downlink, MqttCodec, MqttOrders
from edge_agent.codecs.loose import ABSENT, Loose
from edge_agent.message import Discard, Message, RawCredential, Secret
from edge_agent.orders import Order, Performed
from wire.records import CredentialKind

# The firmware builds its messages in 2 KiB.
PAYLOAD_BYTES_MAX: Final = 8 * 1024
CARD_NUMBER_LENGTH_MAX: Final = 32
TIME_LENGTH_MAX: Final = 16
LOCKS_MAX: Final = 4
_WORD_LENGTH_MAX: Final = 64

_ACCESS: Final[Mapping[str, str]] = {
    "Always": "always",
    "Admin": "admin",
    "Disabled": "disabled",
    "Expired": "expired",
    "Wrong pin code": "wrong_pin",
    "Denied": "denied",
}
# Beside a blank card number only.
_OPENED_BY: Final[Mapping[str, str]] = {"MQTT": "order", "Button": "button"}
_SEVERITIES: Final[Mapping[str, str]] = {"INFO": "info", "WARN": "warning", "ERRO": "error"}
_DOOR: Final[Mapping[str, str]] = {"Door Open": "open", "Door Closed": "closed"}
_NOTICES: Final[Mapping[str, str]] = {
    "Unknown rfid tag is scanned": "unknown_tag",
    "Doorbell ringing": "doorbell",
    "Door was tampered!": "tampered",
    "Door wasn't closed within max open time!": "held_open",
    "WiFi is going to be disabled": "wifi_off",
    "Enabling WiFi": "wifi_on",
    "Connected to MQTT Server": "connected",
    "Disconnected from MQTT server": "disconnected",
    "Dropping MQTT message, out of memory": "out_of_memory",
    "System setup completed, running": "running",
    "System is going to reboot": "reboot",
    "Auto restarting...": "auto_restart",
    "Filesystem formatted": "formatted",
    "Config stored in the SPIFFS": "config_stored",
    "Event log cleared!": "log_cleared",
    "Latest Access log cleared!": "access_log_cleared",
    "Firmware update started": "update_started",
    "Firmware update is finished": "update_finished",
    "Update is failed": "update_failed",
    "Not enough space to update": "update_too_large",
    "Writing to flash is failed": "update_not_written",
}

HARMLESS_KEYS: Final = frozenset(
    {"type", "cmd", "time", "uptime", "ip", "isKnown", "access", "src", "hostname", "door", "command"}
)


class _Line(msgspec.Struct):
    """The keys that are read."""

    type: Loose = None
    cmd: Loose = None
    command: Loose = None
    time: Loose = None
    hostname: Loose = None
    door: Loose = None
    door_name: msgspec.Raw = msgspec.field(default=ABSENT, name="doorName")
    is_known: Loose = msgspec.field(default=None, name="isKnown")
    access: msgspec.Raw = ABSENT
    username: Loose = None
    uid: Loose = None
    src: Loose = None
    desc: Loose = None


class _Refused(Exception):
    """Inside this module: these bytes make no sense, and why. Leaves as a Discard."""


def subscriptions(prefix: str) -> Sequence[str]:
    """Where every door speaks."""
    return (f"{prefix}/send",)


def decode(prefix: str, topic: str, payload: bytes) -> Sequence[Decoded]:
    """One MQTT message; nothing when it is one of a list of people. Never raises."""
    if topic != f"{prefix}/send":
        return (Decoded("", Discard("foreign_topic")),)
    address = ""
    try:
        line = _line(payload)
        if _is_person(line):
            return ()
        address = loose.token(line.hostname) or loose.token(line.door) or ""
        return (Decoded(address, _message(line, address)),)
    except _Refused as refused:
        return (Decoded(address, Discard(str(refused))),)


def _line(payload: bytes) -> _Line:
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise _Refused("too_large")
    text = loose.utf8(payload)
    if text is None:
        raise _Refused("not_text")
    line = loose.struct(text, _Line)
    if line is None:
        raise _Refused("not_json")
    return line


def _is_person(line: _Line) -> bool:
    """A line of the answer to `getuserlist`: what was once sent to add somebody, as it was sent."""
    said = loose.token(line.command), loose.token(line.cmd)
    return loose.blank(line.type) and ("userfile" in said or "adduser" in said)


def _message(line: _Line, address: str) -> Message:
    if not address:
        raise _Refused("no_device")
    device_time = loose.printable(line.time, TIME_LENGTH_MAX)
    kind = loose.token(line.type)
    match kind:
        case "boot" | "heartbeat":
            return Message(kind=kind, device_time=device_time)
        case "access":
            return _access(line, device_time)
        case "INFO" | "WARN" | "ERRO":
            return _logged(line, _SEVERITIES[kind], device_time)
        case None:
            raise _Refused("no_type")
        case _:
            # Answers to what others have asked the door.
            return Message(kind="other")


# --- cards ----------------------------------------------------------------------------------------------


def _access(line: _Line, device_time: str | None) -> Message:
    words = _words(line.access)
    number = loose.text(line.uid, CARD_NUMBER_LENGTH_MAX)
    if number is None and not isinstance(loose.scalar(line.uid), str):
        raise _Refused("no_card")
    if number is None and not loose.blank(line.uid):
        raise _Refused("bad_card")
    if number is None and words == ["always"]:
        by = _OPENED_BY.get(loose.text(line.username, max(map(len, _OPENED_BY))) or "", "unknown")
        return Message(kind="opened", fields={"by": by}, device_time=device_time)
    opened = _opened(words)
    fields = {
        "access": words[opened[0] - 1] if opened else words[0],
        "known": {"true": True, "false": False}.get(str(loose.scalar(line.is_known)).lower()),
        "locks": ",".join(map(str, opened)) if opened and _places_count(line, words) else None,
    }
    credential = None if number is None else RawCredential(CredentialKind.CARD, Secret(number))
    return Message(kind="access", fields=loose.present(fields), device_time=device_time, credential=credential)


def _opened(words: Sequence[str]) -> Sequence[int]:
    """The locks that opened, counted from 1; an administrator of the first opens all of them."""
    numbers = range(1, len(words) + 1)
    return numbers if words[0] == "admin" else [lock for lock in numbers if words[lock - 1] == "always"]


def _places_count(line: _Line, words: Sequence[str]) -> bool:
    names = _array(line.door_name)
    return names is not None and len(names) == len(words)


def _words(raw: msgspec.Raw) -> list[str]:
    """What came of it, at each lock."""
    entries = _array(raw)
    if entries is None:
        entries = [raw]
    if not 0 < len(entries) <= LOCKS_MAX:
        raise _Refused("bad_access")
    return [_ACCESS.get(loose.text(entry, _WORD_LENGTH_MAX) or "", "unknown") for entry in entries]


def _array(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


# --- the log --------------------------------------------------------------------------------------------


def _logged(line: _Line, severity: str, device_time: str | None) -> Message:
    part = loose.token(line.src)
    said = loose.text(line.desc, _WORD_LENGTH_MAX) or ""
    if part == "door" and said in _DOOR:
        return Message(kind="door", fields={"state": _DOOR[said]}, device_time=device_time)
    fields = {"part": part, "notice": _NOTICES.get(said, "other"), "severity": severity}
    return Message(kind="notice", fields=loose.present(fields), device_time=device_time)


# --- orders ---------------------------------------------------------------------------------------------


def request(prefix: str, _address: str, order: Order) -> Downlink | None:
    """Open the door for as long as its own settings say; None where its IP address is not known."""
    ip = order.given.get("ip")
    commands = [step.attributes.get("command") for step in order.operations]
    if not ip or commands != ["opendoor"]:
        return None
    return Downlink(f"{prefix}/cmd", msgspec.json.encode({"cmd": "opendoor", "doorip": str(ip)}))


def answer(message: Message) -> Answer | None:
    """That the door was opened for an order. It names none, so it is the answer to the last one."""
    done = message.kind == "opened" and message.fields["by"] == "order"
    return Answer("", Performed("succeeded")) if done else None


SPEC: Final = MqttCodec(
    protocol="esprfid",
    topic_prefix=TOPICS.prefix,
    payload_bytes_max=PAYLOAD_BYTES_MAX,
    subscriptions=subscriptions,
    decode=decode,
    acknowledgements=lambda _prefix, _address, _message: (),
    records=frozenset({"access", "opened", "door", "notice"}),
    signs={},
    harmless_keys=HARMLESS_KEYS,
    orders=MqttOrders(request=request, answer=answer),
)
