"""The amplifier on virtual time, its orders made field by field."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import protobuf
from simulators.device import Moment, Publish
from simulators.nxt_pa import Amplifier, AmplifierConfig, Id, Key, Status
from tests.simulators.rig import BEGIN_S, Seen

DEVICE = "NXT2204-000001"
TOPIC = f"channels/school/messages/{DEVICE}"


class Rig:
    def __init__(self) -> None:
        self.mono_s = 100.0
        self.seen = Seen()
        self.device = Amplifier(AmplifierConfig(device_id=DEVICE), witness=self.seen)

    @property
    def now(self) -> Moment:
        return Moment(self.mono_s, BEGIN_S + self.mono_s)

    def raw(self) -> list[Publish]:
        return self.device.poll(self.now)

    def sent(self) -> list[tuple[int, protobuf.Fields]]:
        """Message id and fields of what is sent now."""
        frames = [protobuf.read(one.payload) for one in self.raw()]
        return [(protobuf.whole(frame, 1), protobuf.read(protobuf.raw(frame, 2))) for frame in frames]

    def tell(self, number: int, body: bytes, *, source: str = "web_1", target: str = "") -> None:
        frame = protobuf.write({1: number, 2: body, 3: source, 4: target})
        self.device.received(frame, self.now)

    def start(
        self, uuid: str = "t-1", outputs: str = "1,2", *, song: str = "bell.mp3", priority: int = 2, session: str = "1"
    ) -> None:
        task = protobuf.write({3: uuid, 4: priority, 6: song, 9: outputs, 27: 12})
        self.tell(Id.TASK_START, protobuf.write({1: "admin", 2: task}), source=f"web_{session}")

    def stop(self, uuid: str = "t-1", session: str = "2") -> None:
        self.tell(Id.TASK_STOP, protobuf.write({1: "admin", 2: uuid}), source=f"web_{session}")

    def status(self) -> int:
        ((_, reply),) = self.sent()
        return protobuf.whole(reply, 1)

    def songs(self) -> dict[int, str]:
        return {output: task.song for output, task in self.device.sounding(self.now).items()}


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.device.connected(rig.now)
    assert [(number, protobuf.whole(body, 2)) for number, body in rig.sent()] == [(Id.DEVICE_LOGIN, 1)]
    return rig


def test_the_login_is_the_known_frame_and_the_will_takes_it_back() -> None:
    rig = Rig()
    rig.device.connected(rig.now)
    known = "08EA0212120A0E4E5854323230342D30303030303110011A0E4E5854323230342D303030303031"
    assert rig.raw() == [Publish(TOPIC, bytes.fromhex(known), 0)]
    will = rig.device.will(rig.now)
    login = protobuf.read(protobuf.raw(protobuf.read(will.payload), 2))
    assert (will.topic, protobuf.text(login, 1), protobuf.whole(login, 2)) == (TOPIC, DEVICE, 0)


def test_it_says_that_it_is_there_at_its_interval_and_only_on_line(rig: Rig) -> None:
    wake_s = rig.device.wake_at()
    assert wake_s == 160.0
    assert rig.sent() == []
    rig.mono_s = wake_s
    assert [number for number, _ in rig.sent()] == [Id.DEVICE_INFO_UPDATE]
    rig.device.disconnected()
    assert rig.device.wake_at() is None
    rig.mono_s += 1000
    assert rig.sent() == []


def test_a_task_sounds_on_its_outputs_until_its_song_ends_and_nobody_is_told(rig: Rig) -> None:
    rig.start(session="abc")
    (reply,) = rig.raw()
    frame = protobuf.read(reply.payload)
    assert (protobuf.whole(frame, 1), protobuf.text(frame, 4)) == (Id.TASK_START_REPLY, "web_abc")
    assert protobuf.read(protobuf.raw(frame, 2)) == {2: b"t-1"}
    assert rig.seen.facts == [("executed", "abc"), ("said", "TASK_START_REPLY")]
    assert rig.songs() == {1: "bell.mp3", 2: "bell.mp3"}
    rig.mono_s += 8.0
    assert rig.songs() == {}
    assert rig.sent() == []


def test_what_runs_is_not_begun_again(rig: Rig) -> None:
    rig.start(session="a")
    assert rig.status() == Status.SUCCEEDED
    rig.mono_s += 4
    rig.start(session="b")
    assert rig.status() == Status.RUNNING
    assert rig.seen.of("executed") == ["a"]
    rig.mono_s += 4
    assert rig.songs() == {}


def test_a_stop_ends_it_once(rig: Rig) -> None:
    rig.start()
    rig.sent()
    rig.stop(session="s")
    assert rig.status() == Status.SUCCEEDED
    rig.stop(session="s2")
    assert rig.status() == Status.NOT_FOUND
    assert rig.seen.of("executed") == ["1", "s"]
    assert rig.songs() == {}


@pytest.mark.parametrize(
    ("status", "order"),
    [
        (Status.NOT_FOUND, {"song": "nothing.mp3"}),
        (Status.ARGUMENT, {"outputs": "1,5"}),
        (Status.ARGUMENT, {"outputs": "first"}),
        (Status.ARGUMENT, {"outputs": ""}),
        (Status.ARGUMENT, {"priority": 4}),
        (Status.ARGUMENT, {"uuid": ""}),
    ],
)
def test_what_cannot_be_done_is_refused_and_not_done(rig: Rig, status: Status, order: dict[str, Any]) -> None:
    rig.start(**order)
    assert rig.status() == status
    assert rig.songs() == {}
    assert rig.seen.of("executed") == []


def test_a_higher_priority_displaces_and_a_lower_one_is_busy(rig: Rig) -> None:
    rig.start("music", "1,2", song="anthem.mp3", priority=3)
    rig.start("alarm", "2,3", priority=1)
    rig.start("lesson", "3", priority=2)
    assert [protobuf.whole(reply, 1) for _, reply in rig.sent()] == [0, 0, Status.BUSY]
    assert rig.songs() == {2: "bell.mp3", 3: "bell.mp3"}
    rig.start("elsewhere", "4", priority=3)
    assert rig.status() == Status.SUCCEEDED


def test_keys_and_self_tests_are_said_once_and_only_on_line(rig: Rig) -> None:
    rig.device.press(Key.VOLUME_UP, rig.now)
    rig.device.self_test(2, rig.now, sound=True)
    rig.device.self_test(3, rig.now, sound=False)
    assert rig.sent() == [
        (Id.KEY_PRESS, {1: 3, 2: 1}),
        (Id.KEY_PRESS, {1: 3}),
        (Id.SPEAKER_CHANNEL_STATUS, {1: 2, 2: 1}),
        (Id.SPEAKER_CHANNEL_STATUS, {1: 3}),
    ]
    assert rig.seen.of("said") == ["KEY_PRESS", "SPEAKER_CHANNEL_STATUS", "SPEAKER_CHANNEL_STATUS"]
    rig.device.disconnected()
    rig.device.press(Key.MUTE, rig.now)
    assert len(rig.seen.facts) == 3


def test_a_lost_connection_does_not_end_the_song_and_a_power_cut_does(rig: Rig) -> None:
    rig.start()
    rig.device.disconnected()
    assert rig.songs() == {1: "bell.mp3", 2: "bell.mp3"}
    rig.device.power_off()
    assert rig.songs() == {}
    rig.device.power_on()
    rig.device.connected(rig.now)
    rig.sent()
    rig.stop()
    assert rig.status() == Status.NOT_FOUND


def test_its_own_words_and_words_to_others_are_not_orders(rig: Rig) -> None:
    body = protobuf.write({2: protobuf.write({3: "t", 4: 1, 6: "bell.mp3", 9: "1"})})
    rig.tell(Id.TASK_START, body, source=DEVICE)
    rig.tell(Id.TASK_START, body, target="NXT2204-000002")
    assert rig.sent() == []
    rig.tell(Id.TASK_START, body, target=DEVICE)
    assert rig.status() == Status.SUCCEEDED


@given(payload=st.binary(max_size=80))
def test_no_bytes_trouble_the_device(payload: bytes) -> None:
    rig = Rig()
    rig.device.connected(rig.now)
    rig.device.received(payload, rig.now)
    rig.tell(Id.TASK_START, payload)
    rig.tell(Id.TASK_STOP, payload)
    rig.raw()


@given(fields=st.dictionaries(st.integers(1, 600), st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=300)))
def test_what_is_written_is_read(fields: dict[int, int | bytes]) -> None:
    found = protobuf.read(protobuf.write(fields))
    for number, value in fields.items():
        assert (protobuf.whole if isinstance(value, int) else protobuf.raw)(found, number) == value
    assert found.keys() <= fields.keys()


@given(data=st.binary(max_size=60))
def test_a_message_is_read_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        protobuf.read(data)


def output(**given: int | str) -> bytes:
    numbers = {"name": 1, "number": 2, "volume": 3, "place": 4}
    return protobuf.write({numbers[key]: value for key, value in given.items()})


def test_an_edit_writes_all_of_an_output_and_what_is_not_in_it_is_empty(rig: Rig) -> None:
    rig.tell(Id.OUT_CHANNEL_EDIT, protobuf.write({1: "admin", 2: output(name="hall", number=2, volume=3, place=1)}))
    assert [(number, reply) for number, reply in rig.sent()] == [(Id.OUT_CHANNEL_EDIT_REPLY, {})]
    edited = rig.device.outputs[2]
    assert (edited.name, edited.volume, edited.place) == ("hall", 3, 1)
    rig.tell(Id.OUT_CHANNEL_EDIT, protobuf.write({1: "admin", 2: output(number=2, volume=4)}))
    assert (edited.name, edited.volume, edited.place) == ("", 4, 0)
    assert rig.device.done == 2


@pytest.mark.parametrize("given", [{"number": 9, "volume": 3}, {"number": 1, "volume": 16}])
def test_an_output_that_is_not_there_and_a_volume_that_is_none_are_refused(rig: Rig, given: dict[str, int]) -> None:
    rig.tell(Id.OUT_CHANNEL_EDIT, protobuf.write({1: "admin", 2: output(**given)}))
    assert rig.status() == Status.ARGUMENT
    assert rig.device.done == 0


def test_a_list_of_outputs_says_how_each_is(rig: Rig) -> None:
    rig.device.outputs = {3: rig.device.outputs[3]}
    rig.device.outputs[3].broken = True
    rig.tell(Id.OUT_CHANNEL_GET, protobuf.write({1: "admin"}))
    ((number, reply),) = rig.sent()
    assert number == Id.OUT_CHANNEL_GET_REPLY
    one = protobuf.read(protobuf.raw(reply, 1))
    assert (protobuf.whole(one, 2), protobuf.whole(one, 7), protobuf.whole(one, 8)) == (3, 1, 0)
