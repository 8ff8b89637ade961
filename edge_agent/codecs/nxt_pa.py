"""NXT IP amplifiers: protobuf frames over MQTT, `channels/<tenant>/messages/…`.

A frame is a PbMsg: an id, the bytes of the message it names, who says it (`source`) and to whom. Devices and platform
speak on one tree of topics at QoS 0, so whoever listens to it hears the platform's own words too; a frame whose source
is the platform's is not for us. The message types are made from the table below, so that no generated code is kept.

    DEVICE_LOGIN         on or off line                                        a sign of life, or of its end
    TASK_START, TASK_STOP replies   a status: 0 done, anything else why not    Broadcast/Started, Stopped, Failed
    SPEAKER_CHANNEL_STATUS          the self-test of one output                Broadcast/State, Device/Alarm
    DEVICE_INFO_UPDATE   every so often: how each output is                    Device/Alarm, when it begins and ends
    KEY_PRESS            somebody at the amplifier's own keys                  Device/State/Notice

A frame of ours names the order that it is for in its `source`, as the open platform's name their session there
(`web_1`); a reply that says in its `target` whom it answers is then the answer to that order. One that does not is the
answer to the last one: what a device writes there is not in the platform's handlers.

The volume of an output stands in one message with its name and its wiring. It is asked for first (OUT_CHANNEL_GET) and
given back (OUT_CHANNEL_EDIT) with another volume and otherwise as it came, fields that we do not know among it.

Source: the open platform's own protocol file and handlers; two of its frames are golden cases.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from device_profiles.protocols.nxt_pa import TOPICS
from edge_agent.codecs import Decoded, Sign, is_token
from edge_agent.codecs.kinds.mqtt import Answer, Downlink, MqttCodec, MqttOrders
from edge_agent.codecs.kinds.standing import Standing
from edge_agent.message import Discard, Message
from edge_agent.orders import Order, Performed
from wire.records import Scalar

PAYLOAD_BYTES_MAX: Final = 64 * 1024
PLATFORM: Final = "campus-edge"
_ORDER: Final = f"{PLATFORM}_"
TEXT_MAX: Final = 64

TASK_START, TASK_START_REPLY, TASK_STOP, TASK_STOP_REPLY = 231, 232, 233, 234
OUTPUTS_GET, OUTPUTS_GET_REPLY, OUTPUT_EDIT, OUTPUT_EDIT_REPLY = 263, 264, 265, 266
DEVICE_LOGIN, DEVICE_INFO_UPDATE, KEY_PRESS, SPEAKER_STATUS = 362, 363, 364, 410
OUTPUTS_MAX: Final = 64

_F: Final = descriptor_pb2.FieldDescriptorProto
# Fields that may stand several times.
_MANY: Final = frozenset({("Outputs", "outputs")})
# Message -> field -> number and type. Only what is read or written here; protobuf passes over the rest and keeps it. A
# message within a message is bytes to it.
TABLE: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    "PbMsg": {
        "id": (1, _F.TYPE_INT32),
        "data": (2, _F.TYPE_BYTES),
        "source": (3, _F.TYPE_BYTES),
        "target": (4, _F.TYPE_BYTES),
    },
    "DeviceLogin": {"device_name": (1, _F.TYPE_BYTES), "login": (2, _F.TYPE_BOOL)},
    "TaskReply": {"status": (1, _F.TYPE_INT32), "uuid": (2, _F.TYPE_BYTES)},
    "KeyPress": {"key": (1, _F.TYPE_INT32), "pressed": (2, _F.TYPE_BOOL)},
    "SpeakerStatus": {"id": (1, _F.TYPE_UINT32), "status": (2, _F.TYPE_BOOL)},
    "Task": {
        "username": (1, _F.TYPE_STRING),
        "name": (2, _F.TYPE_STRING),
        "uuid": (3, _F.TYPE_STRING),
        "priority": (4, _F.TYPE_INT32),
        "songs": (6, _F.TYPE_STRING),
        "out_channel": (9, _F.TYPE_STRING),
        "task_type": (21, _F.TYPE_INT32),
        "song_volume": (27, _F.TYPE_INT32),
    },
    "TaskStart": {"username": (1, _F.TYPE_STRING), "task": (2, _F.TYPE_BYTES)},
    "TaskStop": {"username": (1, _F.TYPE_STRING), "uuid": (2, _F.TYPE_STRING)},
    "DeviceInfoUpdate": {"device_name": (1, _F.TYPE_BYTES), "info": (2, _F.TYPE_BYTES)},
    "DeviceInfo": {"outputs": (16, _F.TYPE_BYTES)},
    "Outputs": {"outputs": (1, _F.TYPE_BYTES)},
    "Output": {
        "id": (2, _F.TYPE_UINT32),
        "volume": (3, _F.TYPE_UINT32),
        "broken": (7, _F.TYPE_BOOL),
        "backup": (8, _F.TYPE_BOOL),
    },
    "OutputsGet": {"username": (1, _F.TYPE_STRING)},
    "OutputEdit": {"username": (1, _F.TYPE_STRING), "output": (2, _F.TYPE_BYTES)},
    "OutputEditReply": {"status": (1, _F.TYPE_INT32)},
}
SONG: Final = 3
# Bell, lesson and alarm are 1 to 3; what somebody at the office plays is an announcement.
PRIORITY: Final = 2

_STATUS: Final[Mapping[int, str]] = {
    0: "ok",
    -1: "failed",
    -2: "not_found",
    -3: "running",
    -4: "stopped",
    -5: "argument",
    -6: "forbidden",
    -7: "disk_full",
    -8: "song_exists",
    -9: "busy",
    -10: "no_disk",
    -11: "exists",
}
_KEYS: Final[Mapping[int, str]] = {0: "paging", 1: "quieter", 2: "mute", 3: "louder", 4: "factory_reset"}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="nxt_pa.proto", package="nxt_pa", syntax="proto3")
    for message, fields in TABLE.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            label = _F.LABEL_REPEATED if (message, name) in _MANY else _F.LABEL_OPTIONAL
            described.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"nxt_pa.{name}")) for name in TABLE}


MESSAGES: Final = _messages()


class AnswerTo(NamedTuple):
    """Reply token: the order that a device answers; empty when it does not say. outputs: by number, as they came."""

    request_id: str
    outputs: Mapping[int, bytes] = MappingProxyType({})


class _Refused(Exception):
    """Inside this module: these bytes make no sense, and why. Leaves as a Discard."""


def subscriptions(prefix: str) -> Sequence[str]:
    """Everything of the tenant."""
    return (f"{prefix}/messages/#",)


def decode(prefix: str, topic: str, payload: bytes) -> Sequence[Decoded]:
    """One MQTT message; nothing when it is the platform's own. Never raises."""
    if not topic.startswith(f"{prefix}/messages/"):
        return (Decoded("", Discard("foreign_topic")),)
    address = ""
    try:
        frame = _parsed("PbMsg", payload)
        address = _token(frame.source)
        if address.startswith(_ORDER):
            return ()
        return [Decoded(address, message) for message in _messages_of(frame, address)]
    except _Refused as refused:
        return (Decoded(address, Discard(str(refused))),)


