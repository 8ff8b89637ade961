"""Frames of NXT amplifiers, read and made by protobuf's own compiler.

The message types below are written from the open platform's protocol file, with its names; what grpc_tools.protoc makes
of them shares nothing with our codec's table or our simulator's writer.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from device_profiles.catalogue import load_catalogue
from edge_agent.codecs.kinds.mqtt import Downlink
from edge_agent.codecs.nxt_pa import SPEC, request
from edge_agent.message import Message
from edge_agent.orders import Order, Performed, plan
from simulators.device import Moment
from simulators.nxt_pa import Amplifier, AmplifierConfig, Key
from tests.protocols.cases import all_cases
from tests.simulators.rig import Seen

pytestmark = pytest.mark.peer

PREFIX = SPEC.topic_prefix
DEVICE = "NXT2204-000001"
TOPIC = f"{PREFIX}/messages/{DEVICE}"
ORDER = "1f" * 16
NOW = Moment(10.0, 1_788_220_510.0)
PROTO = """
syntax = "proto3";
package facts;

enum MsgId {
  INVALID_ID = 0;
  TASK_START = 231;  TASK_START_REPLY = 232;  TASK_STOP = 233;  TASK_STOP_REPLY = 234;
  OUT_CHANNEL_GET = 263;  OUT_CHANNEL_GET_REPLY = 264;  OUT_CHANNEL_EDIT = 265;  OUT_CHANNEL_EDIT_REPLY = 266;
  DEVICE_LOGIN = 362;  DEVICE_INFO_UPDATE = 363;  KEY_PRESS = 364;
  SPEAKER_CHANNEL_STATUS_GET = 408;  SPEAKER_CHANNEL_STATUS = 410;
}
enum Status {
  SUCCEED = 0;  FAILED = -1;  TASK_NOT_FOUND = -2;  TASK_RUNNING = -3;  TASK_STOPPED = -4;  ARG_ERROR = -5;
  FORBIDDEN = -6;  DISK_FULL = -7;  SONG_EXIST = -8;  SYSTEM_BUSY = -9;  UDISK_UNMOUNT = -10;  TASK_EXIST = -11;
}
enum AudioSource { SONG = 0;  IN_CHANNEL = 1;  MIX = 2;  RADIO = 3;  STREAM = 4; }
enum TaskType { SCHEDULE_TASK = 0;  SONG_REALTIME_TASK = 3;  TEXT_REALTIME_TASK = 5;  ALARM_IN_TASK = 6; }
enum Key { KEY_PAGING = 0;  KEY_VOLUME_DEC = 1;  KEY_MUTE = 2;  KEY_VOLUME_INC = 3;  KEY_RESTORE_FACTORY = 4; }

