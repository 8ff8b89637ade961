"""The page of all devices, docs/devices.md, made from the profiles. Pure; a test compares it with the one in docs/.

What a person must set in a device is written by hand, in docs/devices/<profile>.md, and linked where it exists.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from device_profiles.model import CardRule, DeviceProfile, EventMapping
from device_profiles.protocols import protocol

HEAD: Final = """\
# Devices

Made by `make docs` from the device profiles; what is wrong here is mended there. `campus-profile list` shows what is
installed, `campus-profile show <name>` what one profile says. A profile of your own goes into a folder named in
`profile_folders` of `edge.yaml`; how to write one: [new-device.md](new-device.md).

*Contract* says how a device keeps its records: `acked` keeps each until we have it on disk, `indexed` is asked for them
by number, `unheard` says a thing once. *Witness* says what a profile was held against, honestly: an independent
implementation, an independent codec, the transport only, or a vendor's document only.
"""
_WITNESS: Final[Mapping[str, str]] = {
    "independent_implementation": "independent implementation",
    "independent_codec": "independent codec",
    "transport_only": "transport only",
    "vendor_document": "vendor document only",
}


def render_page(profiles: Collection[DeviceProfile], guides: Collection[str]) -> str:
    """Markdown. guides: names of the profiles that have a page of their own beside."""
    ordered = sorted(profiles, key=lambda one: (one.device_class.value, one.name))
    parts = [HEAD, _overview(ordered)]
    parts += ["\n".join(_section(profile, guide=profile.name in guides)) for profile in ordered]
    return "\n".join(parts).rstrip() + "\n"


def _overview(profiles: Sequence[DeviceProfile]) -> str:
    rows = [
        [
            f"`{profile.name}`",
            _text(profile.description),
            ", ".join(profile.systems),
            ", ".join(sorted(protocol(profile.protocol).transports)),
            f"`{profile.contract.value}`",
            _WITNESS[profile.witness.kind],
        ]
        for profile in profiles
    ]
    return "\n".join(_table(["Profile", "Devices", "Systems", "Channel", "Contract", "Witness"], rows)) + "\n"


def _section(profile: DeviceProfile, *, guide: bool) -> Iterator[str]:
    yield f"## {profile.name}"
    yield ""
    yield _text(profile.description) + "." + (f" {profile.description_zh}" if profile.description_zh else "")
    if guide:
        yield f"How to set it up: [devices/{profile.name}.md](devices/{profile.name}.md)."
    yield ""
    products = "; ".join(_text(f"{one.manufacturer} {one.model}") for one in profile.products)
    silent_s = profile.liveness.interval_s * profile.liveness.missed
    yield f"- Products: {products}"
    yield f"- Protocol `{profile.protocol}`, class `{profile.device_class.value}`; down after {silent_s} s of silence"
    if profile.liveness.alarm_topic is not None:
        yield f"- Its silence is an alarm: `{profile.liveness.alarm_topic}`"
    if profile.card is not None:
        yield f"- Card numbers: {_card(profile.card)}"
    if profile.repetition is not None:
        yield f"- Said again within {profile.repetition.gap_ms} ms: the same presentation"
    yield f"- Source: {_text(profile.source)}"
    yield f"- Witness, {_WITNESS[profile.witness.kind]}: {_text(profile.witness.by)}"
    yield ""
    if profile.event_mappings:
        rows = [[f"`{one.source}`", _when(one), f"`{one.topic}`", _meaning(one)] for one in profile.event_mappings]
        yield from _table(["Said by the device", "When", "Becomes", "With"], rows)
        yield ""
    if profile.device_resources:
        rows = [
            [
                f"`{one.name}`",
                one.properties.value_type,
                one.properties.read_write,
                one.properties.units,
                _text(one.description or ""),
            ]
            for one in profile.device_resources
        ]
        yield from _table(["Resource", "Type", "R/W", "Unit", ""], rows)
        yield ""
    if profile.device_commands:
        rows = [
            [
                f"`{one.name}`",
                ", ".join(step.device_resource for step in one.resource_operations if step.value is None) or "none",
                "yes" if one.idempotent else "no",
                f"{one.reply_within_ms} ms",
            ]
            for one in profile.device_commands
        ]
        yield from _table(["Command", "Arguments", "Twice is harmless", "Answers within"], rows)
        yield ""
    for caveat in profile.caveats:
        yield f"- Mind: {_text(caveat.description)}" + (f" ({caveat.link})" if caveat.link else "")
    if profile.caveats:
        yield ""


def _card(rule: CardRule) -> str:
    kept = "" if rule.truncate_to is None else f", of which the last {rule.truncate_to} bits are kept"
    length = " or ".join(map(str, rule.length if isinstance(rule.length, tuple) else (rule.length,)))
    return f"{rule.technology}, {length} bytes in {rule.notation}, {rule.byte_order} order{kept}"


def _when(mapping: EventMapping) -> str:
    wanted = {name: [*value] if isinstance(value, list) else [value] for name, value in mapping.when.items()}
    return "; ".join(f"{name} = {' or '.join(map(str, values))}" for name, values in wanted.items()) or "always"


def _meaning(mapping: EventMapping) -> str:
    parts = [mapping.reason] if mapping.reason else []
    if mapping.state is not None:
        parts.append("state " + ", ".join(dict.fromkeys(mapping.state.values.values())))
    parts += [word for word, given in (("credential", mapping.credential), ("holder", mapping.holder)) if given]
    parts += [name for name, _ in mapping.value_fields()]
    return ", ".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(_text(cell) for cell in row) + " |"


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
