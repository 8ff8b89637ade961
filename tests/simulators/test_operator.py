"""The proof about commands must find what it looks for."""

from typing import Any

import pytest

from simulators.campus.operator import LATE_AFTER_NS, Operator, Order
from simulators.chance import seeded
from simulators.journal import Executed, Journal


class Api:
    """Answers from a list of commands."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        assert path == "/api/v1/commands"
        return {"items": self.items, "next": None}


def operator(*items: dict[str, Any]) -> Operator:
    made = Operator(Api([*items]), [Order("gate-1/face-1", "AccessDoor")], seeded(1))  # type: ignore[arg-type]
    made._asked_ns = {str(item["id"]): 0 for item in items}
    made.issued = len(items)
    return made


def done(name: str, at_ns: int = 1) -> Executed:
    return Executed("1026701", name, at_ns)


def ended(name: str, result: str = "succeeded") -> dict[str, Any]:
    return {"id": name, "state": "settled", "result": result}


async def test_one_execution_in_time_is_as_it_must_be() -> None:
    verdict = await operator(ended("a")).verdict(Journal(executed=[done("a", LATE_AFTER_NS)]))
    assert (verdict.late, verdict.twice, verdict.open) == (0, 0, 0)
    assert (verdict.commands.issued, verdict.commands.succeeded) == (1, 1)


@pytest.mark.parametrize(
    ("executed", "late", "twice"),
    [([done("a", LATE_AFTER_NS + 1)], 1, 0), ([done("a"), done("a")], 0, 1), ([done("a"), done("a"), done("b")], 0, 1)],
)
async def test_a_late_and_a_second_execution_are_found(executed: list[Executed], late: int, twice: int) -> None:
    verdict = await operator(ended("a"), ended("b", "unknown")).verdict(Journal(executed=executed))
    assert (verdict.late, verdict.twice) == (late, twice)


async def test_a_command_without_an_end_is_found() -> None:
    one = operator(ended("a", "unreachable"), {"id": "b", "state": "taken", "result": None})
    assert not await one.calm()
    verdict = await one.verdict(Journal())
    assert (verdict.open, verdict.commands.unreachable) == (1, 1)
