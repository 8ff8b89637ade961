"""The loop that everything else in this folder stands on."""

import asyncio
import itertools

import pytest

from tests.campus.virtual_loop import Deadlock, Endless, NotVirtual, run_virtual, virtual


@virtual
async def test_a_day_of_sleep_takes_no_time_and_ends_exactly_when_due() -> None:
    await asyncio.sleep(86_400 * 3 + 0.1)
    assert asyncio.get_running_loop().time() == 86_400 * 3 + 0.1


@virtual
async def test_timers_fire_in_the_order_of_their_times() -> None:
    order: list[float] = []

    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 0.5, 2, 0.4999):
            group.create_task(wait(seconds))
    assert order == [0.4999, 0.5, 2, 3]


@virtual
async def test_a_timeout_of_asyncio_runs_on_virtual_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 30


def test_waiting_for_what_nobody_will_do_is_a_deadlock_that_names_the_waiter() -> None:
    async def wait_for_ever() -> None:
        await asyncio.create_task(asyncio.Event().wait(), name="the lonely one")

    with pytest.raises(Deadlock, match="the lonely one"):
        run_virtual(wait_for_ever)


def test_a_program_that_never_ends_is_stopped_by_its_bound() -> None:
    async def spin() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(Endless):
        run_virtual(spin, steps_max=1000)


@virtual
async def test_threads_and_names_are_refused() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(NotVirtual):
        await asyncio.to_thread(print)
    with pytest.raises(NotVirtual):
        await loop.getaddrinfo("localhost", 1)


@virtual
async def test_call_soon_threadsafe_wakes_the_loop() -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(5, lambda: loop.call_soon_threadsafe(done.set_result, "told"))
    assert await done == "told"
    assert loop.time() == 5


def test_an_error_nobody_looked_at_fails_the_run() -> None:
    async def drop_an_error() -> None:
        async def fail() -> None:
            raise ValueError("unseen")

        task = asyncio.get_running_loop().create_task(fail())
        await asyncio.sleep(1)
        del task
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="unseen"):
        run_virtual(drop_an_error)


@virtual
async def test_a_task_group_cancels_its_tasks_in_the_order_of_their_birth() -> None:
    ended: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ConnectionError("down")

    async def run_all() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(wait(number))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await run_all()
    assert ended == list(range(40))
