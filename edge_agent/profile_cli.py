"""`campus-profile`: the device profiles; what they say, whether they hold, what they make of a message."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from edge_agent.cli import Json
from wire import options
from wire.i18n import Texts
from wire.options import Language

if TYPE_CHECKING:
    from rich.console import Console

    from device_profiles.catalogue import Catalogue
    from device_profiles.findings import Finding
    from device_profiles.model import DeviceProfile, EventMapping

EXIT_OK: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_USAGE: Final = 2

# A pipe has no width; 80 columns would cut names in two.
PIPE_COLUMNS: Final = 200

# What `list --json` gives of each profile; `show --json` gives everything.
SUMMARY: Final = {
    "name", "description", "description_zh", "products", "device_class", "systems", "protocol", "contract", "source"
}  # fmt: skip

_T = options.HELP
app = options.commands(_T("profile.cli.help"))

Folders = Annotated[list[Path] | None, typer.Option("--folder", "-f", help=_T("profile.cli.opt.folder"))]
Name = Annotated[str, typer.Argument(help=_T("profile.cli.opt.name"))]


# --- commands -----------------------------------------------------------------------------------------


@app.command("list", help=_T("profile.cli.list"))
def list_profiles(folder: Folders = None, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's way
    """Show all profiles."""
    from device_profiles.catalogue import load_catalogue

    texts, catalogue = Texts(lang), load_catalogue(folder or ())
    if as_json:
        profiles = [_summary(catalogue, profile) for _, profile in sorted(catalogue.profiles.items())]
        broken = [str(path) for path in catalogue.findings]
        typer.echo(json.dumps({"schema": 1, "profiles": profiles, "broken": broken}, ensure_ascii=False))
        return
    _print_list(catalogue, texts)
    for path in catalogue.findings:
        typer.echo(texts("profile.cli.broken", path=path), err=True)
    for path in catalogue.overridden:
        typer.echo(texts("profile.cli.overridden", path=path), err=True)


@app.command(help=_T("profile.cli.show"))
def show(name: Name, folder: Folders = None, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer
    """Show one profile."""
    from device_profiles.catalogue import load_catalogue

    texts, catalogue = Texts(lang), load_catalogue(folder or ())
    profile = _find(catalogue, name, texts)
    if as_json:
        typer.echo(json.dumps({"schema": 1, **_document(catalogue, profile)}, ensure_ascii=False))
    else:
        _print_profile(catalogue, profile, texts)


@app.command(help=_T("profile.cli.check"))
def check(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help=_T("profile.cli.opt.paths"))] = None,
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """Check profiles: every finding in one run."""
    from device_profiles.catalogue import SHIPPED
    from device_profiles.findings import in_order
    from device_profiles.reading import read_profile

    texts = Texts(lang)
    files = sorted({file for path in paths or [SHIPPED] for file in _profiles_under(path)})
    findings: list[Finding] = in_order(finding for file in files for finding in read_profile(file)[1])
    if as_json:
        found = [finding.as_document(texts) for finding in findings]
        typer.echo(json.dumps({"schema": 1, "files": [str(file) for file in files], "findings": found}))
    else:
        for finding in findings:
            typer.echo(finding.render(texts))
        typer.echo(texts("profile.cli.checked", count=len(files), findings=len(findings)))
    # A folder without a profile is a wrong folder: a check that looked at nothing has not passed.
    raise typer.Exit(EXIT_FINDINGS if findings or not files else EXIT_OK)


@app.command("test", help=_T("profile.cli.test"))
def play_messages(  # noqa: PLR0917  each is an option of the command
    name: Name,
    cases: Annotated[Path | None, typer.Option("--cases", help=_T("profile.cli.opt.cases"))] = None,
    topic: Annotated[str | None, typer.Option("--topic", help=_T("profile.cli.opt.topic"))] = None,
    message: Annotated[Path | None, typer.Option("--message", help=_T("profile.cli.opt.message"))] = None,
    zone: Annotated[str, typer.Option("--zone", help=_T("profile.cli.opt.zone"))] = "Asia/Shanghai",
    write: Annotated[bool, typer.Option("--write", help=_T("profile.cli.opt.write"))] = False,  # noqa: FBT002  typer's way
    folder: Folders = None,
    lang: Language = None,
) -> None:
    """Play golden cases, or one captured message."""
    from device_profiles.catalogue import load_catalogue
    from edge_agent.codecs import Codec, codec

    texts = Texts(lang)
    profile = _find(load_catalogue(folder or ()), name, texts)
    try:
        codec(profile.protocol, Codec)
    except LookupError:
        typer.echo(texts("profile.cli.no_codec", protocol=profile.protocol), err=True)
        raise typer.Exit(EXIT_FINDINGS) from None
    if (topic is None) != (message is None):
        typer.echo(texts("profile.cli.topic_and_message"), err=True)
        raise typer.Exit(EXIT_USAGE)
    if topic is not None and message is not None:
        raise typer.Exit(_interpret(profile, topic, message, zone, texts))
    raise typer.Exit(_play_all(profile, cases or _checkout_cases(), texts, write=write))


@app.command("page", help=_T("profile.cli.page"))
def write_page(
    output: Annotated[Path, typer.Argument(help=_T("profile.cli.opt.output"))], folder: Folders = None
) -> None:
    """Write the page of all devices; guides written by hand are looked for in the folder `devices` beside it."""
    from device_profiles.catalogue import load_catalogue
    from device_profiles.page import render_page

    guides = {path.stem for path in (output.parent / "devices").glob("*.md")}
    output.write_text(render_page(load_catalogue(folder or ()).profiles.values(), guides), encoding="utf-8")


def main() -> None:
    """Entry point of `campus-profile`."""
    app()


# --- looking things up --------------------------------------------------------------------------------


def _find(catalogue: "Catalogue", name: str, texts: Texts) -> "DeviceProfile":
    from device_profiles.findings import nearest

    profile = catalogue.profiles.get(name)
    if profile is not None:
        return profile
    broken = [path for path in catalogue.findings if path.stem == name]
    for path in broken:
        for finding in catalogue.findings[path]:
            typer.echo(finding.render(texts), err=True)
    if broken:
        raise typer.Exit(EXIT_FINDINGS)
    close = nearest(name, catalogue.names)
    hint = texts("finding.nearest", nearest=close) if close else ""
    typer.echo(texts("finding.unknown_profile", name=name) + hint, err=True)
    raise typer.Exit(EXIT_USAGE)


def _profiles_under(path: Path) -> list[Path]:
    # Also one in no class' folder: the catalogue would pass it over without a word, here it is told.
    return list(path.rglob("*.yaml")) if path.is_dir() else [path]


def _checkout_cases() -> Path:
    return Path(__file__).parent.parent / "tests" / "protocols"


# --- playing ------------------------------------------------------------------------------------------


def _play_all(profile: "DeviceProfile", cases: Path, texts: Texts, *, write: bool) -> int:
    from edge_agent.cases import BadCase, case_folders, play

    folders = case_folders(cases, profile)
    if not folders:
        typer.echo(texts("profile.cli.no_cases", path=cases, name=profile.name, protocol=profile.protocol), err=True)
        return EXIT_USAGE
    failed = 0
    for folder in folders:
        try:
            played = play(profile, folder, write=write)
        except BadCase as error:
            failed += 1
            typer.echo(texts("profile.cli.case_unreadable", name=folder.name, cause=error))
            continue
        failed += bool(played.diff)
        outcome = "case_written" if played.written else "case_failed" if played.diff else "case_passed"
        typer.echo(texts(f"profile.cli.{outcome}", name=played.name))
        for line in played.diff:
            typer.echo(f"    {line}")
    typer.echo(texts("profile.cli.played", count=len(folders), failed=failed))
    return EXIT_FINDINGS if failed else EXIT_OK


def _interpret(profile: "DeviceProfile", topic: str, message: Path, zone: str, texts: Texts) -> int:
    from edge_agent.cases import Player
    from edge_agent.codecs import codec
    from edge_agent.codecs.kinds.mqtt import MqttCodec
    from wire.identity import Pseudonymiser

    try:
        spec = codec(profile.protocol, MqttCodec)
    except LookupError:
        typer.echo(texts("profile.cli.not_mqtt", protocol=profile.protocol), err=True)
        return EXIT_USAGE
    try:
        payload = sys.stdin.buffer.read() if message == Path("-") else message.read_bytes()
    except OSError as error:
        typer.echo(texts("finding.unreadable", cause=f"{message}: {error.strerror}"), err=True)
        return EXIT_USAGE
    if len(payload) > spec.payload_bytes_max:
        typer.echo(texts("profile.cli.payload_too_large", limit=spec.payload_bytes_max), err=True)
        return EXIT_FINDINGS
    outcome = Player(spec, profile, Pseudonymiser(os.urandom(32)), zone=zone).play(
        {"topic": topic, "hex": payload.hex()}
    )
    typer.echo(json.dumps({"schema": 1, **outcome}, ensure_ascii=False, indent=2))
    if not outcome["decoded"]:
        typer.echo(texts("profile.cli.not_for_us", prefix=spec.topic_prefix), err=True)
    lost = [one for one in outcome["decoded"] if "discard" in one] + [e for e in outcome["events"] if "unmapped" in e]
    return EXIT_FINDINGS if lost or not outcome["decoded"] else EXIT_OK


# --- showing ------------------------------------------------------------------------------------------


def _summary(catalogue: "Catalogue", profile: "DeviceProfile") -> dict[str, Any]:
    return {**profile.model_dump(mode="json", include=SUMMARY), "file": str(catalogue.files[profile.name])}


def _document(catalogue: "Catalogue", profile: "DeviceProfile") -> dict[str, Any]:
    return {**profile.model_dump(mode="json"), "file": str(catalogue.files[profile.name])}


def _console() -> "Console":
    from rich.console import Console

    # What stands in a profile is text, never markup.
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    return Console(width=width, markup=False, emoji=False, highlight=False)


def _description(profile: "DeviceProfile", texts: Texts) -> str:
    chinese = profile.description_zh if texts.language == "zh-CN" else None
    return chinese or profile.description


def _words(texts: Texts, group: str, names: list[str]) -> str:
    return ", ".join(texts(f"{group}.{name}") for name in names)


def _print_list(catalogue: "Catalogue", texts: Texts) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in ("name", "class", "systems", "protocol", "contract", "manufacturers", "description"):
        table.add_column(texts(f"profile.cli.col.{column}"), no_wrap=column == "name")
    for name, profile in sorted(catalogue.profiles.items()):
        table.add_row(
            name,
            texts(f"device_class.{profile.device_class}"),
            _words(texts, "system", list(profile.systems)),
            profile.protocol,
            profile.contract,
            ", ".join(sorted({product.manufacturer for product in profile.products})),
            _description(profile, texts),
        )
    _console().print(table)


def _print_profile(catalogue: "Catalogue", profile: "DeviceProfile", texts: Texts) -> None:
    from rich import box
    from rich.table import Table

    console = _console()

    def rows(title: str, columns: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> None:
        if cells:
            table = Table(box=box.SIMPLE, title=texts(f"profile.cli.{title}"), title_justify="left")
            for column in columns:
                table.add_column(texts(f"profile.cli.col.{column}"))
            for row in cells:
                table.add_row(*row)
            console.print(table)

    liveness = profile.liveness
    facts = {
        "class": texts(f"device_class.{profile.device_class}"),
        "systems": _words(texts, "system", list(profile.systems)),
        "protocol": profile.protocol,
        "contract": f"{profile.contract}: {texts(f'contract.{profile.contract}')}",
        "liveness": texts("profile.cli.liveness", interval_s=liveness.interval_s, missed=liveness.missed),
        "source": profile.source,
        "file": str(catalogue.files[profile.name]),
    }
    console.print(f"{profile.name}: {_description(profile, texts)}")
    for name, value in facts.items():
        console.print(f"  {texts(f'profile.cli.col.{name}')}: {value}")
    products = [(product.manufacturer, product.model, product.description or "") for product in profile.products]
    rows("products", ("manufacturer", "model", "description"), products)
    rows("resources", ("name", "type", "access", "units", "range", "description"), _resources(profile))
    commands = [
        (
            command.name,
            texts(f"profile.cli.idempotent_{'yes' if command.idempotent else 'no'}"),
            f"{command.reply_within_ms} ms",
            "; ".join(
                one.device_resource if one.value is None else f"{one.device_resource} = {one.value}"
                for one in command.resource_operations
            ),
        )
        for command in profile.device_commands
    ]
    rows("commands", ("name", "idempotent", "reply", "operations"), commands)
    mappings = [_mapping(mapping, texts) for mapping in profile.event_mappings]
    rows("mappings", ("message", "when", "topic", "lane", "carries"), mappings)
    automatic = [(one.source, f"{one.interval_ms} ms", "✓" if one.on_change else "") for one in profile.auto_events]
    rows("auto_events", ("name", "interval", "on_change"), automatic)
    if profile.caveats:
        console.print(texts("profile.cli.caveats"))
    for caveat in profile.caveats:
        console.print(f"  - {caveat.description}" + (f" ({caveat.link})" if caveat.link else ""))


def _resources(profile: "DeviceProfile") -> list[tuple[str, ...]]:
    def limits(*bounds: float | None) -> str:
        return " … ".join("" if bound is None else f"{bound:g}" for bound in bounds).strip(" …")

    return [
        (
            resource.name,
            resource.properties.value_type,
            resource.properties.read_write,
            resource.properties.units,
            limits(resource.properties.minimum, resource.properties.maximum),
            resource.description or "",
        )
        for resource in profile.device_resources
    ]


def _mapping(mapping: "EventMapping", texts: Texts) -> tuple[str, ...]:
    from wire.topics import lane_of

    when = ", ".join(f"{name} = {value}" for name, value in mapping.when.items())
    carries = [name for name in ("credential", "holder") if getattr(mapping, name)]
    carries += [name for name in ("direction", "state") if getattr(mapping, name) is not None]
    carries += [name for name, _ in mapping.value_fields()]
    topic = f"{mapping.topic} ({mapping.reason})" if mapping.reason else mapping.topic
    return mapping.source, when, topic, texts(f"lane.{lane_of(mapping.topic)}"), ", ".join(carries)


if __name__ == "__main__":
    main()
