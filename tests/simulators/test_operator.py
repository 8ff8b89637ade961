"""The proof about commands must find what it looks for."""

import asyncio
from typing import Any

import pytest

from simulators.campus.operator import LATE_AFTER_NS, Operator, Order
from simulators.chance import seeded
from simulators.journal import Executed, Journal
from tests.campus.virtual_loop import virtual

DEVICES = {"1026701": "gate-1/face-1", "lab-door": "hall-1/lab"}
ASKED = "1970-01-01T00:00:00.000000Z"
LAB = "hall-1/lab"


class Api:
    """Answers from a list of commands."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        assert path == "/api/v1/commands"
        return {"items": self.items, "next": None}


def operator(*items: dict[str, Any]) -> Operator:
    made = Operator(Api([*items]), [Order(("gate-1/face-1",), "AccessDoor")], seeded(1))
    made._asked_ns = {str(item["id"]): 0 for item in items}
    made.issued = len(items)
    return made


def done(name: str, at_ns: int = 1) -> Executed:
    return Executed("1026701", name, at_ns)


def ended(name: str, result: str = "succeeded", device: str = "gate-1/face-1") -> dict[str, Any]:
    return {"id": name, "device": device, "asked": ASKED, "state": "settled", "result": result}


async def test_one_execution_in_time_is_as_it_must_be() -> None:
    verdict = await operator(ended("a")).verdict(Journal(executed=[done("a", LATE_AFTER_NS)]), DEVICES)
    assert (verdict.late, verdict.twice, verdict.open) == (0, 0, 0)
    assert (verdict.commands.issued, verdict.commands.succeeded) == (1, 1)


@pytest.mark.parametrize(
    ("executed", "late", "twice"),
    [([done("a", LATE_AFTER_NS + 1)], 1, 0), ([done("a"), done("a")], 0, 1), ([done("a"), done("a"), done("b")], 0, 1)],
)
async def test_a_late_and_a_second_execution_are_found(executed: list[Executed], late: int, twice: int) -> None:
    verdict = await operator(ended("a"), ended("b", "unknown")).verdict(Journal(executed=executed), DEVICES)
    assert (verdict.late, verdict.twice) == (late, twice)


async def test_a_command_without_an_end_is_found() -> None:
    one = operator(ended("a", "unreachable"), {**ended("b"), "state": "taken", "result": None})
    assert not await one.calm()
    verdict = await one.verdict(Journal(), DEVICES)
    assert (verdict.open, verdict.commands.unreachable) == (1, 1)


class Desk(Api):
    """Takes every command, and remembers when it was asked for."""

    def __init__(self) -> None:
        super().__init__([])
        self.asked: list[tuple[float, tuple[str, ...]]] = []
        self.slow_s = 0.0

    async def post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        self.asked.append((round(asyncio.get_running_loop().time(), 3), body["devices"]))
        await asyncio.sleep(self.slow_s)
        return {"items": []}


@virtual
async def test_the_bell_rings_everywhere_at_its_time_and_is_nobodys_choice_between() -> None:
    desk = Desk()
    bell = Order(("hall-1/amp-1", "hall-1/amp-2"), "Play", bell=True)
    one = Operator(desk, [bell, Order(("gate-1/face-1",), "AccessDoor")], seeded(1))  # type: ignore[arg-type]  # as much of it as is used
    now_s = asyncio.get_running_loop().time()
    work = asyncio.get_running_loop().create_task(one.work(lambda: 0))
    await one.ring([5.0, 9.5], lambda: 0)
    work.cancel()
    rung = [at_s - now_s for at_s, devices in desk.asked if devices == bell.devices]
    assert rung == [5.0, 9.5]
    assert len(desk.asked) > len(rung)


@virtual
async def test_a_bell_that_would_ring_late_is_not_rung() -> None:
    desk = Desk()
    desk.slow_s = 4.0
    one = Operator(desk, [Order(("hall-1/amp-1",), "Play", bell=True)], seeded(1))  # type: ignore[arg-type]  # as much of it as is used
    now_s = asyncio.get_running_loop().time()
    await one.ring([1.0, 2.0, 4.5, 20.0], lambda: 0)
    assert [at_s - now_s for at_s, _ in desk.asked] == [1.0, 5.0, 20.0]


def nameless(at_ns: int) -> Executed:
    return Executed("lab-door", "", at_ns)


@pytest.mark.parametrize(
    ("executed", "late", "twice"),
    [
        # Each has an order of its own.
        ([nameless(5), nameless(LATE_AFTER_NS)], 0, 0),
        ([nameless(5), nameless(LATE_AFTER_NS + 1)], 1, 0),
        ([nameless(5), nameless(6), nameless(7)], 0, 1),
    ],
)
async def test_a_device_that_does_not_say_what_it_was_asked_for_needs_an_order_for_each_thing_it_does(
    executed: list[Executed], late: int, twice: int
) -> None:
    items = [ended("a", device=LAB), ended("b", "unknown", LAB), ended("c", "expired", LAB), ended("d")]
    verdict = await operator(*items).verdict(Journal(executed=executed), DEVICES)
    assert (verdict.late, verdict.twice) == (late, twice)


async def test_what_was_never_asked_of_a_device_is_found_and_an_order_that_nobody_saw_asked_counts() -> None:
    verdict = await operator().verdict(Journal(executed=[nameless(1)]), DEVICES)
    assert (verdict.late, verdict.twice) == (0, 1)
    one = operator(ended("a", device=LAB))
    one._asked_ns.clear()
    assert (await one.verdict(Journal(executed=[nameless(1)]), DEVICES)).twice == 0
