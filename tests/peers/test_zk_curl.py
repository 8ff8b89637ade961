"""curl plays ZKTeco's terminals, by their documents, against the channel: rows in, `OK: n` out, an event on the intake.

Nothing of ours is on curl's side: it makes the requests, reads the answers, and keeps to HTTP as it is written.
"""

import asyncio
from pathlib import Path

import pytest

from tests.channels.http_rig import HOST, POS, SERIAL, Rig, attendance, canteen
from tests.support.peers import find_program
from wire.identity import is_ordered

pytestmark = pytest.mark.peer


@pytest.fixture
def curl() -> str:
    return find_program("curl", "curl")


async def said(curl: str, rig: Rig, target: str, *options: str) -> str:
    """What curl prints: the status, a blank, the body."""
    url = f"http://{HOST}:{rig.channel.port}{target}"
    argv = [curl, "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--write-out", "|%{http_code}"]
    process = await asyncio.create_subprocess_exec(
        *argv, *options, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    body, _, status = out.decode().rpartition("|")
    return f"{status} {body}"


async def test_curl_as_an_attendance_terminal(curl: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_bytes(b"20260001\t2026-09-01 07:55:10\t0\t15\t0\t0\t0\n20260002\t2026-09-01 07:55:12\t1\t4\t0\t0\t0\n")
    photo = tmp_path / "photo"
    photo.write_bytes(b"PIN=1.jpg\nCMD=uploadphoto\0" + b"CANARY" * 300_000)
    upload = f"/iclock/cdata?SN={SERIAL}&table=ATTLOG&Stamp=9999"
    async with attendance() as rig:
        hello = await said(curl, rig, f"/iclock/cdata?SN={SERIAL}&options=all&pushver=2.4.1")
        assert hello.startswith(f"200 GET OPTION FROM: {SERIAL}\n")
        assert "TransFlag=110000000000\n" in hello

        assert await said(curl, rig, upload, "--data-binary", f"@{rows}") == "200 OK: 2\n"
        # The answer was lost: the same once more, now in chunks.
        assert await said(curl, rig, upload, "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{rows}") == (
            "200 OK: 2\n"
        )
        first, second = rig.intake.events()
        assert (first.topic, first.direction, second.direction) == ("Attendance/Punch", "in", "out")
        assert first.device_time is not None
        assert first.device_time.raw == "2026-09-01 07:55:10"
        assert first.source is not None
        assert not is_ordered(first.source.record_no)
        assert rig.counters["repeats_total"] == 2

        # More than 1 MB, so that curl asks first whether it may (Expect: 100-continue).
        photos = f"/iclock/cdata?SN={SERIAL}&table=ATTPHOTO&Stamp=9999"
        assert await said(curl, rig, photos, "--data-binary", f"@{photo}") == "200 OK\n"
        assert rig.quarantine == []

        assert (await said(curl, rig, upload.replace(SERIAL, "NOBODY1"), "--data-binary", f"@{rows}"))[:3] == "403"
        assert len(rig.intake.events()) == 2


async def test_curl_fetches_a_command_and_says_how_it_went(curl: str) -> None:
    async with attendance() as rig:
        performing = asyncio.create_task(rig.channel.perform(rig.order("AccessDoor", within_s=20, reply_within_s=20)))
        await asyncio.sleep(0)
        assert await said(curl, rig, f"/iclock/getrequest?SN={SERIAL}") == "200 C:0123456789abcdef:AC_UNLOCK\n"
        result = "ID=0123456789abcdef&Return=0&CMD=AC_UNLOCK"
        assert await said(curl, rig, f"/iclock/devicecmd?SN={SERIAL}", "--data-binary", result) == "200 OK\n"
        assert (await performing).result == "succeeded"


async def test_curl_as_a_canteen_terminal(curl: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_bytes(
        b"9\t0010732817\t2026-09-01 12:03:15\t1250\t8750\t118\t0\t2\t2026-09-01\t4211\t1\n"
        b"9\t0010732817\t2026-09-01 12:04:15\t1250\t10000\t119\t9\t2\t2026-09-01\t4213\t1"
    )
    async with canteen() as rig:
        assert await said(
            curl, rig, f"/iclock/cpos?SN={POS}&table=BUYLOG&StampId=4213", "--data-binary", f"@{rows}"
        ) == ("200 OK\n")
        money = [event for event in rig.intake.records if event.topic.startswith("Payment/")]
        assert [(event.topic, event.values["amount_fen"], event.values["balance_fen"]) for event in money] == [
            ("Payment/Sale", 1250, 8750),
            ("Payment/Reversal", 1250, 10000),
        ]
        poll = f"/iclock/posrequest?SN={POS}&type=pos&devno=4213"
        assert await said(curl, rig, poll) == "200 C:pull1:SYNC POSLOG START=4212 END=4212\n"
        assert rig.holes() == [("open", 4212, 4212)]
