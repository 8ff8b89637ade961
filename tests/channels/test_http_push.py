"""Terminals that push over HTTP, played over real sockets against the channel with an intake held in the hand.

Invariant: whatever happens, a terminal hears "OK" for a row only when the row is committed or known.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from device_profiles.catalogue import load_catalogue
from edge_agent.channels import http_push, make_channel
from edge_agent.channels.base import BoundDevice, ChannelParts
from edge_agent.channels.http_push import HttpPushChannel, HttpPushSettings
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.http_push import HttpPushCodec
from edge_agent.health import new_counters
from edge_agent.intake import IntakeClosedError
from edge_agent.orders import Order, Performed, plan
from edge_agent.settings import ChannelSettings, Secrets
from edge_agent.translate import DeviceInfo
from tests.channels.rig import MemoryIntake, eventually
from tests.support.certificates import Authority
from tests.support.clock import VirtualClock
from wire.clock import NS_PER_S
from wire.identity import Pseudonymiser
from wire.records import Event

HOST = "127.0.0.1"
SERIAL = "ACJ1234560001"
POS = "5158181900025"
BOUND_S = 10.0


class Heard(NamedTuple):
    status: int
    body: str


class Rig:
    """One channel on a port of its own."""

    def __init__(self, protocol: str, serials: Sequence[str], **settings: object) -> None:
        self.clock = VirtualClock()
        self.intake = MemoryIntake()
        self.quarantine: list[tuple[str, str, bytes]] = []
        self.counters = new_counters()
        self.profile = load_catalogue(()).profiles[protocol]
        parts = ChannelParts(
            edge="gate-1",
            intake=self.intake,
            quarantine=self._quarantine,
            pseudonymiser=Pseudonymiser(bytes(32)),
            clock=self.clock,
            counters=self.counters,
        )
        devices = [
            BoundDevice(serial, DeviceInfo(f"gate-1/zk-{number}", "Asia/Shanghai"), self.profile)
            for number, serial in enumerate(serials, start=1)
        ]
        made = HttpPushSettings(name="push", host=HOST, port=0, connections_max=64)
        self.channel = HttpPushChannel(replace(made, **settings), codec(protocol, HttpPushCodec), devices, parts)

    async def _quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> None:
        await asyncio.sleep(0)
        self.quarantine.append((device, reason, raw))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        up = asyncio.Event()
        run = asyncio.create_task(self.channel.run(up.set))
        try:
            async with asyncio.timeout(BOUND_S):
                await asyncio.wait([run, asyncio.create_task(up.wait())], return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                run.result()
            yield self
        finally:
            run.cancel()
            await asyncio.wait([run], timeout=BOUND_S)
            assert run.done()

    async def ask(self, method: str, target: str, body: bytes = b"") -> Heard:
        """One request on a connection of its own."""
        head = f"{method} {target} HTTP/1.1\r\nHost: box\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        return parse(await self.raw(head.encode() + body))

    async def raw(self, data: bytes) -> bytes:
        """These bytes, and everything that comes back until the other side ends."""
        async with asyncio.timeout(BOUND_S):
            reader, writer = await asyncio.open_connection(HOST, self.channel.port)
            try:
                writer.write(data)
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()

    async def push(self, *rows: str, table: str = "ATTLOG", serial: str = SERIAL) -> Heard:
        return await self.ask("POST", f"/iclock/cdata?SN={serial}&table={table}&Stamp=9999", "\n".join(rows).encode())

    async def poll(self, serial: str = SERIAL) -> Heard:
        return await self.ask("GET", f"/iclock/getrequest?SN={serial}")

    async def sell(self, *numbers: int, serial: str = POS) -> Heard:
        rows = [sale(number) for number in numbers]
        return await self.ask("POST", f"/iclock/cpos?SN={serial}&table=BUYLOG", "\n".join(rows).encode())

    async def pos_poll(self, highest: int, serial: str = POS) -> Heard:
        return await self.ask("GET", f"/iclock/posrequest?SN={serial}&type=pos&devno={highest}")

    def holes(self) -> list[tuple[object, ...]]:
        return [
            (event.values["state"], event.values["from_no"], event.values["to_no"])
            for event in self.intake.records
            if event.values.get("notice") == "record_hole"
        ]

    def order(self, name: str, within_s: float = 5.0, reply_within_s: float = 5.0, **arguments: object) -> Order:
        address = SERIAL if self.profile.name == "zk-adms-att" else POS
        return Order(
            request_id="0123456789abcdef" * 2,
            address=address,
            name=name,
            operations=plan(self.profile, name, arguments),
            deadline_ns=self.clock.mono_ns() + int(within_s * NS_PER_S),
            reply_within_s=reply_within_s,
        )


def parse(answer: bytes) -> Heard:
    head, _, body = answer.partition(b"\r\n\r\n")
    return Heard(int(head.split()[1]), body.decode())


def punch(second: int, pin: str = "20260001") -> str:
    return f"{pin}\t2026-09-01 07:55:{second:02d}\t0\t15\t0\t0\t0"


def sale(number: int, amount: int = 1250) -> str:
    return f"9\t0010732817\t2026-09-01 12:03:15\t{amount}\t8750\t118\t0\t2\t2026-09-01\t{number}\t1"


@asynccontextmanager
async def attendance(**settings: object) -> AsyncIterator[Rig]:
    async with Rig("zk-adms-att", [SERIAL, "OTHER1"], **settings).running() as rig:
        yield rig


@asynccontextmanager
async def canteen() -> AsyncIterator[Rig]:
    async with Rig("zk-cm-pos", [POS]).running() as rig:
        yield rig


# --- rows ---------------------------------------------------------------------------------------------


async def test_ok_is_said_only_after_the_commit() -> None:
    async with attendance() as rig:
        rig.intake.gate.clear()
        asking = asyncio.create_task(rig.push(punch(10), punch(12)))
        await eventually(lambda: rig.intake.waiting == 2)
        assert not asking.done()
        assert rig.channel.health().waiting == 2
        rig.intake.gate.set()
        assert await asking == (200, "OK: 2\n")
        assert [event.device_time.raw for event in rig.intake.events() if event.device_time] == [
            "2026-09-01 07:55:10",
            "2026-09-01 07:55:12",
        ]


async def test_rows_sent_again_are_told_ok_and_stored_once() -> None:
    async with attendance() as rig:
        for _ in range(3):
            assert await rig.push(punch(10), punch(12)) == (200, "OK: 2\n")
        assert len(rig.intake.events()) == 2
        assert rig.counters["repeats_total"] == 4


async def test_a_full_lane_makes_the_terminal_keep_its_rows() -> None:
    async with attendance() as rig:
        rig.intake.full = True
        answer = await rig.push(punch(10))
        assert answer.status == 503
        assert "OK" not in answer.body
        rig.intake.full = False
        assert await rig.push(punch(10)) == (200, "OK: 1\n")


async def test_a_box_that_stops_promises_nothing() -> None:
    async with attendance() as rig:
        rig.intake.error = IntakeClosedError("stopping")
        assert (await rig.push(punch(10))).status == 503


async def test_our_own_fault_promises_nothing_and_leaves_the_neighbour_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with attendance() as rig:
        real = http_push.Reception.take

        def broken(self, address, *args, **kwargs):
            if address == SERIAL:
                raise KeyError("20260001")
            return real(self, address, *args, **kwargs)

        monkeypatch.setattr(http_push.Reception, "take", broken)
        assert (await rig.push(punch(10))).status == 503
        assert await rig.push(punch(10), serial="OTHER1") == (200, "OK: 1\n")
        assert rig.counters["device_errors_total"] == 1


async def test_a_row_that_makes_no_sense_is_asked_for_again_and_let_go_the_third_time() -> None:
    async with attendance() as rig:
        answers = [await rig.push(punch(10), "20260001\tnever\t0\t15") for _ in range(3)]
        assert [answer.status for answer in answers] == [503, 503, 200]
        assert len(rig.intake.events()) == 1
        assert [reason for _, reason, _ in rig.quarantine] == ["bad_row"] * 3


async def test_a_row_damaged_once_on_its_way_costs_nothing() -> None:
    async with attendance() as rig:
        assert (await rig.push("20260001\t2026-09-01 07:\xff55")).status == 503
        assert await rig.push(punch(10)) == (200, "OK: 1\n")
        assert len(rig.intake.events()) == 1


async def test_a_body_cut_off_is_not_taken_for_a_body() -> None:
    async with attendance() as rig:
        body = "\n".join([punch(10), punch(11)]).encode()
        head = f"POST /iclock/cdata?SN={SERIAL}&table=ATTLOG HTTP/1.1\r\nHost: b\r\nContent-Length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection(HOST, rig.channel.port)
        writer.write(head.encode() + body[:-20])
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), BOUND_S)
        writer.close()
        assert b"OK" not in answer
        assert rig.intake.events() == []


async def test_many_rows_are_committed_together_and_in_order() -> None:
    async with attendance() as rig:
        rows = [punch(number % 60, str(20260000 + number)) for number in range(200)]
        assert await rig.push(*rows) == (200, "OK: 200\n")
        assert len(rig.intake.events()) == 200


# --- who ----------------------------------------------------------------------------------------------


async def test_an_unknown_serial_keeps_its_rows_and_lies_in_quarantine_once_for_each_request() -> None:
    async with attendance() as rig:
        answer = await rig.push(punch(10), punch(11), serial="STRANGER9")
        assert answer.status == 403
        assert "OK" not in answer.body
        assert [(device, reason) for device, reason, _ in rig.quarantine] == [("gate-1/?", "unknown_device")]
        assert rig.intake.events() == []
        assert (await rig.ask("GET", "/iclock/cdata?SN=STRANGER9&options=all")).status == 403
        assert len(rig.quarantine) == 1


@pytest.mark.parametrize(
    "target", ["/", "/iclock/", "/iclock/exchange?SN=ACJ1234560001", "/admin", "/iclock/cdata/../x"]
)
async def test_nothing_else_is_served(target: str) -> None:
    async with attendance() as rig:
        assert (await rig.ask("GET", target)).status == 404


async def test_a_device_is_up_when_it_polls_and_down_when_it_is_silent() -> None:
    async with attendance() as rig:
        assert await rig.poll() == (200, "OK\n")
        assert rig.intake.states() == [("gate-1/zk-1", "UP", True)]
        rig.clock.advance(61)
        await rig.channel._report_silence()
        assert ("gate-1/zk-1", "DOWN", False) in rig.intake.states()


# --- what is not ours to know -------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["ATTPHOTO", "BIODATA", "FINGERTMP", "FACE", "BIOPHOTO", "USERPIC", "IDCARD"])
async def test_biometric_bodies_are_read_away_told_ok_and_kept_nowhere(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    async with attendance() as rig:
        spec = rig.channel._codec
        monkeypatch.setattr(
            rig.channel,
            "_codec",
            replace(spec, decode=lambda head, body: (seen.append(body), spec.decode(head, body))[1]),
        )
        photo = b"PIN=20260901-1.jpg\nCMD=uploadphoto\0" + b"CANARY" * 200_000
        answer = await rig.ask("POST", f"/iclock/cdata?SN={SERIAL}&table={table}&Stamp=9999", photo)
        assert answer == (200, "OK\n")
        assert seen == [b""]
        assert rig.quarantine == []
        assert rig.intake.events() == []


# --- bounds -------------------------------------------------------------------------------------------


async def test_a_body_over_the_limit_is_refused() -> None:
    async with attendance() as rig:
        head = f"POST /iclock/cdata?SN={SERIAL}&table=ATTLOG HTTP/1.1\r\nHost: b\r\nContent-Length: 3000000\r\n\r\n"
        answer = parse(await rig.raw(head.encode() + b"x" * 1_200_000))
        assert answer.status == 413
        assert rig.channel._bytes == 0


async def test_too_many_bytes_in_hand_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_push, "BODIES_BYTES_MAX", 100)
    async with attendance() as rig:
        assert (await rig.push(*[punch(second) for second in range(10)])).status == 503
        assert await rig.push(punch(10)) == (200, "OK: 1\n")


async def test_a_slow_body_does_not_hold_its_place() -> None:
    async with attendance(body_within_s=0.05) as rig:
        head = f"POST /iclock/cdata?SN={SERIAL}&table=ATTLOG HTTP/1.1\r\nHost: b\r\nContent-Length: 100\r\n\r\nhalf"
        assert parse(await rig.raw(head.encode())).status == 408
        assert rig.channel._bytes == 0


async def test_a_slow_head_does_not_hold_its_place() -> None:
    async with attendance(head_within_s=0.1) as rig:
        assert await rig.raw(b"GET /iclock/getrequest?SN=A HTT") == b""
        assert await rig.poll() == (200, "OK\n")


async def test_a_connection_without_a_place_is_closed_and_a_free_place_is_taken_again() -> None:
    async with attendance(connections_max=2) as rig:
        held = [await asyncio.open_connection(HOST, rig.channel.port) for _ in range(2)]
        for _, writer in held:
            writer.write(b"GET")
        await asyncio.sleep(0.01)
        assert await rig.raw(b"GET /iclock/ping HTTP/1.1\r\n\r\n") == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(BOUND_S):
            while not await rig.raw(  # noqa: ASYNC110  nobody tells when a place is free
                f"GET /iclock/ping?SN={SERIAL} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n".encode()
            ):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Encoding: gzip\r\nContent-Length: 9", b"CANARYzip"),
        ("Transfer-Encoding: chunked", b"zz\r\nCANARY\r\n0\r\n\r\n"),
        ("Content-Length: -5", b"CANARY"),
    ],
)
async def test_a_body_that_http_itself_forbids_is_no_bug_of_ours(
    header: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with attendance() as rig:
        head = (
            f"POST /iclock/cdata?SN={SERIAL}&table=ATTLOG HTTP/1.1\r\nHost: b\r\n{header}\r\nConnection: close\r\n\r\n"
        )
        answer = await rig.raw(head.encode() + body)
        assert b"OK" not in answer.replace(b"OK\r\n", b"")
        assert b" 200 " not in answer
        assert rig.counters["device_errors_total"] == 0
        assert "CANARY" not in caplog.text
        assert await rig.poll() == (200, "OK\n")


async def test_bytes_that_are_no_http_are_answered_by_nothing_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with attendance() as rig:
        await rig.raw(b"\x16\x03\x01 20260001 CANARY\r\n\r\n")
        assert await rig.poll() == (200, "OK\n")
        assert "CANARY" not in caplog.text


async def test_a_port_that_is_taken_is_an_error_of_the_world() -> None:
    async with attendance() as rig:
        other = Rig("zk-adms-att", [SERIAL], port=rig.channel.port)
        with pytest.raises(OSError, match="in use"):
            await other.channel.run(lambda: None)


async def test_every_answer_says_the_time_by_which_terminals_set_their_clock() -> None:
    async with attendance() as rig:
        head = f"GET /iclock/cdata?SN={SERIAL}&options=all HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
        answer = await rig.raw(head.encode())
        assert b"\r\nDate: " in answer
        assert b"\nTimeZone=8\n" in answer


async def test_a_terminal_that_can_do_https_is_served_with_the_boxs_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("box", address=HOST)
    async with attendance(tls_certificate=issued.certificate, tls_key=issued.key) as rig:
        trust = ssl.create_default_context(cafile=authority.certificate)
        reader, writer = await asyncio.open_connection(HOST, rig.channel.port, ssl=trust)
        writer.write(f"GET /iclock/ping?SN={SERIAL} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n".encode())
        assert parse(await asyncio.wait_for(reader.read(), BOUND_S)) == (200, "OK\n")
        writer.close()


async def test_a_certificate_that_cannot_be_used_is_an_error_of_the_world(tmp_path: Path) -> None:
    rig = Rig("zk-adms-att", [SERIAL], tls_certificate=tmp_path / "none")
    with pytest.raises(OSError, match="No such file"):
        await rig.channel.run(lambda: None)


def test_a_channel_is_made_of_settings() -> None:
    settings = ChannelSettings.model_validate(
        {
            "name": "push",
            "protocol": "zk-adms-att",
            "transport": {"kind": "http-push", "host": HOST, "port": 8081},
            "devices": [{"name": "zk-1", "profile": "zk-adms-att", "address": {"serial": SERIAL}}],
        }
    )
    secrets = Secrets(campus_key=bytes(32), campus_public_key="", uplink_password="", channel_passwords={})
    rig = Rig("zk-adms-att", [SERIAL])
    channel = make_channel(settings, [], rig.channel._parts, secrets)
    assert isinstance(channel, HttpPushChannel)
    with pytest.raises(LookupError):
        make_channel(settings.model_copy(update={"protocol": "facesluice"}), [], rig.channel._parts, secrets)


# --- commands -----------------------------------------------------------------------------------------


async def fetched(rig: Rig, order: Order) -> tuple["asyncio.Task[Performed]", str]:
    """The order under way, and the line its device was handed."""
    performing = asyncio.create_task(rig.channel.perform(order))
    await asyncio.sleep(0)
    return performing, (await rig.poll()).body


@pytest.mark.parametrize(
    ("code", "expected"),
    [("0", Performed("succeeded")), ("-1002", Performed("rejected", "device_code_-1002"))],
)
async def test_a_command_is_fetched_by_the_poll_and_ends_as_the_device_says(code: str, expected: Performed) -> None:
    async with attendance() as rig:
        performing, line = await fetched(rig, rig.order("AccessDoor"))
        assert line == "C:0123456789abcdef:AC_UNLOCK\n"
        assert await rig.poll() == (200, "OK\n")
        body = f"ID=0123456789abcdef&Return={code}&CMD=AC_UNLOCK\n".encode()
        assert await rig.ask("POST", f"/iclock/devicecmd?SN={SERIAL}", body) == (200, "OK\n")
        assert await performing == expected


async def test_a_command_that_no_poll_fetched_in_time_was_never_sent() -> None:
    async with attendance() as rig:
        performed = await rig.channel.perform(rig.order("AccessDoor", within_s=0.05))
        assert performed.result == "unreachable"
        assert await rig.poll() == (200, "OK\n")


async def test_a_poll_after_the_deadline_gets_nothing_though_the_order_still_waits() -> None:
    async with attendance() as rig:
        order = rig.order("AccessDoor", within_s=0.3)
        performing = asyncio.create_task(rig.channel.perform(order))
        await asyncio.sleep(0)
        rig.clock.advance(0.3)
        assert await rig.poll() == (200, "OK\n")
        assert (await performing).result == "unreachable"


async def test_a_command_that_was_fetched_and_not_answered_is_unknown() -> None:
    async with attendance() as rig:
        performing, line = await fetched(rig, rig.order("AccessDoor", reply_within_s=0.05))
        assert "AC_UNLOCK" in line
        assert await performing == Performed("unknown", "no_answer")


async def test_a_result_of_another_command_or_device_is_passed_over() -> None:
    async with attendance() as rig:
        performing, _ = await fetched(rig, rig.order("AccessDoor", reply_within_s=0.2))
        for serial, command in ((SERIAL, "ffffffffffffffff"), ("OTHER1", "0123456789abcdef")):
            body = f"ID={command}&Return=0&CMD=AC_UNLOCK".encode()
            assert (await rig.ask("POST", f"/iclock/devicecmd?SN={serial}", body)).status == 200
        assert await performing == Performed("unknown", "no_answer")


async def test_a_span_is_asked_for_and_nothing_can_be_smuggled_into_a_line() -> None:
    async with attendance() as rig:
        good = rig.order("ReplayRecords", replay_from="2026-09-01 07:00:00", replay_to="2026-09-01 09:00:00")
        performing, line = await fetched(rig, good)
        assert line.endswith(":DATA QUERY ATTLOG StartTime=2026-09-01 07:00:00\tEndTime=2026-09-01 09:00:00\n")
        performing.cancel()
        for evil in ("2026\nC:1:REBOOT", "x\tPIN=1", "x=y", "", "中"):
            order = rig.order("ReplayRecords", replay_from=evil, replay_to="2026-09-01 09:00:00")
            assert await rig.channel.perform(order) == Performed("rejected", "not_supported")


async def test_a_channel_that_does_not_listen_reaches_nobody() -> None:
    rig = Rig("zk-adms-att", [SERIAL])
    assert (await rig.channel.perform(rig.order("AccessDoor"))).result == "unreachable"


# --- money --------------------------------------------------------------------------------------------


async def test_amounts_are_whole_fen() -> None:
    async with canteen() as rig:
        assert await rig.sell(1) == (200, "OK\n")
        (event,) = [event for event in rig.intake.records if event.topic == "Payment/Sale"]
        assert (event.values["amount_fen"], event.values["balance_fen"]) == (1250, 8750)
        assert type(event.values["amount_fen"]) is int


async def test_a_hole_is_said_once_asked_for_and_said_again_when_it_is_filled() -> None:
    async with canteen() as rig:
        await rig.sell(1, 2, 3, 7)
        assert rig.holes() == [("open", 4, 6)]
        assert await rig.pos_poll(7) == (200, "C:pull1:SYNC POSLOG START=4 END=6\n")
        assert await rig.pos_poll(7) == (200, "OK\n")
        await rig.sell(5)
        rig.clock.advance(300)
        assert await rig.pos_poll(7) == (200, "C:pull2:SYNC POSLOG START=4 END=6\n")
        assert rig.holes() == [("open", 4, 6)]
        await rig.sell(6, 4)
        assert rig.holes() == [("open", 4, 6), ("filled", 4, 6)]
        assert await rig.pos_poll(7) == (200, "OK\n")


async def test_a_number_that_is_not_on_disk_does_not_fill_a_hole() -> None:
    async with canteen() as rig:
        await rig.sell(1, 3)
        rig.intake.full = True
        assert (await rig.sell(2)).status == 503
        rig.intake.full = False
        assert rig.holes() == [("open", 2, 2)]
        await rig.sell(2)
        assert rig.holes() == [("open", 2, 2), ("filled", 2, 2)]


async def test_a_notice_that_was_refused_is_said_with_the_next_request() -> None:
    async with canteen() as rig:
        await rig.sell(1)
        real, rig.intake.full = rig.intake._append, False

        def lane_s_full(draft):
            rig.intake.full = isinstance(draft.record, Event) and draft.record.topic.startswith("Device/")
            return real(draft)

        rig.intake._append = lane_s_full
        await rig.sell(3)
        assert rig.holes() == []
        rig.intake._append, rig.intake.full = real, False
        await rig.pos_poll(3)
        assert rig.holes() == [("open", 2, 2)]


async def test_a_terminal_is_told_how_far_nothing_is_missing() -> None:
    async with canteen() as rig:
        hello = f"/iclock/cpos?SN={POS}&options=all"
        assert "PosLogStampId=0\n" in (await rig.ask("GET", hello)).body
        await rig.sell(1, 2, 3, 7)
        assert "PosLogStampId=3\n" in (await rig.ask("GET", hello)).body
