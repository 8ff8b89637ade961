"""Hikvision ISAPI alertStream: what a camera or recorder says of itself, one EventNotificationAlert for each thing.

    <EventNotificationAlert …><channelID>1</channelID><dateTime>2026-09-01T07:55:10+08:00</dateTime>
      <eventType>VMD</eventType><eventState>active</eventState>…</EventNotificationAlert>

XML, or the same names as a JSON object. An active event is said again every second; some types never say that they
ended, and some devices leave the state away and speak only while something happens. `videoloss` with `inactive`, every
ten seconds or so, is how a camera shows that it is there; `heartBeat` is how newer firmware does.

Only the names below are read. Descriptions and channel names are free text, pictures are parts of their own: none of it
becomes a message. A document with a DOCTYPE is refused before any entity in it could mean something.
"""

from typing import Final
from xml.parsers import expat

import msgspec

from edge_agent.codecs import TOKEN_LENGTH_MAX, is_token, loose
from edge_agent.codecs.kinds.standing import Standing
from edge_agent.codecs.kinds.stream import StreamCodec
from edge_agent.message import Discard, Message
from wire.records import Scalar

_ROOT: Final = "EventNotificationAlert"
_XML: Final = frozenset({"application/xml", "text/xml"})
_CHANNELS: Final = ("channelID", "dynChannelID")
_PORTS: Final = ("inputIOPortID", "dynInputIOPortID")
_NAMES: Final = frozenset({"eventType", "eventState", "dateTime", *_CHANNELS, *_PORTS})
_NUMBER_MAX: Final = 65_535

# Stand until the camera says otherwise. Of everything else it is taken to be over when it is said no more.
LASTING: Final = frozenset(
    {
        "badvideo",
        "defocus",
        "diskerror",
        "diskfull",
        "diskunformat",
        "ipconflict",
        "nicbroken",
        "recordingfailure",
        "shelteralarm",
        "tamperdetection",
        "videoloss",
        "videomismatch",
    }
)


def decode(media_type: str, body: bytes) -> Message | Discard:
    """See StreamCodec."""
    text = loose.utf8(body)
    if text is None:
        return Discard("not_text")
    said = _from_xml(text) if media_type in _XML else _from_json(text)
    return said if isinstance(said, Discard) else _message(said)


def standing(message: Message) -> Standing | None:
    """See StreamCodec."""
    fields = message.fields
    kind, state = str(fields["event_type"]), fields["event_state"]
    key = f"{kind}/{fields.get('channel_id', '')}/{fields.get('input_port', '')}"
    ended: dict[str, Scalar] = {**fields, "event_state": "inactive", "assumed": True}
    over = None if kind in LASTING else msgspec.structs.replace(message, fields=ended, device_time=None)
    return Standing(key, state == "active", over)


def _message(said: dict[str, str]) -> Message | Discard:
    # Firmware spells illAccess and illaccess, heartBeat and heartbeat.
    kind, state = said.get("eventType", "").lower(), said.get("eventState", "active").lower()
    if kind == "heartbeat":
        return Message(kind="heartbeat")
    if not is_token(kind):
        return Discard("no_event_type")
    if state not in {"active", "inactive"}:
        return Discard("odd_event_state")
    fields: dict[str, Scalar] = {"event_type": kind, "event_state": state}
    for field, names in (("channel_id", _CHANNELS), ("input_port", _PORTS)):
        number = next((value for name in names if (value := _number(said.get(name, ""))) is not None), None)
        if number is not None:
            fields[field] = number
    time = said.get("dateTime", "")
    usable = 0 < len(time) <= TOKEN_LENGTH_MAX and time.isascii() and time.isprintable()
    return Message(kind="alert", fields=fields, device_time=time if usable else None)


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    return number if (number := int(text)) <= _NUMBER_MAX else None


# --- JSON ---------------------------------------------------------------------------------------------


class _Alert(msgspec.Struct):
    eventType: msgspec.Raw = loose.ABSENT  # noqa: N815  the device's own name
    eventState: msgspec.Raw = loose.ABSENT  # noqa: N815  the device's own name
    dateTime: msgspec.Raw = loose.ABSENT  # noqa: N815  the device's own name
    channelID: msgspec.Raw = loose.ABSENT  # noqa: N815  the device's own name
    dynChannelID: msgspec.Raw = loose.ABSENT  # noqa: N815  the device's own name
    inputIOPortID: msgspec.Raw = loose.ABSENT  # noqa: N815  the device's own name
    dynInputIOPortID: msgspec.Raw = loose.ABSENT  # noqa: N815  the device's own name


class _Wrapped(msgspec.Struct):
    EventNotificationAlert: msgspec.Raw = loose.ABSENT


def _from_json(body: bytes) -> dict[str, str] | Discard:
    wrapped = loose.struct(body, _Wrapped)
    if wrapped is None:
        return Discard("no_json")
    inner = wrapped.EventNotificationAlert
    alert = loose.struct(body if bytes(inner) == bytes(loose.ABSENT) else inner, _Alert)
    if alert is None:
        return Discard("no_json")
    texts = {name: loose.text(getattr(alert, name), TOKEN_LENGTH_MAX) for name in _NAMES}
    return {name: text for name, text in texts.items() if text is not None}


# --- XML ----------------------------------------------------------------------------------------------


class _Refused(Exception):
    """A document with a DOCTYPE, or another one than an alert."""


class _AlertReader:
    """Collects the texts of the root's own children that are wanted; everything else is passed over."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self._depth = 0
        self._name = ""

    def start(self, tag: str, _attributes: object) -> None:
        name = tag.rpartition(":")[2]
        self._depth += 1
        if self._depth == 1 and name != _ROOT:
            raise _Refused("unknown_document")
        self._name = name if self._depth == 2 and name in _NAMES else ""
        if self._name:
            self.said[name] = ""

    def end(self, _tag: str) -> None:
        self._depth -= 1
        self._name = ""

    def text(self, text: str) -> None:
        if self._name and len(self.said[self._name]) <= TOKEN_LENGTH_MAX:
            self.said[self._name] += text[: TOKEN_LENGTH_MAX + 1]

    def doctype(self, *_said: object) -> None:
        raise _Refused("doctype")


def _from_xml(body: bytes) -> dict[str, str] | Discard:
    reader = _AlertReader()
    # The bytes are UTF-8 by now, whatever their declaration says.
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003  expat's own signature
    except _Refused as refused:
        return Discard(str(refused))
    except expat.ExpatError:
        return Discard("no_xml")
    return {name: text.strip() for name, text in reader.said.items()}


_END: Final = f"</{_ROOT}>".encode()

SPEC: Final = StreamCodec(
    protocol="hik-camera",
    records=frozenset({"alert"}),
    signs={},
    harmless_keys=frozenset({"eventType", "eventState", "channelID"}),
    path="/ISAPI/Event/notification/alertStream",
    media_types={"application/xml": _END, "text/xml": _END, "application/json": b""},
    part_bytes_max=64 * 1024,
    decode=decode,
    standing=standing,
)
