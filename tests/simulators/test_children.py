import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.children import CLOSE_WITHIN_S, ChildFailedError, Program, Supervisor, free_ports, wait_for_port
from tests.support.waiting import until

pytestmark = pytest.mark.processes

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""
STUBBORN = """
import signal, subprocess, sys, time, pathlib
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
grandchild = subprocess.Popen([sys.executable, "-c", deaf])
pathlib.Path(sys.argv[1]).write_text(str(grandchild.pid))
time.sleep(600)
"""


def python(name: str, code: str, folder: Path, *arguments: str) -> Program:
    return Program(name=name, argv=(sys.executable, "-c", code, *arguments), folder=folder)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_killed_child_comes_back_on_the_same_port(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    children = Supervisor(tmp_path)
    try:
        child = children.start(python("server", LISTEN, tmp_path, str(port)))
        await wait_for_port(child, port)
        first = child.pid
        assert children.kill("server")
        await until(lambda: child.life.starts == 2)
        await wait_for_port(child, port)
        assert child.pid != first
        assert (child.life.kills, child.life.deaths, child.life.exit_code) == (1, 1, -signal.SIGKILL)
    finally:
        await children.close()
    assert not alive(child.pid or 0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_close_ends_even_a_group_that_ignores_sigterm_and_in_time(tmp_path: Path) -> None:
    pid_file = tmp_path / "grandchild"
    children = Supervisor(tmp_path)
    child = children.start(python("stubborn", STUBBORN, tmp_path, str(pid_file)))
    await until(lambda: pid_file.exists() and pid_file.read_text() != "")
    grandchild = int(pid_file.read_text())
    async with asyncio.timeout(CLOSE_WITHIN_S):
        await children.close()
    await until(lambda: not alive(grandchild))
    assert not alive(child.pid or 0)


async def test_a_dead_leaders_group_is_cleared_before_the_restart(tmp_path: Path) -> None:
    pid_file = tmp_path / "grandchild"
    children = Supervisor(tmp_path)
    try:
        child = children.start(python("stubborn", STUBBORN, tmp_path, str(pid_file)))
        await until(lambda: pid_file.exists() and pid_file.read_text() != "")
        grandchild = int(pid_file.read_text())
        os.kill(child.pid or 0, signal.SIGKILL)
        await until(lambda: child.life.starts == 2)
        await until(lambda: not alive(grandchild))
    finally:
        await children.close()


async def test_a_child_that_refuses_its_settings_is_not_started_again(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    children = Supervisor(tmp_path)
    try:
        child = children.start(python("picky", "raise SystemExit(78)", tmp_path))
        with pytest.raises(ChildFailedError, match=r"exit code 78.*picky\.log"):
            await wait_for_port(child, port)
        assert child.life.given_up
        assert child.life.starts == 1
        assert not children.kill("picky")
    finally:
        await children.close()


async def test_output_goes_to_the_childs_own_log(tmp_path: Path) -> None:
    children = Supervisor(tmp_path)
    try:
        child = children.start(python("talker", "import time; print('good morning'); time.sleep(600)", tmp_path))
        await until(lambda: child.log_file.read_text() == "good morning\n")
    finally:
        await children.close()


async def test_a_program_that_does_not_exist_says_so_in_its_log(tmp_path: Path) -> None:
    children = Supervisor(tmp_path)
    try:
        child = children.start(Program(name="ghost", argv=("/no/such/program",), folder=tmp_path))
        await until(lambda: child.life.exit_code == 127)
        assert "No such file" in child.log_file.read_text()
    finally:
        await children.close()


async def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent_code = f"""
import asyncio, pathlib, sys, time
from simulators.children import Program, Supervisor
async def main():
    folder = pathlib.Path({str(tmp_path)!r})
    sleeper = (sys.executable, "-c", "import time; time.sleep(600)")
    child = Supervisor(folder).start(Program(name="c", argv=sleeper, folder=folder))
    (folder / "pid").write_text(str(child.pid))
    await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", parent_code])
    try:
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        pid = int((tmp_path / "pid").read_text())
        # Until the small launcher has become the program it still bears the launcher's name.
        await until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0-c\0")[-1])
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
    await until(lambda: not alive(pid))
