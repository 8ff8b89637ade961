"""Terminals that push over HTTP, played over real sockets against the channel with an intake held in the hand.

Invariant: whatever happens, a terminal hears "OK" for a row only when the row is committed or known.
"""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.channels import http_push, make_channel
from edge_agent.channels.http_push import HttpPushChannel
from edge_agent.intake import IntakeClosedError
from edge_agent.settings import ChannelSettings, Secrets
from tests.channels.http_rig import BOUND_S, HOST, SERIAL, Rig, attendance, parse, punch
from tests.channels.rig import eventually
from tests.support.certificates import Authority

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