def _messages_of(frame: Any, address: str) -> Sequence[Message]:  # noqa: ANN401  made at run time
    if not address:
        raise _Refused("no_device")
    data: bytes = frame.data
    target = _answered_order(_token(frame.target))
    match frame.id:
        case 362:
            login = _parsed("DeviceLogin", data)
            _check_name(login.device_name, address)
            return (Message(kind="online" if login.login else "offline"),)
        case 363:
            update = _parsed("DeviceInfoUpdate", data)
            _check_name(update.device_name, address)
            return (Message(kind="other"), *_health(_outputs(_parsed("DeviceInfo", update.info).outputs)))
        case 264:
            return (Message(kind="outputs", reply=AnswerTo(target, _outputs(data))),)
        case 266:
            fields: dict[str, Scalar] = {"status": _status(_parsed("OutputEditReply", data).status)}
            return (Message(kind="output_edit", fields=fields, reply=AnswerTo(target)),)
        case 232 | 234:
            reply = _parsed("TaskReply", data)
            fields = {"status": _status(reply.status), "task": _token(reply.uuid)}
            kind = "task_start" if frame.id == TASK_START_REPLY else "task_stop"
            return (Message(kind=kind, fields=_present(fields), reply=AnswerTo(target)),)
        case 410:
            speaker = _parsed("SpeakerStatus", data)
            return (Message(kind="speaker_status", fields={"channel": speaker.id, "passed": speaker.status}),)
        case 364:
            press = _parsed("KeyPress", data)
            if not press.pressed:
                return (Message(kind="other"),)
            return (Message(kind="key_press", fields={"key": _KEYS.get(press.key, "unknown")}),)
        case _:
            # The protocol has some two hundred messages; the others show that the device is there.
            return (Message(kind="other"),)


def _check_name(said: bytes, address: str) -> None:
    name = _token(said)
    if name and name != address:
        raise _Refused("other_device")


def _outputs(data: bytes) -> dict[int, bytes]:
    """The outputs in a pack, by number."""
    pack = _parsed("Outputs", data).outputs
    if len(pack) > OUTPUTS_MAX:
        raise _Refused("too_many_outputs")
    return {_parsed("Output", one).id: one for one in pack}


def _health(outputs: Mapping[int, bytes]) -> Iterator[Message]:
    """What may be wrong with each: it is broken, or its spare amplifier has taken over."""
    for number, data in outputs.items():
        output = _parsed("Output", data)
        for fault, active in (("broken", output.broken), ("on_backup", output.backup)):
            yield Message(kind="output_fault", fields={"channel": number, "fault": fault, "active": active})


def standing(message: Message) -> Standing | None:
    """See MqttCodec: how an output is, is said again and again."""
    fields = message.fields
    if message.kind != "output_fault":
        return None
    return Standing(f"{fields['channel']}/{fields['fault']}", bool(fields["active"]))


