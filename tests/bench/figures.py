"""A figure, what was aimed at, and the table of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. aim: what it should be; at_least: whether more is better. note: how to read it."""

    part: str
    name: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim

    def row(self) -> tuple[str, str, str, str, str]:
        """As the table has it."""
        sign = "≥" if self.at_least else "≤"
        aim = "" if self.aim is None else f"{sign} {shown(self.aim)}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return self.name, f"{shown(self.value)} {self.unit}".strip(), aim, verdict, self.note


_WIDTHS: Final = (52, 18, 10, 7)


def shown(value: float) -> str:
    """Three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def line(cells: Sequence[str]) -> str:
    """One line of the table."""
    fixed = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*fixed, *cells[len(_WIDTHS) :]]).rstrip()


def table(figures: Sequence[Figure]) -> str:
    """All figures of one part, below its name."""
    return "\n".join(line(figure.row()) for figure in figures)


def as_json(figures: Sequence[Figure], machine: dict[str, Any]) -> str:
    """For a program."""
    items = [{**asdict(figure), "met": figure.met} for figure in figures]
    return json.dumps({"schema": 1, "machine": machine, "figures": items}, ensure_ascii=False, indent=1)
