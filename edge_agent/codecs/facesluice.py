"""FaceSluice: the open MQTT protocol of Chinese face cameras and terminals (Huifan, Bio, HFSecurity and their OEMs).

    to the device      <prefix>/<ID>                    commands, Online-Ack, PushAck
    from the device    <prefix>/<ID>/Rec                RecPush      a person was recognised, or a card or code read
                       <prefix>/<ID>/Snap               StrSnapPush  a stranger; cameras also other ...SnapPush
                       <prefix>/<ID>/QRCode             QRCodePush
                       <prefix>/<ID>/IDCard, Card       IDCardPush, CardPush
                       <prefix>/<ID>/Alarm              AlarmInfoPush
                       <prefix>/<ID>/Ack                <Command>-Ack
                       <prefix>/basic                   Online until answered; Offline is the last will
                       <prefix>/heartbeat               HeartBeat every 30 to 60 s

Every message is `{"operator": ..., "messageId"?: ..., "info": {...}}` in UTF-8. Which of the record topics a firmware
uses is a setting of the device, so the operator decides what a message is and the topic only who says it; on the two
shared topics nobody but the payload says so.

A device in resume mode keeps a record until it hears `PushAck` with the record's number, and sends it again after
10 s without. `PushAckType` says in which of the device's counters the number stands: 1 SnapID, 2 RecordID, 3
SnapOrRecordID. The three count apart, so they are three spaces of `wire.identity.source_no`, and a number is confirmed
only in the counter it came from: a guess could make the device forget another record. Operators that we do not know
become `generic_push`; like the QR code, card and alarm pushes they are confirmed (type 3) when they carry
SnapOrRecordID, as the document asks for all pushes beyond the first two, and else are said once and never confirmed.

Numbers come as strings or as numbers, by firmware and by field. Unknown keys are skipped without being decoded, which
is how pictures, names, identity card and telephone numbers stay out: they never become a Python object. What is read is
read with a bound, and a code passes only as a number or a short ASCII token (`loose`).

Sources: "Intelligent Network Camera MQTT Protocol" V1.25; "Student Device Integration Guide"; one captured set of
payloads (RecPush). The names of the QR code, card, identity card and alarm pushes and of their fields come from single
gateways and are not confirmed on hardware.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from device_profiles.protocols.facesluice import TOPICS
from edge_agent.codecs import Decoded, Sign, is_token, loose
from edge_agent.codecs.kinds.mqtt import Answer, Downlink, MqttCodec, MqttOrders
from edge_agent.codecs.loose import ABSENT, Loose
from edge_agent.message import Discard, Holder, Message, RawCredential, Secret
from edge_agent.orders import Order, Performed
from wire.identity import source_no
from wire.records import CredentialKind, Scalar

# Both pictures ride inside: a face of 1 MB and a scene of 2 MB at most, V1.25 section 1.1, in base64.
PAYLOAD_BYTES_MAX: Final = 4 * 1024 * 1024

PERSON_NUMBER_LENGTH_MAX: Final = 64
CARD_NUMBER_LENGTH_MAX: Final = 64
# What the largest QR code holds.
QR_TEXT_LENGTH_MAX: Final = 4296
TIME_LENGTH_MAX: Final = 64

_SNAP_SPACE: Final = 1
_GENERIC_SPACE: Final = 2

_KINDS: Final[Mapping[str, str]] = {
    "RecPush": "rec_push",
    "StrSnapPush": "snap_push",
    "QRCodePush": "qr_code_push",
    "IDCardPush": "id_card_push",
    "CardPush": "card_push",
    "AlarmInfoPush": "alarm_push",
}
_GENERIC: Final = "generic_push"
_SHARED: Final[Mapping[str, Mapping[str, str]]] = {
    "basic": {"Online": "online", "Offline": "offline"},
    "heartbeat": {"HeartBeat": "heartbeat"},
}

# isNoMask; 0 also when the check is switched off.
_MASK: Final[Mapping[Scalar, str]] = {0: "worn_or_unchecked", 1: "missing", 2: "missing_allowed"}

HARMLESS_KEYS: Final = frozenset(
    {"operator", "messageId", "code", "result", "facesluiceId", "RecordID", "SnapID", "SnapOrRecordID", "time"}
    | {"snapTime", "VerifyStatus", "PersonType", "isNoMask", "Sendintime", "PushType", "direction", "otype"}
)


class _Envelope(msgspec.Struct):
    operator: Loose = None
    message_id: Loose = msgspec.field(default=None, name="messageId")
    code: Loose = None
    facesluice_id: Loose = msgspec.field(default=None, name="facesluiceId")
    info: msgspec.Raw = ABSENT


class _Info(msgspec.Struct):
    """The keys that are read; some have other names in other firmware."""

    facesluice_id: Loose = msgspec.field(default=None, name="facesluiceId")
    device_id: Loose = msgspec.field(default=None, name="deviceId")
    device_id_2: Loose = msgspec.field(default=None, name="DeviceID")
    record_id: Loose = msgspec.field(default=None, name="RecordID")
    snap_id: Loose = msgspec.field(default=None, name="SnapID")
    snap_or_record_id: Loose = msgspec.field(default=None, name="SnapOrRecordID")
    time: Loose = None
    snap_time: Loose = msgspec.field(default=None, name="snapTime")
    custom_id: Loose = msgspec.field(default=None, name="customId")
    person_id: Loose = msgspec.field(default=None, name="personId")
    verify_status: Loose = msgspec.field(default=None, name="VerifyStatus")
    person_type: Loose = msgspec.field(default=None, name="PersonType")
    direction: Loose = None
    otype: Loose = None
    open_door_way: Loose = msgspec.field(default=None, name="OpendoorWay")
    is_no_mask: Loose = msgspec.field(default=None, name="isNoMask")
    temperature: Loose = None
    temperature_alarm: Loose = msgspec.field(default=None, name="temperatureAlarm")
    temperature_mode: Loose = msgspec.field(default=None, name="temperatureMode")
    send_in_time: Loose = msgspec.field(default=None, name="Sendintime")
    push_type: Loose = msgspec.field(default=None, name="PushType")
    alarm_type: Loose = msgspec.field(default=None, name="AlarmType")
    alarm_type_2: Loose = msgspec.field(default=None, name="alarmType")
    sz_qr_code_data: Loose = msgspec.field(default=None, name="szQrCodeData")
    qr_code_info: Loose = msgspec.field(default=None, name="QRCodeInfo")
    qr_code_info_2: Loose = msgspec.field(default=None, name="QRcodeInfo")
    card_num_2: Loose = msgspec.field(default=None, name="cardNum2")
    rfid_card: Loose = msgspec.field(default=None, name="RFIDCard")
    ic_card_num: Loose = msgspec.field(default=None, name="ICCardNum")
    card_num: Loose = msgspec.field(default=None, name="cardNum")
    result: Loose = None


_encoder = msgspec.json.Encoder()


class _Refused(Exception):
    """Inside this module: these bytes make no sense, and why. Leaves as a Discard."""


class Confirm(NamedTuple):
    """Reply token of a push: what PushAck must say."""

    ack_type: int
    number: int


class Welcome(NamedTuple):
    """Reply token of Online."""


def subscriptions(prefix: str) -> Sequence[str]:
    """Topic filters of all devices below prefix. Their own downlinks, one level shorter, are not among them."""
    return (f"{prefix}/+/+", *(f"{prefix}/{leaf}" for leaf in _SHARED))


def decode(prefix: str, topic: str, payload: bytes) -> Sequence[Decoded]:
    """One MQTT message; nothing when it is not a device's (a downlink, another platform's Online-Ack). Never raises."""
    address = ""
    try:
        leaf, address = _classify(prefix, topic)
        decoded = _decode(leaf, address, payload)
    except _Refused as refused:
        return (Decoded(address, Discard(str(refused))),)
    return () if decoded is None else (decoded,)


def acknowledgements(prefix: str, address: str, message: Message) -> Sequence[Downlink]:
    """What the device is told once message is committed."""
    match message.reply:
        case Confirm(ack_type, number):
            info = {"PushAckType": ack_type, "SnapOrRecordID": number}
            return (command(prefix, address, "PushAck", info, f"push-{ack_type}-{number}"),)
        case Welcome():
            return (command(prefix, address, "Online-Ack", {"facesluiceId": address, "result": "ok"}),)
        case _:
            return ()


def command(
    prefix: str, address: str, operator: str, info: Mapping[str, Scalar], message_id: str | None = None
) -> Downlink:
    """Any command to one device, for example operator `Unlock` with info `{"openDoor": 1}`.

    message_id: comes back in the device's `<operator>-Ack`.
    """
    envelope: dict[str, object] = {"operator": operator}
    if message_id is not None:
        envelope["messageId"] = message_id
    envelope["info"] = info
    return Downlink(f"{prefix}/{address}", _encoder.encode(envelope))


def request(prefix: str, address: str, order: Order) -> Downlink | None:
    """An order as the terminal reads it: all steps under one operator, None when the profile mixes them."""
    operators = {str(step.attributes.get("operator", "")) for step in order.operations}
    info = {str(step.attributes["field"]): step.value for step in order.operations if step.value is not None}
    operator = operators.pop() if len(operators) == 1 else ""
    if not operator or len(info) != len(order.operations):
        return None
    return command(prefix, address, operator, info, order.request_id)


def answer(message: Message) -> Answer | None:
    """What a terminal said to an order: `200` and `ok`, or that it did not."""
    if message.kind != "command_ack":
        return None
    fields = message.fields
    done = fields.get("code") == 200 and fields.get("result", "ok") == "ok"
    performed = Performed("succeeded") if done else Performed("rejected", f"code_{fields.get('code', 'none')}")
    return Answer(str(fields.get("message_id", "")), performed)


# --- who says what ------------------------------------------------------------------------------------


# A box hears the same few topics again and again.
@lru_cache(maxsize=1024)
def _classify(prefix: str, topic: str) -> tuple[str, str]:
    """(leaf, address); the leaf is empty for a downlink, the address empty on the shared topics."""
    if not topic.startswith(f"{prefix}/"):
        raise _Refused("foreign_topic")
    first, slash, leaf = topic[len(prefix) + 1 :].partition("/")
    if not slash and first in _SHARED:
        return first, ""
    if not is_token(first) or (slash and not is_token(leaf)):
        raise _Refused("foreign_topic")
    return leaf, first


def _decode(leaf: str, address: str, payload: bytes) -> Decoded | None:
    if not leaf:
        return None
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise _Refused("too_large")
    text = loose.utf8(payload)
    if text is None:
        raise _Refused("not_text")
    envelope = loose.struct(text, _Envelope)
    if envelope is None:
        raise _Refused("not_json")
    operator = loose.token(envelope.operator)
    if operator is None:
        raise _Refused("no_operator")
    info = loose.struct(envelope.info, _Info)
    if info is None:
        raise _Refused("no_info")
    said = loose.token(info.facesluice_id) or loose.token(info.device_id) or loose.token(info.device_id_2)
    if not address:
        return _shared(leaf, operator, said or loose.token(envelope.facesluice_id), info)
    if said is not None and said != address:
        # Topics are what a broker's access list can guard; a payload that names another device is not believed.
        raise _Refused("other_device")
    if operator.endswith("-Ack"):
        return Decoded(address, _command_ack(operator.removesuffix("-Ack"), envelope, info))
    return Decoded(address, _push(operator, info))


def _shared(leaf: str, operator: str, address: str | None, info: _Info) -> Decoded | None:
    if operator.endswith("-Ack"):
        return None
    kind = _SHARED[leaf].get(operator)
    if kind is None:
        raise _Refused("wrong_topic")
    if address is None:
        raise _Refused("no_device")
    reply = Welcome() if kind == "online" else None
    return Decoded(address, Message(kind=kind, device_time=_time(info), reply=reply))


def _command_ack(operator: str, envelope: _Envelope, info: _Info) -> Message:
    fields = {
        "operator": operator,
        "message_id": loose.token(envelope.message_id),
        "code": loose.enumeration(envelope.code),
        "result": loose.enumeration(info.result),
    }
    return Message(kind="command_ack", fields=loose.present(fields))


# --- the pushes ---------------------------------------------------------------------------------------


def _push(operator: str, info: _Info) -> Message:
    kind = _KINDS.get(operator, _GENERIC)
    space, number, reply = _number_of(kind, info)
    device_time = _time(info)
    if kind == _GENERIC and number is None and device_time is None:
        raise _Refused("empty_push")
    alarm_type = loose.enumeration(info.alarm_type)
    fields: dict[str, Scalar | None] = {
        "operator": operator if kind == _GENERIC else None,
        "verify_status": loose.enumeration(info.verify_status),
        "person_type": loose.enumeration(info.person_type),
        "direction": loose.enumeration(info.direction),
        "otype": loose.enumeration(info.otype),
        "open_door_way": loose.enumeration(info.open_door_way),
        "mask": _mask(info.is_no_mask),
        "temperature": loose.measure(info.temperature),
        "temperature_alarm": loose.enumeration(info.temperature_alarm),
        "temperature_mode": loose.enumeration(info.temperature_mode),
        "alarm_type": loose.enumeration(info.alarm_type_2) if alarm_type is None else alarm_type,
    }
    return Message(
        kind=kind,
        fields=loose.present(fields),
        record_no=None if number is None else source_no(number, space),
        device_time=device_time,
        holder=_holder(info),
        credential=_credential(kind, info),
        replayed=loose.enumeration(info.push_type) == 2 or loose.enumeration(info.send_in_time) == 0,
        reply=reply,
    )


def _number_of(kind: str, info: _Info) -> tuple[int, int | None, Confirm | None]:
    """(space, number, reply): the one counter that a push of this kind stands in. Raises _Refused.

    A record or a stranger without a readable number could neither be confirmed nor be known again, and so would be
    taken for another record each time it is sent. The other pushes may have no number: then they are said once.
    """
    match kind:
        case "rec_push":
            space, ack_type, raw = 0, 2, info.record_id
        case "snap_push":
            space, ack_type, raw = _SNAP_SPACE, 1, info.snap_id
        case _:
            space, ack_type, raw = _GENERIC_SPACE, 3, info.snap_or_record_id
    if space == _GENERIC_SPACE and loose.blank(raw):
        return space, None, None
    number = loose.count(raw)
    if number is None:
        raise _Refused("bad_number")
    return space, number, Confirm(ack_type, number)


def _holder(info: _Info) -> Holder | None:
    """The school's number (customId); a person entered at the device has only a place in the device's own list."""
    custom = loose.text(info.custom_id, PERSON_NUMBER_LENGTH_MAX)
    if custom is not None:
        return Holder(Secret(custom))
    if not loose.blank(info.custom_id):
        return None
    person = loose.count(info.person_id)
    return Holder(Secret(str(person)), scope="device") if person else None


def _credential(kind: str, info: _Info) -> RawCredential | None:
    """A code or card number says what was shown; a recognition record without either is of a face."""
    if kind == "id_card_push":
        # The number of an identity card is not ours to know, not even as a ref.
        return RawCredential(CredentialKind.ID_CARD)
    code = loose.first(_qr_text, info.sz_qr_code_data, info.qr_code_info, info.qr_code_info_2)
    if code is not None:
        return RawCredential(CredentialKind.QR, Secret(code))
    card = loose.first(_card_text, info.rfid_card, info.card_num_2, info.ic_card_num, info.card_num)
    if card is not None:
        return RawCredential(CredentialKind.CARD, Secret(card))
    return RawCredential(CredentialKind.FACE) if kind in {"rec_push", "snap_push"} else None


def _card_text(raw: Loose) -> str | None:
    number = loose.text(raw, CARD_NUMBER_LENGTH_MAX)
    # Terminals write 0 for "no card".
    return number if number is not None and number.strip("0") else None


def _qr_text(raw: Loose) -> str | None:
    return loose.text(raw, QR_TEXT_LENGTH_MAX)


def _mask(raw: Loose) -> str | int | None:
    code = loose.enumeration(raw)
    return None if code is None else _MASK.get(code, code)


def _time(info: _Info) -> str | None:
    return loose.printable(info.time, TIME_LENGTH_MAX) or loose.printable(info.snap_time, TIME_LENGTH_MAX)


SPEC: Final = MqttCodec(
    protocol="facesluice",
    topic_prefix=TOPICS.prefix,
    payload_bytes_max=PAYLOAD_BYTES_MAX,
    subscriptions=subscriptions,
    decode=decode,
    acknowledgements=acknowledgements,
    records=frozenset({*_KINDS.values(), _GENERIC}),
    signs={"offline": Sign.GONE},
    harmless_keys=HARMLESS_KEYS,
    orders=MqttOrders(request=request, answer=answer),
)
