"""Commands that are fetched by polling, and counts without holes, over real sockets.

Invariant: no command is handed out after its deadline, and none twice; a missing number is noticed, asked for, told.
"""

import asyncio
import socket

import pytest
from aiohttp import web

from edge_agent.channels.http_door import TAKEN_WITHIN_S, HttpDoor
from edge_agent.orders import Order, Performed
from tests.channels.http_rig import POS, SERIAL, Rig, attendance, canteen
from wire.records import Event

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


async def test_what_a_terminals_line_does_not_take_is_thrown_away() -> None:
    """A command in an answer must not come out of a line that stood still for a minute."""
    seen: list[int] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        sock = request.transport.get_extra_info("socket")
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        return web.Response(text="OK")

    opened = await HttpDoor(answer, connections_max=1, head_within_s=5).open("127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
    writer.write(b"GET /iclock/getrequest HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"OK")
    writer.close()
    await opened.close()
    assert seen == [TAKEN_WITHIN_S * 1000]


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