def _parsed(name: str, data: bytes) -> Any:  # noqa: ANN401  made at run time
    if len(data) > PAYLOAD_BYTES_MAX:
        raise _Refused("too_large")
    message = MESSAGES[name]()
    try:
        message.ParseFromString(data)
    except (DecodeError, RecursionError):
        raise _Refused("not_protobuf") from None
    return message


def _token(raw: bytes) -> str:
    text = raw[: TEXT_MAX + 1].decode("ascii", errors="replace")
    return text if is_token(text) else ""


def _answered_order(target: str) -> str:
    return target.removeprefix(_ORDER) if target.startswith(_ORDER) else ""


def _status(code: int) -> str:
    return _STATUS.get(code, "unknown")


def _present(fields: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {name: value for name, value in fields.items() if value != ""}


# --- orders -------------------------------------------------------------------------------------------


def frame(number: int, body: Any, address: str, request_id: str) -> bytes:  # noqa: ANN401  made at run time
    """A frame of the platform to one device."""
    source, target = f"{_ORDER}{request_id}".encode(), address.encode()
    data: bytes = MESSAGES["PbMsg"](
        id=number, data=body.SerializeToString(), source=source, target=target
    ).SerializeToString()
    return data


def request(prefix: str, address: str, order: Order) -> Downlink | None:
    """Play a song in zones, or stop what was started under the same name; ask for what sets a volume."""
    values = _values(order)
    topic = f"{prefix}/messages/{address}"
    match order.name:
        case "Play":
            body = MESSAGES["Task"](
                username=PLATFORM,
                name=str(values["song"])[:TEXT_MAX],
                uuid=_uuid(address, str(values["zones"])),
                priority=PRIORITY,
                songs=str(values["song"]),
                out_channel=str(values["zones"]),
                task_type=SONG,
                song_volume=int(values["volume"] or 0),
            )
            start = MESSAGES["TaskStart"](username=PLATFORM, task=body.SerializeToString())
            return Downlink(topic, frame(TASK_START, start, address, order.request_id))
        case "Stop":
            stop = MESSAGES["TaskStop"](username=PLATFORM, uuid=_uuid(address, str(values["zones"])))
            return Downlink(topic, frame(TASK_STOP, stop, address, order.request_id))
        case "SetVolume":
            ask = MESSAGES["OutputsGet"](username=PLATFORM)
            return Downlink(topic, frame(OUTPUTS_GET, ask, address, order.request_id))
        case _:
            return None


def _uuid(address: str, zones: str) -> str:
    """What is played in the same zones of one device is one task: starting it again is the same, stopping finds it."""
    return f"{address}-{zones.replace(',', '-')}"[:TEXT_MAX]


# What is not running any more has been stopped, whoever did it.
_STOPPED: Final = frozenset({"ok", "stopped", "not_found"})


def answer(message: Message) -> Answer | None:
    """The reply to a start, a stop, a question, an edit. A start that finds the task running is refused: it may be
    another song.
    """
    request_id = message.reply.request_id if isinstance(message.reply, AnswerTo) else ""
    match message.kind:
        case "outputs":
            return Answer(request_id, None)
        case "task_start" | "output_edit":
            done = message.fields["status"] == "ok"
        case "task_stop":
            done = message.fields["status"] in _STOPPED
        case _:
            return None
    performed = Performed("succeeded") if done else Performed("rejected", str(message.fields["status"]))
    return Answer(request_id, performed)


def following(prefix: str, address: str, order: Order, message: Message) -> Downlink | Performed:
    """The output as it came, with another volume; the end when the order asks for none or there is no such output."""
    values = _values(order)
    outputs = message.reply.outputs if isinstance(message.reply, AnswerTo) else {}
    data = outputs.get(int(values.get("zone") or 0))
    if order.name != "SetVolume" or data is None:
        return Performed("rejected", "not_found")
    output = MESSAGES["Output"]()
    output.ParseFromString(data)
    output.volume = int(values["volume"] or 0)
    edit = MESSAGES["OutputEdit"](username=PLATFORM, output=output.SerializeToString())
    return Downlink(f"{prefix}/messages/{address}", frame(OUTPUT_EDIT, edit, address, order.request_id))


def _values(order: Order) -> dict[str, Scalar | None]:
    return {step.resource: step.value for step in order.operations}


SPEC: Final = MqttCodec(
    protocol="nxt-pa",
    topic_prefix=TOPICS.prefix,
    payload_bytes_max=PAYLOAD_BYTES_MAX,
    subscriptions=subscriptions,
    decode=decode,
    acknowledgements=lambda _prefix, _address, _message: (),
    records=frozenset({"task_start", "task_stop", "speaker_status", "output_fault", "key_press"}),
    signs={"offline": Sign.GONE},
    harmless_keys=frozenset(),
    orders=MqttOrders(request=request, answer=answer, following=following),
    standing=standing,
)
