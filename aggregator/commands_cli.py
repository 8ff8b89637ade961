"""`campus-aggregator command`: tells devices something over the API of the running service, with the rights of a token.

Nothing is sent twice: everything is asked for under one key, and asking again with it does nothing new.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import typer

from aggregator.cli_options import unanswered
from aggregator.office_cli import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, lister
from aggregator.service import Service, ServiceRefused, ServiceUnreachable
from device_profiles.catalogue import load_catalogue
from device_profiles.model import DeviceProfile
from wire.i18n import Texts

EXIT_NOT_ALLOWED: Final = 5
COLUMNS: Final = ("id", "asked", "device", "name", "state", "result")
LOOK_S: Final = 0.3
TRIES: Final = 3
_SETTLED: Final = "settled"


def send_command(
    service: Service,
    name: str,
    devices: Sequence[str],
    *,
    arguments: Sequence[str],
    reason: str,
    key: str,
    wait_s: float,
    as_json: bool,
    texts: Texts,
) -> int:
    """0 when every device has done it, or when nobody waits; 1 when one has not, or has not said so within wait_s."""
    words = dict(argument.partition("=")[::2] for argument in arguments)
    if any("=" not in argument for argument in arguments):
        typer.echo(texts("agg.command.bad_argument"), err=True)
        return EXIT_USAGE
    key = key or uuid4().hex

    def ask() -> int:
        given = _typed(words, _profile(service, devices[0])) if words else {}
        body = {"devices": list(devices), "name": name, "arguments": given, "reason": reason}
        group = _posted(service, body, key, texts)["group_id"]
        items = _ends(service, group, len(devices), wait_s)
        if as_json:
            typer.echo(json.dumps({"schema": 1, "group_id": group, "items": items}, ensure_ascii=False))
        else:
            for item in items:
                typer.echo(_line(item, texts))
        waited = wait_s > 0
        return EXIT_FAILED if waited and any(item["result"] != "succeeded" for item in items) else EXIT_OK

    return told(ask, texts)


def list_commands(
    service: Service, *, device: str, group: str, state: str, limit: int, as_json: bool, texts: Texts
) -> int:
    """Newest first."""

    def show() -> int:
        items = service.get("commands", device=device, group=group, state=state, limit=limit)["items"]
        if as_json:
            typer.echo(json.dumps({"schema": 1, "items": items}, ensure_ascii=False))
        else:
            lister(COLUMNS, as_json=False, texts=texts)(items)
        return EXIT_OK

    return told(show, texts)


def show_command(service: Service, command_id: str, *, as_json: bool, texts: Texts) -> int:
    """1 when there is none of that id."""

    def show() -> int:
        item = service.get("commands", command_id)
        typer.echo(json.dumps({"schema": 1, **item}, ensure_ascii=False) if as_json else _line(item, texts))
        return EXIT_OK

    return told(show, texts)


def told(call: Callable[[], int], texts: Texts) -> int:
    """What call gives; every way in which the service does not do it is told and has its code."""
    try:
        return call()
    except ServiceUnreachable as error:
        typer.echo(unanswered(error, texts), err=True)
        return EXIT_UNREACHABLE
    except ServiceRefused as error:
        known = texts.has(f"agg.command.refused.{error.code}")
        detail = ", ".join(f"{name} {value}" for name, value in error.params.items())
        said = texts(f"agg.command.refused.{error.code}") if known else error.code
        typer.echo(texts("agg.command.refused", said=said) + (f" ({detail})" if detail else ""), err=True)
        return EXIT_NOT_ALLOWED if error.about_the_caller else EXIT_FAILED


def _posted(service: Service, body: Mapping[str, Any], key: str, texts: Texts) -> dict[str, Any]:
    for _ in range(TRIES - 1):
        try:
            return service.post("commands", body=body, headers={"Idempotency-Key": key})
        except ServiceUnreachable:
            time.sleep(LOOK_S)
    try:
        return service.post("commands", body=body, headers={"Idempotency-Key": key})
    except ServiceUnreachable:
        typer.echo(texts("agg.command.asked_perhaps", key=key), err=True)
        raise


def _ends(service: Service, group: str, count: int, wait_s: float) -> list[dict[str, Any]]:
    until_s = time.monotonic() + wait_s
    while True:
        page = service.get("commands", group=group, limit=count)
        items: list[dict[str, Any]] = page["items"][::-1]
        settled = len(items) == count and all(item["state"] == _SETTLED for item in items)
        if settled or time.monotonic() >= until_s:
            return items
        time.sleep(LOOK_S)


def _profile(service: Service, device: str) -> DeviceProfile | None:
    """The device's, if this machine knows it; a box may have others of its own."""
    edge, _, name = device.partition("/")
    return load_catalogue().profiles.get(service.get("devices", edge, name)["profile"])


def _typed(words: Mapping[str, str], profile: DeviceProfile | None) -> dict[str, Any]:
    """Each value in the type that the profile wants. What cannot be read so is sent as it is, and refused there."""
    resources = () if profile is None else profile.device_resources
    texts = {one.name for one in resources if one.properties.value_type == "String"}
    return {name: text if name in texts else _scalar(text) for name, text in words.items()}


def _scalar(text: str) -> Any:  # noqa: ANN401  whatever JSON holds
    try:
        return json.loads(text)
    except ValueError:
        return text


def _line(item: Mapping[str, Any], texts: Texts) -> str:
    end = item["result"] or item["state"]
    reason = f" ({item['end_reason']})" if item["end_reason"] else ""
    return f"{item['id']}  {item['device']}  {item['name']}  {texts(f'agg.command.end.{end}')}{reason}"
