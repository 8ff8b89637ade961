"""Parts that fail are started again, in a way that neither hammers the other side nor floods the log."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

import pytest

from edge_agent.supervise import PARKED_S, WAIT_S_MAX, RefusedError, State, Supervisor
from tests.campus.virtual_loop import virtual


def watch(run: Callable[[Supervisor], Awaitable[None]], chance: float = 1.0) -> tuple[Supervisor, "list[float]"]:
    """A supervisor whose draws are always `chance`, and the times at which its part was started."""
    started: list[float] = []

    async def noted(supervisor: Supervisor) -> None:
        started.append(asyncio.get_running_loop().time())
        await run(supervisor)

    return Supervisor("door-panel", noted, chance=lambda: chance), started


async def let_run(supervisor: Supervisor, seconds: float) -> None:
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def unplugged(_: Supervisor) -> None:
    raise ConnectionResetError("unplugged")


@virtual
async def test_pauses_double_to_a_minute() -> None:
    supervisor, started = watch(unplugged)
    await let_run(supervisor, 250)
    assert [b - a for a, b in itertools.pairwise(started)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert supervisor.health.state is State.DOWN
    assert supervisor.health.restarts == 10


@virtual
async def test_each_pause_is_drawn_from_zero_to_the_bound() -> None:
    draws = itertools.chain([0.0, 0.5, 0.25, 1.0], itertools.repeat(1.0))
    started: list[float] = []

    async def noted(_: Supervisor) -> None:
        started.append(asyncio.get_running_loop().time())
        raise TimeoutError

    await let_run(Supervisor("uplink", noted, chance=lambda: next(draws)), 10.5)
    assert started == [0, 0, 1, 2, 10]


@virtual
async def test_one_outage_is_two_log_lines_however_long(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge_agent.supervise")
    dead_until_s = 300.0

    async def recovers(supervisor: Supervisor) -> None:
        if asyncio.get_running_loop().time() < dead_until_s:
            raise OSError("no route")
        supervisor.up()
        await asyncio.Event().wait()

    supervisor, started = watch(recovers)
    await let_run(supervisor, 400)
    assert [record.message for record in caplog.records] == ["part down", "part up"]
    up = caplog.records[1]
    assert (up.part, up.attempts) == ("door-panel", len(started) - 1)
    assert up.down_for_s == pytest.approx(started[-1])
    assert supervisor.health.state is State.UP
    assert supervisor.health.cause == ""


@virtual
async def test_a_part_that_works_again_starts_from_the_shortest_pause() -> None:
    async def flaps(supervisor: Supervisor) -> None:
        if len(started) > 6:
            supervisor.up()
        raise OSError("gone")

    supervisor, started = watch(flaps)
    await let_run(supervisor, 70)
    assert [b - a for a, b in itertools.pairwise(started)][:9] == [1, 2, 4, 8, 16, 32, 1, 1, 1]


@virtual
async def test_who_is_refused_waits_the_longest_pause_at_once() -> None:
    async def refused(_: Supervisor) -> None:
        raise RefusedError("not enrolled")

    supervisor, started = watch(refused, chance=0.0)
    await let_run(supervisor, 150)
    assert started == [0, WAIT_S_MAX, 2 * WAIT_S_MAX]


@virtual
async def test_a_part_that_simply_ends_is_started_again() -> None:
    async def ends(_: Supervisor) -> None:
        pass

    supervisor, started = watch(ends)
    await let_run(supervisor, 8)
    assert started == [0, 1, 3, 7]


@virtual
async def test_three_bugs_in_ten_minutes_park_the_part(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(_: Supervisor) -> None:
        raise ZeroDivisionError

    supervisor, started = watch(breaks, chance=0.0)
    await let_run(supervisor, 100)
    assert len(started) == 3
    assert supervisor.health.state is State.PARKED
    assert supervisor.health.bugs == 3
    messages = [record.message for record in caplog.records]
    assert messages.count("part failed; this is a bug of ours") == 3
    assert messages[-1] == "part parked"


@virtual
async def test_a_parked_part_gets_another_chance_and_says_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge_agent.supervise")

    async def learns(supervisor: Supervisor) -> None:
        supervisor.up()
        if len(started) <= 3:
            raise ZeroDivisionError
        await asyncio.Event().wait()

    supervisor, started = watch(learns, chance=0.0)
    await let_run(supervisor, PARKED_S + 10)
    assert len(started) == 4
    assert started[3] - started[2] == PARKED_S
    assert supervisor.health.state is State.UP
    assert caplog.records[-1].message == "part up"


@virtual
async def test_bugs_far_apart_do_not_park() -> None:
    async def breaks_now_and_then(supervisor: Supervisor) -> None:
        supervisor.up()
        await asyncio.sleep(301)
        raise KeyError("field")

    supervisor, started = watch(breaks_now_and_then, chance=0.0)
    await let_run(supervisor, 3000)
    assert supervisor.health.bugs == 9
    assert len(started) == 10


@virtual
async def test_a_bug_is_known_by_its_type_because_its_text_may_be_about_a_person(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(_: Supervisor) -> None:
        raise ValueError("李小明 04A1B2C3")

    supervisor, _ = watch(breaks)
    await let_run(supervisor, 0.5)
    assert supervisor.health.cause == "ValueError"
    down = next(record for record in caplog.records if record.message == "part down")
    assert down.cause == "ValueError"


@virtual
async def test_being_cancelled_is_the_only_way_out() -> None:
    async def waits(supervisor: Supervisor) -> None:
        supervisor.up()
        await asyncio.Event().wait()

    supervisor, _ = watch(waits)
    await let_run(supervisor, 10)
    assert supervisor.health.restarts == 0


@virtual
async def test_a_part_whose_wait_was_cancelled_from_elsewhere_is_started_again() -> None:
    async def given_up(_: Supervisor) -> None:
        answer = asyncio.get_running_loop().create_future()
        answer.cancel()
        await answer

    supervisor, started = watch(given_up)
    await let_run(supervisor, 8)
    assert started == [0, 1, 3, 7]
    assert supervisor.health.state is State.DOWN


@virtual
async def test_a_part_that_fails_in_the_moment_of_its_cancellation_ends_with_it() -> None:
    """A TaskGroup that is cancelled while a child of it fails raises the failure and no cancellation."""
    failing = asyncio.Event()

    async def child() -> None:
        await failing.wait()
        raise ValueError("child")

    async def part(_: Supervisor) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    supervisor, started = watch(part)
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(1)
    failing.set()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=100)
    assert task.cancelled()
    assert started == [0]
    assert supervisor.health.bugs == 0


@virtual
async def test_a_part_whose_task_group_failed_is_started_again_and_again() -> None:
    """Python 3.11 leaves a task marked as cancelled when a child of its TaskGroup has failed."""

    async def child() -> None:
        raise ConnectionResetError("unplugged")

    async def part(_: Supervisor) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    supervisor, started = watch(part)
    await let_run(supervisor, 20)
    assert started == [0, 1, 3, 7, 15]
    assert supervisor.health.bugs == 0


@virtual
async def test_a_dial_that_times_out_after_an_outage_is_an_outage_like_any_other() -> None:
    """In Debian 12's Python 3.11.2 a TaskGroup's failure makes later time-outs of the same task cancellations."""
    attempts: list[int] = []

    async def child() -> None:
        raise ConnectionResetError("unplugged")

    async def part(_: Supervisor) -> None:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(child())
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
        async with asyncio.timeout(10):
            await asyncio.sleep(3600)

    supervisor, started = watch(part)
    await let_run(supervisor, 60)
    assert started == [0, 1, 13, 27, 45]
    assert supervisor.health.bugs == 0
