"""`campus-edge probe`: what a device says, now, and how long it takes to say it. Stores nothing, moves nothing."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from device_profiles.catalogue import load_catalogue
from edge_agent.check_cli import load_or_report
from edge_agent.probe import Held, Limits, ProbeRefused, Report, Target, probe
from edge_agent.probe.naming import NoTarget, addressed, is_address, named
from edge_agent.settings import SecretError
from wire.i18n import Texts
from wire.identity import Pseudonymiser
from wire.logs import printable, quoted
from wire.mqtt_link import LinkError
from wire.pipe import until_nobody_reads
from wire.record_lines import details
from wire.system_clock import SystemClock

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SETTINGS: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_REFUSED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What stands on the command line. target: see edge_agent.probe.naming."""

    target: str
    config: Path
    profile: str | None
    password_file: Path | None
    zone: str
    count: int
    for_s: float
    as_json: bool


def probe_command(asked: Asked, texts: Texts) -> int:
    """0 when something was heard, 1 when nothing was, 4 when nobody is there, 5 when we are not let in."""
    try:
        target = _target(asked, texts)
    except NoTarget as error:
        near = error.params.pop("nearest", "")
        hint = texts("finding.nearest", nearest=near) if near else ""
        typer.echo(texts(f"edge.probe.{error.code}", **error.params) + hint, err=True)
        return EXIT_USAGE
    except (SecretError, OSError) as error:
        typer.echo(texts("finding.unreadable", cause=error), err=True)
        return EXIT_SETTINGS
    if target is None:
        return EXIT_SETTINGS
    return until_nobody_reads(lambda: _run(target, asked, texts))


def _target(asked: Asked, texts: Texts) -> Target | None:
    if is_address(asked.target):
        path = asked.password_file
        password = "" if path is None else path.read_text(encoding="utf-8").strip()
        return addressed(asked.target, asked.profile, load_catalogue(()), password=password, zone=asked.zone)
    loaded = load_or_report(asked.config, language=texts.language)
    return None if loaded is None else named(asked.target, loaded)


def _run(target: Target, asked: Asked, texts: Texts) -> int:
    say: Callable[[dict[str, Any]], None] = (lambda _item: None) if asked.as_json else _say
    report = Report(say, Pseudonymiser(os.urandom(32)))
    limits = Limits(asked.count, asked.for_s)
    code, cause = EXIT_OK, ""
    typer.echo(texts("edge.probe.begin", kind=target.transport.kind, for_s=f"{asked.for_s:g}"), err=True)
    try:
        asyncio.run(probe(target, report, limits, SystemClock()))
    except Held as held:
        code, cause = EXIT_UNREACHABLE, texts("edge.probe.held", what=held)
    except ProbeRefused as refused:
        code, cause = EXIT_REFUSED, texts("edge.probe.refused", cause=refused)
    except (LinkError, OSError) as error:
        code, cause = EXIT_UNREACHABLE, texts("edge.probe.unreachable", cause=_told(error))
    if code == EXIT_OK and not report.heard:
        code, cause = EXIT_FAILED, texts("edge.probe.silent")
    if asked.as_json:
        typer.echo(json.dumps(_document(asked.target, report, code), ensure_ascii=False))
    else:
        _summary(report, texts)
    if cause:
        typer.echo(printable(cause), err=True)
    return code


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _document(target: str, report: Report, code: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "target": target,
        "ok": code == EXIT_OK,
        "heard": report.heard,
        "answered": len(report.answers_ns),
        "unanswered": report.unanswered,
        "latency_ms": report.latency_ms(),
    }


def _summary(report: Report, texts: Texts) -> None:
    latency = report.latency_ms()
    counts = {"heard": len(report.heard), "answered": len(report.answers_ns), "unanswered": report.unanswered}
    typer.echo(texts("edge.probe.summary", **counts))
    if latency is not None:
        typer.echo(texts("edge.probe.latency", **latency))


def _say(item: dict[str, Any]) -> None:
    sys.stdout.write(printable(" ".join(_words(item))) + "\n")
    sys.stdout.flush()


def _words(item: Mapping[str, Any]) -> list[str]:
    """A line: which device, what it said, and what that becomes."""
    who = [str(item[name]) for name in ("device", "address") if item.get(name)]
    took = [f"{item['took_ms']} ms"] if "took_ms" in item else []
    if "answered" in item:
        return [item["answered"], *took]
    if "cause" in item:
        return [*who, item["asked"], f"! {item['cause']}"]
    if "discard" in item:
        return [*who, f"! {item['discard']}", item["raw"]]
    if "values" in item:
        return [*who, item["asked"], *details({"readings": item["values"]}), *took]
    message = item["message"]
    fields = [f"{name}={quoted(value)}" for name, value in message.get("fields", {}).items()]
    facts = [f"{name}={quoted(message[name])}" for name in ("record_no", "device_time") if name in message]
    return [*who, message["kind"], *fields, *facts, *(word for event in item["events"] for word in _becomes(event))]


def _becomes(event: Mapping[str, Any]) -> list[str]:
    if "unmapped" in event:
        return ["→ ?"]
    shown = {name: value for name, value in event.items() if name not in {"source", "device_time"}}
    return ["→", str(event.get("topic", event.get("kind", ""))), *details(shown)]
