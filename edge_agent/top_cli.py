"""`campus-edge top`: the running box on one screen, from what it writes beside its outbox; trouble stands first."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_agent import HEALTH_FILE, OUTBOX_FILE
from edge_agent.outbox import OutboxError, survey
from edge_agent.settings import EdgeSettings
from wire.clock import NS_PER_S
from wire.i18n import Texts
from wire.logs import printable
from wire.pipe import until_nobody_reads
from wire.system_clock import SystemClock

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
LOOK_S: Final = 1.0
# The agent writes every five seconds.
OLD_S: Final = 20
# A pipe has no height.
ROWS_MAX: Final = 40
_TROUBLE: Final = {"DOWN": 0, None: 1, "UP": 2}


def show_top(settings: EdgeSettings, *, once: bool, as_json: bool, texts: Texts) -> int:
    """1 when the agent does not run, 0 otherwise; on a terminal until interrupted."""
    if as_json:
        snapshot = snapshot_of(settings)
        typer.echo(json.dumps(snapshot, ensure_ascii=False))
        return EXIT_OK if snapshot["running"] else EXIT_FAILED
    console = Console(markup=False, emoji=False, highlight=False)
    if once or not sys.stdout.isatty():
        snapshot = snapshot_of(settings)
        console.print(screen(snapshot, texts, ROWS_MAX))
        return EXIT_OK if snapshot["running"] else EXIT_FAILED

    def watch() -> int:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                # What is not a device takes some fifteen lines.
                live.update(screen(snapshot_of(settings), texts, max(3, console.height - 15)), refresh=True)
                time.sleep(LOOK_S)

    return until_nobody_reads(watch)


def snapshot_of(settings: EdgeSettings) -> dict[str, Any]:
    """The stable JSON shape of `campus-edge top --json`; devices and channels by trouble, then the slowest."""
    health = _read(settings.data_dir / HEALTH_FILE)
    age_s = abs(time.time() - health.get("wall_ns", 0) / NS_PER_S)
    channels = health.get("channels", {})
    parts = health.get("parts", {})
    devices = [{"channel": name, **device} for name, channel in channels.items() for device in channel["devices"]]
    return {
        "schema": 1,
        "edge": settings.edge,
        "running": age_s < OLD_S,
        "age_s": round(age_s, 1) if health else None,
        "clock": health.get("clock", {}).get("state"),
        "rate": health.get("rate", 0.0),
        "counters": health.get("counters", {}),
        "lanes": _lanes(settings.data_dir / OUTBOX_FILE),
        "parts": sorted(
            ({"name": name, **part} for name, part in parts.items()),
            key=lambda part: (part["state"] == "up", part["name"]),
        ),
        "devices": sorted(devices, key=_by_trouble),
    }


def _by_trouble(device: Mapping[str, Any]) -> tuple[int, int, float, str]:
    return _TROUBLE[device["state"]], -device["troubles"], -(device["answer_ms"] or 0.0), device["id"]


def _read(path: Path) -> dict[str, Any]:
    try:
        health: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return health


def _lanes(path: Path) -> dict[str, dict[str, int]]:
    try:
        depths = survey(path, SystemClock().stamp()).depths
    except (OSError, OutboxError):
        return {}
    return {lane.value: {"queued": depth.queued, "oldest_age_s": depth.oldest_age_s} for lane, depth in depths.items()}


# --- the screen ---------------------------------------------------------------------------------------


def screen(snapshot: Mapping[str, Any], texts: Texts, rows_max: int) -> Group:
    """Everything, with rows_max devices at most."""
    state = texts("edge.top.running" if snapshot["running"] else "edge.top.stopped")
    queued = sum(lane["queued"] for lane in snapshot["lanes"].values())
    counters = snapshot["counters"]
    facts = {
        "edge": snapshot["edge"],
        "state": state,
        "clock": snapshot["clock"] or "-",
        "rate": snapshot["rate"],
        "queued": queued,
        "messages": counters.get("messages_total", 0),
        "events": counters.get("events_total", 0),
    }
    head = Text(texts("edge.top.head", **facts))
    devices = snapshot["devices"]
    more = len(devices) - rows_max
    foot = [Text(texts("edge.top.more", count=more))] if more > 0 else []
    return Group(
        head,
        _lane_table(snapshot, texts),
        _part_table(snapshot, texts),
        _device_table(devices[:rows_max], texts),
        *foot,
    )


def _table(texts: Texts, *columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(texts(f"edge.top.col.{name}"), no_wrap=number == 0, justify="left" if number < 2 else "right")
    return table


def _lane_table(snapshot: Mapping[str, Any], texts: Texts) -> Table:
    table = _table(texts, "lane", "queued", "oldest")
    for name, lane in snapshot["lanes"].items():
        table.add_row(texts(f"lane.{name}"), str(lane["queued"]), str(lane["oldest_age_s"]))
    return table


def _part_table(snapshot: Mapping[str, Any], texts: Texts) -> Table:
    table = _table(texts, "part", "state", "restarts", "cause")
    for part in snapshot["parts"]:
        table.add_row(*_cells(part["name"], part["state"], part["restarts"], part["cause"]))
    return table


def _device_table(devices: Iterable[Mapping[str, Any]], texts: Texts) -> Table:
    table = _table(texts, "device", "state", "heard", "events", "troubles", "answer")
    for device in devices:
        heard = "-" if device["heard_s"] is None else f"{device['heard_s']:.0f}"
        answer = "-" if device["answer_ms"] is None else f"{device['answer_ms']:.0f}"
        state = device["state"] or "?"
        table.add_row(*_cells(device["id"], state, heard, device["events"], device["troubles"], answer))
    return table


def _cells(*values: object) -> list[str]:
    return [printable(str(value)) for value in values]