message PbMsg {
  MsgId id = 1;  bytes data = 2;  string source = 3;  string target = 4;  bool transfer = 5;
  string transfer_target = 6;
}
message DeviceLogin { string device_name = 1;  bool login = 2; }
message Task {
  string username = 1;  string name = 2;  string uuid = 3;  int32 priority = 4;  AudioSource source = 5;
  string songs = 6;  string in_channel = 7;  string out_channel = 9;  bool running = 14;  uint32 cyclic_times = 19;
  int32 master_volume = 20;  TaskType task_type = 21;  uint32 voice_volume = 26;  uint32 song_volume = 27;
  string text = 28;  uint32 duration = 33;  string out_area = 43;
}
message TaskStart { string username = 1;  Task task = 2; }
message TaskStop { string username = 1;  string uuid = 2;  TaskType task_type = 3; }
message TaskStartReply { Status status = 1;  string uuid = 2; }
message TaskStopReply { Status status = 1;  string uuid = 2; }
message KeyPress { Key id = 1;  bool pressed = 2; }
message SpeakerChannelStatus { uint32 id = 1;  bool status = 2; }
message ChannelAttr {
  string aliase = 1;  uint32 id = 2;  uint32 volume = 3;  uint32 realid = 4;  bool load = 6;  bool broken = 7;
  bool backup = 8;  float power = 9;  bool with_power = 10;  bool mute = 14;
}
message ChannelPack { repeated ChannelAttr channel = 1; }
message OutChannelGet { string username = 1; }
message OutChannelGetReply { repeated ChannelAttr channel = 1; }
message OutChannelEdit { string username = 1;  ChannelAttr attr = 2; }
message OutChannelEditReply { Status status = 1; }
message DeviceInfo { string product_name = 2;  string device_name = 11;  ChannelPack out_channel = 16; }
message DeviceInfoUpdate { string device_name = 1;  DeviceInfo info = 2; }
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("proto")
    (folder / "facts.proto").write_text(PROTO)
    argv = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--python_out={folder}", "facts.proto"]
    subprocess.run(argv, check=True, capture_output=True, cwd=folder)
    spec = importlib.util.spec_from_file_location("facts_pb2", folder / "facts_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fields_of(message: Any) -> dict[str, Any]:
    """Every field that is set. What no field of the facts names would be an unknown field, and is an error here."""
    assert message.SerializeToString(deterministic=True) == type(message)(
        **{field.name: value for field, value in message.ListFields()}
    ).SerializeToString(deterministic=True), "fields that the facts do not have"
    return {field.name: value for field, value in message.ListFields()}


def order(name: str, **arguments: str | int) -> Order:
    profile = load_catalogue(()).profiles["nxt-pa"]
    return Order(
        request_id=ORDER,
        address=DEVICE,
        name=name,
        operations=plan(profile, name, arguments),
        deadline_ns=1,
        reply_within_s=5.0,
    )


def ordered(name: str, **arguments: str | int) -> bytes:
    """What our codec puts on the device's topic."""
    told = request(PREFIX, DEVICE, order(name, **arguments))
    assert told is not None
    assert told.topic == TOPIC
    return told.payload


def heard(payload: bytes) -> Message:
    """What our codec makes first of a frame of the device."""
    (address, message), *_ = SPEC.decode(PREFIX, TOPIC, payload)
    assert address == DEVICE
    assert isinstance(message, Message)
    return message


def amplifier(seen: Seen | None = None) -> Amplifier:
    device = Amplifier(AmplifierConfig(device_id=DEVICE), witness=seen or Seen())
    device.connected(NOW)
    return device


# --- our orders, read by the compiler ---------------------------------------------------------------------


def test_play_is_read_whole(facts: Any) -> None:
    frame = facts.PbMsg.FromString(ordered("Play", song="bell.mp3", zones="1,2", volume=12))
    assert {name: value for name, value in fields_of(frame).items() if name != "data"} == {
        "id": facts.TASK_START,
        "source": f"campus-edge_{ORDER}",
        "target": DEVICE,
    }
    start = facts.TaskStart.FromString(frame.data)
    assert start.username == "campus-edge"
    assert fields_of(start.task) == {
        "username": "campus-edge",
        "name": "bell.mp3",
        "uuid": f"{DEVICE}-1-2",
        "priority": 2,
        "songs": "bell.mp3",
        "out_channel": "1,2",
        "task_type": facts.SONG_REALTIME_TASK,
        "song_volume": 12,
    }


def test_stop_is_read_whole_and_names_the_same_task(facts: Any) -> None:
    frame = facts.PbMsg.FromString(ordered("Stop", zones="1,2"))
    assert (frame.id, frame.source, frame.target) == (facts.TASK_STOP, f"campus-edge_{ORDER}", DEVICE)
    assert fields_of(facts.TaskStop.FromString(frame.data)) == {"username": "campus-edge", "uuid": f"{DEVICE}-1-2"}


def test_a_volume_is_set_in_the_output_as_it_came(facts: Any) -> None:
    """Whatever the device says of an output comes back as it was, also what our codec has no name for."""
    asked = facts.PbMsg.FromString(ordered("SetVolume", zone=2, volume=5))
    assert (asked.id, asked.source, asked.target) == (facts.OUT_CHANNEL_GET, f"campus-edge_{ORDER}", DEVICE)
    assert fields_of(facts.OutChannelGet.FromString(asked.data)) == {"username": "campus-edge"}
    channels = [
        facts.ChannelAttr(aliase="操场", id=2, volume=11, realid=3, load=True, power=17.5, with_power=True, mute=True),
        facts.ChannelAttr(aliase="走廊", id=1, volume=4),
    ]
    body = facts.OutChannelGetReply(channel=channels).SerializeToString()
    reply = facts.PbMsg(id=facts.OUT_CHANNEL_GET_REPLY, data=body, source=DEVICE, target=asked.source)
    assert SPEC.orders is not None
    told = SPEC.orders.following(PREFIX, DEVICE, order("SetVolume", zone=2, volume=5), heard(reply.SerializeToString()))
    assert isinstance(told, Downlink)
    frame = facts.PbMsg.FromString(told.payload)
    assert (told.topic, frame.id, frame.source) == (TOPIC, facts.OUT_CHANNEL_EDIT, f"campus-edge_{ORDER}")
    edit = facts.OutChannelEdit.FromString(frame.data)
    channels[0].volume = 5
    assert edit.attr == channels[0]


# --- the compiler's frames, read by our codec -------------------------------------------------------------


def test_replies_of_every_status_are_read(facts: Any) -> None:
    said = {}
    for name, number in facts.Status.items():
        reply = facts.TaskStartReply(status=number, uuid="t-1").SerializeToString()
        frame = facts.PbMsg(id=facts.TASK_START_REPLY, data=reply, source=DEVICE, target="web_1")
        message = heard(frame.SerializeToString())
        assert (message.kind, message.fields["task"]) == ("task_start", "t-1")
        said[name] = message.fields["status"]
    assert said == {
        "SUCCEED": "ok",
        "FAILED": "failed",
        "TASK_NOT_FOUND": "not_found",
        "TASK_RUNNING": "running",
        "TASK_STOPPED": "stopped",
        "ARG_ERROR": "argument",
        "FORBIDDEN": "forbidden",
        "DISK_FULL": "disk_full",
        "SONG_EXIST": "song_exists",
        "SYSTEM_BUSY": "busy",
        "UDISK_UNMOUNT": "no_disk",
        "TASK_EXIST": "exists",
    }


def test_what_devices_say_by_themselves_is_read(facts: Any) -> None:
    def said(number: int, body: Any) -> Message:
        return heard(facts.PbMsg(id=number, data=body.SerializeToString(), source=DEVICE).SerializeToString())

    assert said(facts.DEVICE_LOGIN, facts.DeviceLogin(device_name=DEVICE, login=True)).kind == "online"
    assert said(facts.DEVICE_LOGIN, facts.DeviceLogin(device_name=DEVICE, login=False)).kind == "offline"
    assert said(facts.DEVICE_INFO_UPDATE, facts.DeviceInfoUpdate(device_name=DEVICE)).kind == "other"
    broken = facts.ChannelPack(channel=[facts.ChannelAttr(id=7, broken=True)])
    update = facts.DeviceInfoUpdate(device_name=DEVICE, info=facts.DeviceInfo(out_channel=broken))
    frame = facts.PbMsg(id=facts.DEVICE_INFO_UPDATE, data=update.SerializeToString(), source=DEVICE)
    contents = [one.content for one in SPEC.decode(PREFIX, TOPIC, frame.SerializeToString())]
    assert [dict(one.fields) for one in contents if isinstance(one, Message) and one.kind == "output_fault"] == [
        {"channel": 7, "fault": "broken", "active": True},
        {"channel": 7, "fault": "on_backup", "active": False},
    ]
    speaker = said(facts.SPEAKER_CHANNEL_STATUS, facts.SpeakerChannelStatus(id=3, status=True))
    assert (speaker.kind, speaker.fields) == ("speaker_status", {"channel": 3, "passed": True})
    words = ["paging", "quieter", "mute", "louder", "factory_reset"]
    pressed = [said(facts.KEY_PRESS, facts.KeyPress(id=number, pressed=True)) for number in facts.Key.values()]
    assert [message.fields["key"] for message in pressed] == words
    assert said(facts.KEY_PRESS, facts.KeyPress(id=facts.KEY_MUTE)).kind == "other"


# --- the simulator, both ways -----------------------------------------------------------------------------


def test_the_compiler_reads_every_frame_of_the_simulator(facts: Any) -> None:
    device = amplifier()
    device.press(Key.VOLUME_UP, NOW)
    device.self_test(2, NOW, sound=True)
    later = Moment(NOW.mono_s + 60, NOW.wall_s + 60)
    task = facts.Task(uuid="t-1", priority=1, songs="bell.mp3", out_channel="1,2", song_volume=15)
    start = facts.TaskStart(username="admin", task=task).SerializeToString()
    stop = facts.TaskStop(username="admin", uuid="t-1").SerializeToString()
    for number, body in ((facts.TASK_START, start), (facts.TASK_STOP, stop), (facts.TASK_STOP, stop)):
        device.received(facts.PbMsg(id=number, data=body, source="web_1").SerializeToString(), NOW)
    frames = [facts.PbMsg.FromString(one.payload) for one in (*device.poll(later), device.will(later))]
    bodies = {
        facts.DEVICE_LOGIN: facts.DeviceLogin,
        facts.KEY_PRESS: facts.KeyPress,
        facts.SPEAKER_CHANNEL_STATUS: facts.SpeakerChannelStatus,
        facts.TASK_START_REPLY: facts.TaskStartReply,
        facts.TASK_STOP_REPLY: facts.TaskStopReply,
        facts.DEVICE_INFO_UPDATE: facts.DeviceInfoUpdate,
    }
    said = [(frame.id, fields_of(bodies[frame.id].FromString(frame.data))) for frame in frames]
    outputs = [
        facts.ChannelAttr(aliase=f"zone {number}", id=number, volume=10, realid=number - 1, load=True)
        for number in range(1, 5)
    ]
    pack = facts.ChannelPack(channel=outputs)
    info = facts.DeviceInfo(product_name="NXT2204", device_name=DEVICE, out_channel=pack)
    assert said == [
        (facts.DEVICE_LOGIN, {"device_name": DEVICE, "login": True}),
        (facts.KEY_PRESS, {"id": facts.KEY_VOLUME_INC, "pressed": True}),
        (facts.KEY_PRESS, {"id": facts.KEY_VOLUME_INC}),
        (facts.SPEAKER_CHANNEL_STATUS, {"id": 2, "status": True}),
        (facts.TASK_START_REPLY, {"uuid": "t-1"}),
        (facts.TASK_STOP_REPLY, {"uuid": "t-1"}),
        (facts.TASK_STOP_REPLY, {"status": facts.TASK_NOT_FOUND, "uuid": "t-1"}),
        (facts.DEVICE_INFO_UPDATE, {"device_name": DEVICE, "info": info}),
        (facts.DEVICE_LOGIN, {"device_name": DEVICE}),
    ]
    assert {frame.source for frame in frames} == {DEVICE}
    assert [frame.target for frame in frames if frame.id in {facts.TASK_START_REPLY, facts.TASK_STOP_REPLY}] == [
        "web_1"
    ] * 3


def test_the_start_of_the_facts_is_played_by_the_simulator(facts: Any) -> None:
    """A captured frame: what the compiler reads in it is what comes out of the outputs."""
    payloads = [payload for case in all_cases("nxt_pa") for _, payload in case.mqtt_messages()]
    (captured,) = [payload for payload in payloads if payload.endswith(b"web_1")]
    frame = facts.PbMsg.FromString(captured)
    task = facts.TaskStart.FromString(frame.data).task
    assert (frame.id, task.priority, task.songs, task.out_channel, task.song_volume) == (231, 1, "bell.mp3", "1,2", 12)
    device = amplifier()
    device.received(captured, NOW)
    sounding = device.sounding(NOW)
    assert {output: (one.song, one.volume, one.priority) for output, one in sounding.items()} == {
        1: ("bell.mp3", 12, 1),
        2: ("bell.mp3", 12, 1),
    }


def test_our_order_is_done_once_by_the_simulator_and_its_reply_names_the_order() -> None:
    seen = Seen()
    device = amplifier(seen)
    device.poll(NOW)
    device.received(ordered("Play", song="bell.mp3", zones="1,2", volume=12), NOW)
    assert seen.of("executed") == [ORDER]
    (reply,) = device.poll(NOW)
    assert SPEC.orders is not None
    found = SPEC.orders.answer(heard(reply.payload))
    assert found is not None
    assert (found.request_id, found.performed) == (ORDER, Performed("succeeded"))
