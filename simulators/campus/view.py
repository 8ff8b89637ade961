"""What a person sees while the demo runs: a live table on a terminal, plain lines anywhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulators.campus.alarms import KINDS
from simulators.campus.tracking import Row
from wire.i18n import Texts

PLAIN_EVERY_S: Final = 2.0
LIVE_EVERY_S: Final = 0.25
# What the table has beside its rows, the line of all records included; and the prompt's own line.
_FRAME_LINES: Final = 7

Phase = Literal["running", "draining"]


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """One process of the campus."""

    name: str
    up: bool
    kills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at the campus. elapsed_s, left_s: of this phase; left_s None: no end set. harms: done so far; alarms:
    that rang so far, by kind; measured: values on the stream; issued, refused: commands that were asked for, and those
    of them that were refused at once.
    """

    phase: Phase
    elapsed_s: float
    left_s: float | None
    total: Row
    rows: Sequence[Row]
    processes: Sequence[ProcessLine]
    online: int
    terminals: int
    p50_ms: float | None
    p99_ms: float | None
    harms: Mapping[str, int] = field(default_factory=dict)
    alarms: Mapping[str, int] = field(default_factory=dict)
    measured: int = 0
    issued: int = 0
    refused: int = 0


class View(Protocol):
    """Shows snapshots. every_s: how often it wants one."""

    every_s: float

    def show(self, snapshot: Snapshot) -> None:
        """Show the present state."""

    def close(self) -> None:
        """Leave the screen as it is."""


class LiveView:
    """A table that stays in place: the systems, and the device classes too where the window is high enough."""

    every_s = LIVE_EVERY_S

    def __init__(self, console: Console, texts: Texts) -> None:
        self._console = console
        self._texts = texts
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        """See View."""
        head = _head(snapshot, self._texts)
        high = len(head) + len(snapshot.rows) + _FRAME_LINES <= self._console.height
        rows = [row for row in snapshot.rows if high or row.name.startswith("system.")]
        self._live.update(Group(*head, _table(snapshot, rows, self._texts)), refresh=True)

    def close(self) -> None:
        """See View."""
        self._live.stop()


class PlainView:
    """A line now and then."""

    every_s = PLAIN_EVERY_S

    def __init__(self, console: Console, texts: Texts) -> None:
        self._console = console
        self._texts = texts

    def show(self, snapshot: Snapshot) -> None:
        """See View."""
        total = snapshot.total
        line = self._texts(
            "sim.demo.line",
            phase=self._texts(f"sim.demo.phase.{snapshot.phase}"),
            elapsed_s=round(snapshot.elapsed_s),
            produced=total.produced,
            acked=total.acked,
            stored=total.stored,
            in_flight=total.in_flight,
            said=total.said,
            alarms=sum(snapshot.alarms.values()),
            p50=_ms(snapshot.p50_ms),
            p99=_ms(snapshot.p99_ms),
            processes=" ".join(_process(process) for process in snapshot.processes),
        )
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """See View."""


def make_view(console: Console, texts: Texts) -> View:
    """The one that fits where the output goes."""
    return LiveView(console, texts) if console.is_terminal else PlainView(console, texts)


def _head(snapshot: Snapshot, texts: Texts) -> list[Text]:
    left = "" if snapshot.left_s is None else texts("sim.demo.left", seconds=max(0, round(snapshot.left_s)))
    first = texts("sim.demo.head", phase=texts(f"sim.demo.phase.{snapshot.phase}"), elapsed_s=round(snapshot.elapsed_s))
    latency = texts("sim.demo.latency", p50=_ms(snapshot.p50_ms), p99=_ms(snapshot.p99_ms))
    devices = texts("sim.demo.devices", online=snapshot.online, terminals=snapshot.terminals)
    lines = [Text(f"{first}  {left}", style="bold"), Text(f"{devices}  {latency}"), _processes(snapshot)]
    commands = texts("sim.demo.commands", issued=snapshot.issued, refused=snapshot.refused)
    lines.append(Text(f"{commands}  {texts('sim.demo.measured', count=snapshot.measured)}"))
    if snapshot.alarms:
        rang = "  ".join(f"{texts(f'sim.demo.alarm.{kind}')} {snapshot.alarms.get(kind, 0)}" for kind in KINDS)
        lines.append(Text(rang, style="red"))
    if snapshot.harms:
        done = "  ".join(f"{texts(f'sim.demo.harm.{harm}')} {count}" for harm, count in sorted(snapshot.harms.items()))
        lines.append(Text(done, style="yellow"))
    return lines


def _processes(snapshot: Snapshot) -> Text:
    text = Text()
    for process in snapshot.processes:
        text.append(_process(process) + "  ", style="green" if process.up else "bold red")
    return text


def _process(process: ProcessLine) -> str:
    # Colour alone would not do: the mark says it too.
    killed = f" (†{process.kills})" if process.kills else ""
    return f"{'●' if process.up else '○'} {process.name}{killed}"


def _table(snapshot: Snapshot, rows: Sequence[Row], texts: Texts) -> Table:
    table = Table(expand=False)
    table.add_column(texts("sim.demo.column.group"))
    for name in ("produced", "acked", "stored", "in_flight", "said"):
        table.add_column(texts(f"sim.demo.column.{name}"), justify="right")
    for row in rows:
        table.add_row(texts(f"sim.demo.group.{row.name}"), *_numbers(row))
    table.add_section()
    table.add_row(texts("sim.demo.total"), *_numbers(snapshot.total), style="bold")
    return table


def _numbers(row: Row) -> list[str]:
    return [str(number) for number in (row.produced, row.acked, row.stored, row.in_flight, row.said)]


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
