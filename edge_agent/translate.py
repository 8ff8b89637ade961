"""Profile + message -> draft. Pure: no clock, no state, no chance, and the one place where people become pseudonyms.

The mappings of a profile are tried from the top; the first whose `when` matches makes the one event of the message
(one device record makes one event; what follows from it is derived from the ledger). A message that no mapping wants
gives `Unmapped`, so that the channel can count and quarantine it: a device never says something into the void.

What a box adds (id, stamp) and what changes from one sending to the next (`replayed`) is not part of what the device
owns; everything else made here is the same whenever the same message comes again, and `wire.records.fingerprint`
depends on it.

Unknown codes do not cost the record: a state outside its table becomes `Unknown`, a direction outside its table stays
empty, and the device's own code is kept beside it in `values`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from device_profiles.model import CardRule, Code, DeviceProfile, EventMapping
from edge_agent.cards import card_text, normal_card
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.message import Holder, Message, RawCredential
from wire.clock import NS_PER_MS, NS_PER_S
from wire.identity import Pseudonymiser, SourceKey, content_no, tail
from wire.records import Credential, CredentialKind, DeviceTime, Event, Scalar

T = TypeVar("T")

UNKNOWN: Final = "Unknown"

# Below this a tail of four characters would tell more than half of the number.
TAIL_FROM_LENGTH: Final = 8

_LOCAL_TIME = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T](\d{1,2}):(\d{2}):(\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})?\Z", re.ASCII
)
_UNIX_TIME = re.compile(r"\d{10}(?:\d{3})?\Z", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A clock that never was set says 1970; what lies outside of these is no time of a record.
_YEARS: Final = range(1970, 2200)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What translate must know of the one device. id: `<edge>/<name>`; zone: IANA name of its clock."""

    id: str
    zone: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """No mapping of the profile wants a message of this kind with these fields."""

    kind: str


def translate(
    profile: DeviceProfile, device: DeviceInfo, message: Message, pseudonymiser: Pseudonymiser
) -> tuple[Draft, ...] | Unmapped:
    """The drafts of one message, or that the profile has no meaning for it."""
    for mapping in profile.event_mappings:
        if mapping.source == message.kind and _matches(mapping.when, message.fields):
            return (Draft(_event(profile.card, mapping, device, message, pseudonymiser)),)
    return Unmapped(message.kind)


def _matches(when: Mapping[str, Scalar | Sequence[Scalar]], fields: Mapping[str, Scalar]) -> bool:
    for name, wanted in when.items():  # noqa: SIM110  twice as quick as a generator, for every message
        if name not in fields or not _among(fields[name], wanted):
            return False
    return True


def _among(value: Scalar, wanted: Scalar | Sequence[Scalar]) -> bool:
    # A closed list, for asking whether something is a Sequence is dear.
    if isinstance(wanted, (bool, int, float, str)):
        return _same(value, wanted)
    return any(_same(value, one) for one in wanted)


def _same(value: Scalar, wanted: Scalar) -> bool:
    # True == 1 in Python, but a device that says true does not say 1.
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _event(
    card: CardRule | None,
    mapping: EventMapping,
    device: DeviceInfo,
    message: Message,
    pseudonymiser: Pseudonymiser,
) -> Event:
    fields = message.fields
    values = {name: fields[field] for name, field in mapping.value_fields() if field in fields}
    direction: Literal["", "in", "out"] = ""
    if mapping.direction is not None and mapping.direction.field in fields:
        raw = fields[mapping.direction.field]
        direction = _looked_up(mapping.direction.values, raw) or ""
        if not direction:
            values["direction"] = raw
    if mapping.state is not None:
        raw_state = fields.get(mapping.state.field)
        state = None if raw_state is None else _looked_up(mapping.state.values, raw_state)
        values["state"] = state or UNKNOWN
        if state is None and raw_state is not None:
            values["state_raw"] = raw_state
    return Event(
        id=NO_ID,
        stamp=NO_STAMP,
        device=device.id,
        topic=mapping.topic,
        access_point=mapping.access_point,
        reason=mapping.reason,
        direction=direction,
        credential=_credential(message.credential, card, pseudonymiser) if mapping.credential else None,
        holder_ref=_holder_ref(message.holder, device, pseudonymiser) if mapping.holder else None,
        device_time=None if message.device_time is None else read_device_time(message.device_time, device.zone),
        source=_source(message, device, pseudonymiser),
        replayed=message.replayed,
        initialized=message.initialized,
        values=values,
    )


