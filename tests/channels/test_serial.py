"""A reader on a serial port: a pseudo-terminal, pyserial, the real supervisor."""

import asyncio
import errno
import socket
import termios
from pathlib import Path

import pytest

from edge_agent.channels import make_channel
from edge_agent.channels.serial import MAILBOX_MAX, SerialChannel, SerialPort
from edge_agent.orders import Order
from edge_agent.settings import ChannelSettings, Device, Secrets
from edge_agent.transports.serial import SerialTransport
from tests.channels.serial_rig import Rig
from tests.protocols.test_serial_framing import tag_frame
from tests.support.waiting import until
from wire.identity import Pseudonymiser

TAG = bytes.fromhex("0400A3C511")
OTHER = bytes.fromhex("0400A3C512")


def ref(tag: bytes) -> str:
    return Pseudonymiser(bytes(32)).ref("card", f"em4100:5:{tag.hex().upper()}")


async def test_a_tag_that_stays_in_the_field_is_one_event_and_its_number_is_a_pseudonym(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    rig.plug.plug()
    async with rig.supervised():
        await rig.connected()
        for _ in range(20):
            rig.plug.say(tag_frame(TAG))
            rig.clock.advance(0.06)
        rig.plug.say(tag_frame(OTHER))
        await until(lambda: len(rig.refs()) == 2)
        assert rig.refs() == [ref(TAG), ref(OTHER)]
        assert rig.counters["messages_total"] == 21
        assert rig.counters["events_total"] == len(rig.intake.records)
        (first, _) = rig.intake.events()
        assert first.topic == "AccessControl/Request/Credential"
        assert first.credential is not None
        assert first.credential.tail == "C511"
        assert "0400A3C511" not in repr(rig.intake.records)

        rig.clock.advance(0.8)
        rig.plug.say(tag_frame(TAG))
        await until(lambda: len(rig.refs()) == 3)


async def test_a_reader_that_is_pulled_goes_down_and_comes_back_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rig = Rig("rdm6300", tmp_path)
    async with rig.supervised():
        await until(lambda: rig.supervisor.health.state == "down")
        for turn in range(3):
            rig.plug.plug()
            await rig.connected()
            rig.plug.say(tag_frame(TAG)[:6])
            rig.plug.pull()
            await until(lambda: rig.supervisor.health.state == "down")
            assert not rig.channel.health().connected
            rig.clock.advance(rig.profile.liveness.interval_s * rig.profile.liveness.missed)
            await until(lambda turn=turn: len(rig.intake.states()) == 2 * (turn + 1))
        rig.plug.plug()
        await rig.connected()
        rig.plug.say(tag_frame(TAG))
        await until(lambda: len(rig.refs()) == 1)
    states = [state for _, state, _ in rig.intake.states()]
    assert states[:6] == ["UP", "DOWN"] * 3
    assert rig.supervisor.health.bugs == 0
    assert rig.counters["device_errors_total"] == 0
    lines = [record.message for record in caplog.records if record.name == "edge_agent.supervise"]
    assert lines == ["part down", "part up"] * 4


async def test_a_quiet_reader_on_an_open_port_stays_up(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    rig.plug.plug()
    async with rig.supervised():
        await rig.connected()
        for _ in range(10):
            rig.clock.advance(10)
            seen = rig.clock.mono_ns()
            await until(lambda seen=seen: rig.channel.health().devices_up == 1 and rig.clock.mono_ns() == seen)
            await asyncio.sleep(0.03)
        assert [state for _, state, _ in rig.intake.states()] == ["UP"]


async def test_a_device_file_that_is_gone_ends_the_port_although_its_descriptor_lives(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    rig.plug.plug()
    async with rig.supervised():
        await rig.connected()
        target = rig.plug.path.readlink()
        rig.plug.path.unlink()
        await until(lambda: rig.supervisor.health.state == "down")
        rig.plug.path.symlink_to(target)
        await rig.connected()


async def test_a_port_that_somebody_else_has_is_an_outage_and_no_bug(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    rig.plug.plug()
    other = SerialPort(rig.transport)
    async with rig.supervised():
        await until(lambda: rig.supervisor.health.restarts > 0)
        assert not rig.channel.health().connected
        assert rig.supervisor.health.bugs == 0
        other.close()
        await rig.connected()


@pytest.mark.parametrize("ends", [OSError(errno.EIO, "Input/output error"), OSError(errno.ENODEV, "gone")])
async def test_a_failed_read_ends_the_run_with_what_the_kernel_said(tmp_path: Path, ends: OSError) -> None:
    port = ScriptedPort([tag_frame(TAG), ends])
    rig = Rig("rdm6300", tmp_path, lambda: port)
    with pytest.raises(OSError, match=ends.strerror):
        await rig.channel.run(lambda: None)
    assert rig.refs() == [ref(TAG)], "what was read before is kept"
    assert port.closed


async def test_a_full_mailbox_stops_the_reading_and_drops_nothing(tmp_path: Path) -> None:
    tags = [bytes((4, 0, 0, number // 256, number % 256)) for number in range(MAILBOX_MAX * 3)]
    port = ScriptedPort([tag_frame(tag) for tag in tags])
    rig = Rig("rdm6300", tmp_path, lambda: port)
    rig.intake.gate.clear()
    run = asyncio.create_task(rig.channel.run(lambda: None))
    await until(lambda: rig.channel.health().waiting >= MAILBOX_MAX)
    await asyncio.sleep(0.05)
    waiting = rig.channel.health().waiting
    assert MAILBOX_MAX <= waiting < MAILBOX_MAX * 2
    assert len(port.script) == len(tags) - waiting
    rig.intake.gate.set()
    await until(lambda: len(rig.refs()) == len(tags))
    assert rig.refs() == [ref(tag) for tag in tags]
    run.cancel()
    await asyncio.wait([run])
    assert run.cancelled()
    assert port.closed


async def test_a_tag_that_could_not_be_kept_is_taken_when_it_is_said_again(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    rig.plug.plug()
    async with rig.supervised():
        await rig.connected()
        rig.intake.full = True
        rig.plug.say(tag_frame(TAG))
        await until(lambda: rig.counters["refused_total"])
        rig.intake.full = False
        await asyncio.sleep(0.02)
        rig.clock.advance(0.06)
        rig.plug.say(tag_frame(TAG))
        await until(lambda: rig.refs() == [ref(TAG)])


async def test_noise_lies_in_quarantine_and_costs_no_tag(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    rig.plug.plug()
    async with rig.supervised():
        await rig.connected()
        rig.plug.say(b"\xff\x00" + tag_frame(TAG)[:-3] + b"003" + tag_frame(TAG))
        await until(lambda: rig.refs() == [ref(TAG)])
        assert {reason for _, reason, _ in rig.quarantine} == {"noise"}
        assert rig.counters["discarded_total"] == len(rig.quarantine)


async def test_a_code_that_breaks_off_is_ended_by_a_pause(tmp_path: Path) -> None:
    rig = Rig("qr-line", tmp_path)
    rig.plug.plug()
    async with rig.supervised():
        await rig.connected()
        rig.plug.say(b"CAMPUS-7F3A-")
        await until(lambda: rig.quarantine)
        assert rig.quarantine == [("gate-1/reader-1", "unfinished", b"CAMPUS-7F3A-")]
        rig.plug.say(b"CAMPUS-7F3B-")
        rig.plug.say(b"0002\r\n")
        await until(rig.refs)
        assert rig.refs() == [Pseudonymiser(bytes(32)).ref("QRCode", "CAMPUS-7F3B-0002")]
        assert rig.counters["unmapped_total"] == 0


async def test_a_framer_that_breaks_its_promise_does_not_end_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig("qr-line", tmp_path)
    rig.plug.plug()
    monkeypatch.setattr("edge_agent.codecs.qr_line._read", lambda line: 1 // (line != b"bad"))
    async with rig.supervised():
        await rig.connected()
        rig.plug.say(b"bad\r\n")
        await until(lambda: rig.counters["device_errors_total"] == 1)
        monkeypatch.undo()
        rig.plug.say(b"good\r\n")
        await until(rig.refs)
        assert rig.supervisor.health.restarts == 0


async def test_nothing_can_be_told_to_a_reader(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    order = Order(
        request_id="0" * 32, address="only", name="Beep", operations=(), deadline_ns=2**62, reply_within_s=1.0
    )
    performed = await rig.channel.perform(order)
    assert (performed.result, performed.reason) == ("rejected", "not_supported")


@pytest.mark.parametrize("error", [ValueError("no such rate"), termios.error(22, "Invalid argument")])
def test_settings_that_a_port_cannot_have_are_an_outage_and_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_said: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr("edge_agent.channels.serial.Serial", refuse)
    with pytest.raises(OSError, match="cannot be set so"):
        SerialPort(SerialTransport(kind="serial", port=str(tmp_path / "port"), baud_rate=9601))


def test_a_file_that_is_no_port_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OSError, match="port"):
        SerialPort(SerialTransport(kind="serial", port=str(path)))


def test_a_channel_is_made_of_settings(tmp_path: Path) -> None:
    rig = Rig("rdm6300", tmp_path)
    settings = ChannelSettings.model_validate(
        {
            "name": "reader",
            "protocol": "rdm6300",
            "transport": {"kind": "serial", "port": "/dev/ttyUSB0"},
            "devices": [{"name": "reader-1", "profile": "rdm6300", "address": {}}],
        }
    )
    device = Device(settings.devices[0], rig.profile, "only", "Asia/Shanghai")
    secrets = Secrets(campus_key=b"", campus_public_key="", uplink_password="", channel_passwords={})
    channel = make_channel(settings, [device], rig.parts, secrets)
    assert isinstance(channel, SerialChannel)
    assert channel.name == "reader"


class ScriptedPort:
    """Gives one entry a read, then nothing."""

    def __init__(self, script: list[bytes | OSError]) -> None:
        self.script = list(script)
        self.closed = False
        # Readable for ever, so that the loop keeps asking.
        self._ours, self._other = socket.socketpair()
        self._other.send(b"x")

    def fileno(self) -> int:
        return self._ours.fileno()

    def read(self) -> bytes:
        if not self.script:
            raise BlockingIOError
        one = self.script.pop(0)
        if isinstance(one, OSError):
            raise one
        return one

    def check(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
        self._ours.close()
        self._other.close()
