"""`campus-edge check` and `init`: what is wrong with a settings file, and a file to begin with. No network."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

import typer

from device_profiles.findings import Finding, Severity
from edge_agent.settings import Loaded, read_settings
from wire.i18n import Texts

EXIT_OK: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_USAGE: Final = 2
EXIT_SETTINGS: Final = 3

SAMPLES: Final = ("minimal", "full")


def _to_stderr(text: str) -> None:
    typer.echo(text, err=True)


def load_or_report(path: Path, *, language: str | None, say: Callable[[str], object] = _to_stderr) -> Loaded | None:
    """The settings of a file; when they cannot be used, what is wrong is said and the answer is None."""
    loaded = read_settings(path)
    if loaded.settings is None:
        report(path, loaded.findings, Texts(language), say)
        return None
    return loaded


def check_command(path: Path, *, strict: bool, as_json: bool, language: str | None) -> int:
    """Print every finding of a settings file. Returns 0, 1 for warnings under strict, 3 when it cannot be used."""
    loaded = read_settings(path)
    texts = Texts(language)
    if as_json:
        findings = [finding.as_document(texts) for finding in loaded.findings]
        typer.echo(json.dumps({"schema": 1, "file": str(path), "findings": findings}, ensure_ascii=False))
    else:
        report(path, loaded.findings, texts)
    if loaded.settings is None:
        return EXIT_SETTINGS
    if not loaded.settings.identity_key_file.exists():
        typer.echo(texts("check.not_enrolled"), err=True)
    return EXIT_FINDINGS if strict and loaded.findings else EXIT_OK


def report(path: Path, findings: list[Finding], texts: Texts, say: Callable[[str], object] = typer.echo) -> None:
    """Findings one after the other, then how many there are."""
    for finding in findings:
        say(finding.render(texts))
    if not findings:
        say(texts("check.ok", path=path))
        return
    summary = texts("check.summary", path=path, count=len(findings))
    warnings = sum(finding.severity is Severity.WARNING for finding in findings)
    say(f"{summary} ({texts('check.warnings', count=warnings)})" if warnings else summary)


def init_command(directory: Path, *, sample: str, language: str | None) -> int:
    """Write `edge.yaml` with comments into a folder. Nothing that is there is ever overwritten."""
    texts = Texts(language)
    if sample not in SAMPLES:
        typer.echo(texts("check.bad_sample", name=sample), err=True)
        return EXIT_USAGE
    target = directory / "edge.yaml"
    text = (files("edge_agent") / "samples" / f"{sample}.yaml").read_text(encoding="utf-8")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        typer.echo(texts("check.exists", path=target), err=True)
        return EXIT_FINDINGS
    except OSError as error:
        typer.echo(texts("check.not_written", path=target, cause=error.strerror), err=True)
        return EXIT_FINDINGS
    typer.echo(texts("check.written", path=target))
    typer.echo(texts("check.next"), err=True)
    return EXIT_OK