def _looked_up(table: Mapping[Code, T], raw: Scalar) -> T | None:
    for code, meaning in table.items():
        if _same(raw, code):
            return meaning
    return None


def _source(message: Message, device: DeviceInfo, pseudonymiser: Pseudonymiser) -> SourceKey | None:
    if message.record_no is not None:
        return SourceKey(record_no=message.record_no)
    if message.sameness is None:
        return None
    content = f"{message.kind}\x1f{message.sameness.reveal()}"
    return SourceKey(record_no=content_no(pseudonymiser.ref(f"record@{device.id}", content)))


# --- people -------------------------------------------------------------------------------------------


def _holder_ref(holder: Holder | None, device: DeviceInfo, pseudonymiser: Pseudonymiser) -> str | None:
    if holder is None:
        return None
    domain = "holder" if holder.scope == "site" else f"holder@{device.id}"
    return pseudonymiser.ref(domain, holder.number.reveal())


def _credential(
    credential: RawCredential | None, rule: CardRule | None, pseudonymiser: Pseudonymiser
) -> Credential | None:
    if credential is None:
        return None
    if credential.number is None:
        return Credential(kind=credential.kind)
    number = credential.number.reveal()
    if credential.kind is CredentialKind.CARD:
        number = card_text(number) if rule is None else normal_card(number, rule)
        plain = number.rpartition(":")[2]
        shown = tail(plain) if len(plain) >= TAIL_FROM_LENGTH else ""
        return Credential(kind=credential.kind, ref=pseudonymiser.ref("card", number), tail=shown)
    return Credential(kind=credential.kind, ref=pseudonymiser.ref(credential.kind, number))


# --- time ---------------------------------------------------------------------------------------------


# What a crowd's terminals say in one second, they say with the same text.
@lru_cache(maxsize=1024)
def read_device_time(raw: str, zone: str) -> DeviceTime:
    """What a device's text means in UTC.

    raw: `2026-09-01 07:55:10` and its usual variants, as local time of zone (an IANA name) unless it carries its own
    offset; or seconds or milliseconds since 1970, as 10 or 13 digits. A local time that exists twice is the first of
    the two; one that was skipped is read with the offset before the step. A text that cannot be read, or an unknown
    zone, gives no wall_ns.
    """
    if _UNIX_TIME.match(raw):
        return DeviceTime(raw=raw, wall_ns=int(raw[:10]) * NS_PER_S + int(raw[10:] or 0) * NS_PER_MS)
    match = _LOCAL_TIME.match(raw)
    if match is None:
        return DeviceTime(raw=raw, zone=zone)
    *numbers, fraction, offset = match.groups()
    year, month, day, hour, minute, second = map(int, numbers)
    used = "" if offset else zone
    try:
        moment = datetime(
            year, month, day, hour, minute, second, tzinfo=_offset(offset) if offset else ZoneInfo(zone)
        ).astimezone(UTC)
    except (ValueError, OverflowError, ZoneInfoNotFoundError):
        return DeviceTime(raw=raw, zone=used)
    if moment.year not in _YEARS:
        return DeviceTime(raw=raw, zone=used)
    fraction_ns = int((fraction or "")[1:].ljust(9, "0"))
    since = moment - _EPOCH
    wall_ns = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000 + fraction_ns
    return DeviceTime(raw=raw, zone=used, wall_ns=wall_ns)


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    span = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-span if text[0] == "-" else span)
