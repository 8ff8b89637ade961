"""An asyncio loop on virtual time: when nothing is ready, the clock jumps to the next timer.

Hours pass in seconds, and the same program always does the same thing in the same order. Production coroutines run on
it unchanged. It has no sockets, no signals and no threads: whoever asks for one gets an error. When nothing is ready
and no timer is set the program would hang for ever, which is reported as `Deadlock` with the tasks that wait.
"""

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

STEPS_MAX = 20_000_000


class Deadlock(Exception):
    """Everyone waits and nothing will ever happen."""


class Endless(Exception):
    """The program took more steps than it was given."""


class NotVirtual(RuntimeError):
    """The program asked for something outside the simulation."""


class NumberedTask(asyncio.Task):
    """A task whose hash is its birth number.

    TaskGroup keeps its tasks in a set and cancels them in the set's order, which by default follows memory addresses:
    the one thing in asyncio that differs from run to run.
    """

    _number = 0

    def __hash__(self) -> int:
        return self._number


class _Timers:
    """Stands where a loop has its selector: nothing to select from, so time moves instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        loop = self._loop
        loop.steps += 1
        if loop.steps > loop.steps_max:
            raise Endless(f"more than {loop.steps_max} steps, {loop.time():.3f} s of virtual time")
        if timeout is None:
            raise Deadlock(f"at {loop.time():.3f} s nothing is ready and no timer is set\n" + waiting_tasks(loop))
        if timeout > 0:
            # Exactly the timer's own time: adding the difference could stop a hair before it.
            loop.jump_to(loop._scheduled[0].when())
        return []

    def close(self) -> None:
        pass


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. complaints: what asyncio would have told its exception handler."""

    def __init__(self, *, steps_max: int = STEPS_MAX) -> None:
        super().__init__()
        self._selector = _Timers(self)
        self._now_s = 0.0
        self._clock_resolution = 1e-9
        self.steps = 0
        self.steps_max = steps_max
        self.complaints: list[str] = []
        numbers = itertools.count(1)

        def task_factory(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **kwargs: Any) -> NumberedTask:
            task = NumberedTask(coro, loop=loop, **kwargs)
            task._number = next(numbers)
            return task

        self.set_task_factory(task_factory)
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def jump_to(self, when_s: float) -> None:
        """Time never runs backwards."""
        self._now_s = max(self._now_s, when_s)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        raise NotVirtual(f"{func} would run in a thread")

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        raise NotVirtual("a name would be looked up")

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        # call_soon_threadsafe wakes the selector with this; ours never sleeps.
        pass

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.complaints.append(f"{context.get('message')}: {error!r}" if error else str(context.get("message")))


def waiting_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """One line for each task that is not done: its name and where it stands."""
    lines = []
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: getattr(task, "_number", 0)):
        frames = task.get_stack(limit=1)
        where = f"{frames[-1].f_code.co_qualname}:{frames[-1].f_lineno}" if frames else "?"
        lines.append(f"  {task.get_name()} in {where}")
    return "\n".join(lines)


def run_virtual(main: Callable[[], Awaitable[T]], *, steps_max: int = STEPS_MAX) -> T:
    """Run a program to its end on a loop of its own and return its result.

    Raises what the program raises, Deadlock, Endless, and AssertionError when something complained to the loop.
    """
    loop = VirtualLoop(steps_max=steps_max)
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(_as_coroutine(main()))
        _end_all(loop)
        assert not loop.complaints, loop.complaints
        return result
    finally:
        loop.steps_max = loop.steps + STEPS_MAX
        try:
            _end_all(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Makes an async test run on virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(lambda: test(*args, **kwargs))

    return run


async def until(condition: Callable[[], object], *, within_s: float = 600, every_s: float = 0.01) -> None:
    """Return when something has become true. Looking often costs nothing where time is virtual."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while not condition():
        assert loop.time() < until_s, f"not within {within_s} s"
        await asyncio.sleep(every_s)


async def _as_coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _end_all(loop: VirtualLoop) -> None:
    tasks = sorted(asyncio.all_tasks(loop), key=hash)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
