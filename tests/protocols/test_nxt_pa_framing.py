"""Any bytes give messages, discards or nothing, and never an exception; and our tables against protobuf's compiler."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.catalogue import load_catalogue
from edge_agent.codecs import Decoded
from edge_agent.codecs.nxt_pa import MESSAGES, PAYLOAD_BYTES_MAX, SPEC, TABLE, answer, request
from edge_agent.message import Discard, Message
from edge_agent.orders import Order, plan
from tests.protocols.cases import all_cases

PREFIX = SPEC.topic_prefix
DEVICE = "NXT2204-000001"
TOPIC = f"{PREFIX}/messages/{DEVICE}"
SAMPLES = [payload for case in all_cases("nxt_pa") for _, payload in case.mqtt_messages()]
# Written from the facts alone, as protobuf's own compiler reads it.
PROTO = """
syntax = "proto3";
package facts;
message PbMsg { int32 id = 1; bytes data = 2; string source = 3; string target = 4; }
message DeviceLogin { string device_name = 1; bool login = 2; }
message Task {
  string username = 1; string name = 2; string uuid = 3; int32 priority = 4; int32 source = 5;
  repeated string songs = 6; string out_channel = 9; int32 task_type = 21; int32 song_volume = 27;
}
message TaskStart { string username = 1; Task task = 2; }
"""


def checked(topic: str, payload: bytes) -> list[Decoded]:
    decoded = list(SPEC.decode(PREFIX, topic, payload))
    for address, content in decoded:
        assert address.isascii()
        if isinstance(content, Message):
            assert content.kind in SPEC.records | {"online", "offline", "other"}
            assert all(isinstance(value, str | int) for value in content.fields.values())
        else:
            assert content.reason.isidentifier()
    return decoded


@given(leaf=st.text(max_size=30), payload=st.binary(max_size=200))
def test_random_bytes_raise_nothing(leaf: str, payload: bytes) -> None:
    checked(f"{PREFIX}/messages/{leaf}", payload)
    checked(leaf, payload)


@given(data=st.data())
def test_a_frame_with_any_byte_exchanged_raises_nothing(data: st.DataObject) -> None:
    payload = data.draw(st.sampled_from(SAMPLES))
    at = data.draw(st.integers(0, len(payload) - 1))
    checked(TOPIC, payload[:at] + data.draw(st.binary(max_size=3)) + payload[at + 1 :])


@pytest.mark.parametrize("payload", SAMPLES, ids=range(len(SAMPLES)))
def test_every_truncation_raises_nothing(payload: bytes) -> None:
    for length in range(len(payload)):
        checked(TOPIC, payload[:length])


def test_a_frame_over_the_limit_is_not_looked_into() -> None:
    (decoded,) = checked(TOPIC, b"\x08" * (PAYLOAD_BYTES_MAX + 1))
    assert decoded.content == Discard("too_large")


def test_what_the_platform_says_itself_is_not_for_us() -> None:
    frame = MESSAGES["PbMsg"](id=231, source=b"campus-edge").SerializeToString()
    assert checked(TOPIC, frame) == []


# --- the witness ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
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


def order(name: str, **arguments: str | int) -> Order:
    profile = load_catalogue(()).profiles["nxt-pa"]
    return Order(
        request_id="1" * 32,
        address=DEVICE,
        name=name,
        operations=plan(profile, name, arguments),
        deadline_ns=1,
        reply_within_s=5.0,
    )


def test_what_the_compiler_writes_we_read(compiled: Any) -> None:
    login = compiled.DeviceLogin(device_name=DEVICE, login=True).SerializeToString()
    frame = compiled.PbMsg(id=362, data=login, source=DEVICE).SerializeToString()
    ((address, message),) = checked(TOPIC, frame)
    assert isinstance(message, Message)
    assert (address, message.kind) == (DEVICE, "online")


def test_what_we_write_the_compiler_reads(compiled: Any) -> None:
    told = request(PREFIX, DEVICE, order("Play", song="bell.mp3", zones="1,2", volume=12))
    assert told is not None
    assert told.topic == TOPIC
    frame = compiled.PbMsg.FromString(told.payload)
    assert (frame.id, frame.source, frame.target) == (231, "campus-edge", DEVICE)
    task = compiled.TaskStart.FromString(frame.data).task
    assert (list(task.songs), task.out_channel, task.song_volume, task.task_type) == (["bell.mp3"], "1,2", 12, 3)
    assert 1 <= task.priority <= 3
    stop = request(PREFIX, DEVICE, order("Stop", zones="1,2"))
    assert stop is not None
    assert compiled.PbMsg.FromString(stop.payload).id == 233
    assert MESSAGES["TaskStop"].FromString(compiled.PbMsg.FromString(stop.payload).data).uuid == task.uuid


def test_the_start_of_the_facts_is_read_by_both(compiled: Any) -> None:
    (frame,) = [payload for payload in SAMPLES if payload.endswith(b"web_1")]
    start = compiled.TaskStart.FromString(compiled.PbMsg.FromString(frame).data)
    ours = MESSAGES["Task"].FromString(MESSAGES["TaskStart"].FromString(MESSAGES["PbMsg"].FromString(frame).data).task)
    for name in TABLE["Task"]:
        assert getattr(ours, name) == getattr(start.task, name), name


def test_a_reply_ends_the_last_order() -> None:
    for status, result in (("ok", "succeeded"), ("busy", "rejected")):
        found = answer(Message(kind="task_start", fields={"status": status}))
        assert found is not None
        assert (found.request_id, found.performed.result) == ("", result)
    assert answer(Message(kind="key_press", fields={"key": "mute"})) is None
