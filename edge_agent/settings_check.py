"""What in `edge.yaml` refers to something else: zones, files, folders, protocols, profiles, names, addresses."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from device_profiles.catalogue import Catalogue
from device_profiles.findings import Finding, Severity, nearest
from device_profiles.protocols import ProtocolModel, protocol, protocol_names
from device_profiles.settings import check_needs, check_zone, useless_keys
from device_profiles.yaml_source import Loc, Source, from_pydantic
from edge_agent.transports import FILE_KEYS, Broker, Transport, transports


def cross_check(source: Source, catalogue: Catalogue) -> Iterator[Finding]:
    """Whatever the model cannot see, in the raw data of a settings file, also of one with other errors in it."""
    yield from check_zone(source, ("site", "zone"))
    yield from _check_files(source)
    yield from _check_folders(source)
    channels = list(_channels(source))
    for loc in channels:
        yield from _check_channel(source, loc, catalogue)
    for end in (("uplink",), *((*channel, "transport") for channel in channels)):
        yield from check_needs(source, end, _needs(source, end))
    yield from _check_taken(source, channels)
    yield from _check_unique(source, channels)
    yield from _check_unique(source, [loc for loc, _ in _devices(source)])


def profile_folders(source: Source) -> list[Path]:
    """The folders of profiles that the file names and that are there."""
    folders = source.value_at(("profile_folders",))
    if not isinstance(folders, list):
        return []
    paths = [source.path.parent / folder for folder in folders if isinstance(folder, str)]
    return [path for path in paths if _is_folder(path)]


def profiles_named(source: Source) -> set[str]:
    """The profiles of all devices."""
    return {name for _, device in _devices(source) if isinstance(name := device.get("profile"), str)}


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _channels(source: Source) -> Iterator[Loc]:
    channels = source.value_at(("channels",))
    for index in range(len(channels) if isinstance(channels, list) else 0):
        yield ("channels", index)


def _devices(source: Source) -> Iterator[tuple[Loc, dict[str, object]]]:
    for channel in _channels(source):
        devices = source.value_at((*channel, "devices"))
        for number, device in enumerate(devices if isinstance(devices, list) else ()):
            if isinstance(device, dict):
                yield (*channel, "devices", number), device


# What `campus-edge enrol` writes.
_ENROLMENT: Final[tuple[Loc, ...]] = (
    ("identity_key_file",),
    ("campus_key_file",),
    ("campus_public_key_file",),
    ("uplink", "password_file"),
)
_PUBLIC: Final = frozenset({"campus_public_key_file", "tls_ca", "tls_certificate"})


def _check_files(source: Source) -> Iterator[Finding]:
    """A file that is not there, and a secret that others can read, are worth a word: the box may be another one.

    What enrolment writes is missed only when some of it is there: a box that has not joined yet is in order.
    """
    locs = [*_ENROLMENT[:-1]]
    for end in (("uplink",), *((*channel, "transport") for channel in _channels(source))):
        idle = useless_keys(source, end, _needs(source, end))
        locs += [(*end, name) for name in FILE_KEYS if name not in idle]
    named = {loc: source.value_at(loc) for loc in locs}
    paths = {loc: source.path.parent / name for loc, name in named.items() if isinstance(name, str)}
    modes = {path: _mode(path) for path in paths.values()}
    from_enrolment = {paths[loc] for loc in _ENROLMENT if loc in paths}
    joined = any(modes[path] is not None for path in from_enrolment)
    told: set[tuple[Path, str]] = set()
    for loc, path in paths.items():
        mode, code = modes[path], ""
        if mode is None and (joined or path not in from_enrolment):
            code = "file_missing"
        elif mode is not None and mode & 0o077 and loc[-1] not in _PUBLIC:
            code = "file_open"
        # One file may serve the uplink and several channels; what is wrong with it is one mistake.
        if code and (path, code) not in told:
            told.add((path, code))
            yield source.finding(loc, code, severity=Severity.WARNING, params={"path": path})


def _mode(path: Path) -> int | None:
    """Permissions of a file, None when it is not there; 0 when we may not look."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError:
        return 0


def _check_folders(source: Source) -> Iterator[Finding]:
    folders = source.value_at(("profile_folders",))
    for index, name in enumerate(folders if isinstance(folders, list) else ()):
        path = source.path.parent / name if isinstance(name, str) else None
        if path is not None and not _is_folder(path):
            yield source.finding(("profile_folders", index), "folder_missing", params={"path": path})


def _check_channel(source: Source, loc: Loc, catalogue: Catalogue) -> Iterator[Finding]:
    name = source.value_at((*loc, "protocol"))
    spoken: ProtocolModel | None = None
    if isinstance(name, str):
        if name in protocol_names():
            spoken = protocol(name)
            kind = source.value_at((*loc, "transport", "kind"))
            if isinstance(kind, str) and kind in transports() and kind not in spoken.transports:
                params = {"protocol": name, "kind": kind}
                yield source.finding((*loc, "transport", "kind"), "transport_unfit", params=params)
        else:
            params = {"name": name, "nearest": nearest(name, protocol_names())}
            yield source.finding((*loc, "protocol"), "unknown_protocol", params=params)
    addresses: dict[str, Loc] = {}
    for inner, device in _devices(source):
        if inner[: len(loc)] == loc:
            yield from _check_profile(source, inner, device, str(name), catalogue)
            yield from check_zone(source, (*inner, "zone"))
            if spoken is not None:
                yield from _check_address(source, (*inner, "address"), spoken, addresses)
                yield from _check_named(source, inner, device, spoken, catalogue)


# A listener on one of these is on every address of the box.
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not listened on


def _model(source: Source, loc: Loc) -> type[Transport] | None:
    kind = source.value_at((*loc, "kind"))
    return transports().get(kind) if isinstance(kind, str) else None


def _needs(source: Source, loc: Loc) -> Mapping[str, str]:
    """Which keys do nothing without another one, of the uplink or of a transport."""
    if loc == ("uplink",):
        return Broker.needs
    model = _model(source, loc)
    return {} if model is None else model.needs


def _check_taken(source: Source, channels: list[Loc]) -> Iterator[Finding]:
    """What two channels want of which there is one."""
    seen: list[tuple[str, tuple[object, ...], Loc]] = []
    for loc in [(*channel, "transport") for channel in channels]:
        model = _model(source, loc)
        wanted = () if model is None else tuple(_given(source, loc, model, key) for key in model.only.keys)
        if model is None or any(value is None for value in wanted):
            continue
        other = next((at for what, had, at in seen if what == model.only.what and _same_place(had, wanted)), None)
        seen.append((model.only.what, wanted, loc))
        if other is not None:
            key = next((key for key in reversed(model.only.keys) if source.value_at((*loc, key)) is not None), "kind")
            line, _ = source.where(other)
            yield source.finding((*loc, key), "taken", params={"line": line})


def _given(source: Source, loc: Loc, model: type[Transport], key: str) -> object:
    """What stands there, or what is meant when nothing does; None for nothing."""
    value = source.value_at((*loc, key))
    field = model.model_fields[key]
    return field.default if value is None and not field.is_required() else value


def _same_place(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return all(a == b or a in _EVERYWHERE or b in _EVERYWHERE for a, b in zip(one, other, strict=True))


def _check_profile(
    source: Source, loc: Loc, device: dict[str, object], channel_protocol: str, catalogue: Catalogue
) -> Iterator[Finding]:
    name = device.get("profile")
    if not isinstance(name, str):
        return
    profile = catalogue.profiles.get(name)
    if profile is None:
        code = "broken_profile" if name in catalogue.names else "unknown_profile"
        params = {"name": name, "nearest": "" if code == "broken_profile" else nearest(name, catalogue.names)}
        yield source.finding((*loc, "profile"), code, params=params)
    elif profile.protocol != channel_protocol and channel_protocol in protocol_names():
        params = {"profile": profile.protocol, "channel": channel_protocol}
        yield source.finding((*loc, "profile"), "other_protocol", params=params)


def _check_address(source: Source, loc: Loc, spoken: ProtocolModel, seen: dict[str, Loc]) -> Iterator[Finding]:
    raw = source.value_at(loc)
    if not isinstance(raw, dict):
        return
    try:
        address: BaseModel = spoken.address.model_validate(raw)
    except ValidationError as error:
        yield from from_pydantic(source, spoken.address, error, loc)
        return
    key = spoken.address_key(address)
    if key in seen:
        line, _ = source.where(seen[key])
        yield source.finding(loc, "duplicate_address", params={"line": line})
    seen.setdefault(key, loc)


def _check_named(
    source: Source, loc: Loc, device: dict[str, object], spoken: ProtocolModel, catalogue: Catalogue
) -> Iterator[Finding]:
    """Resources that an address names are the profile's."""
    profile = catalogue.profiles.get(str(device.get("profile")))
    address = device.get("address")
    if profile is None or not isinstance(address, dict):
        return
    known = [resource.name for resource in profile.device_resources]
    for key in spoken.names_resources:
        named = address.get(key)
        for index, name in enumerate(named if isinstance(named, list) else ()):
            if isinstance(name, str) and name not in known:
                params = {"name": name, "nearest": nearest(name, known)}
                yield source.finding((*loc, "address", key, index), "unknown_resource", params=params)


def _check_unique(source: Source, locs: list[Loc]) -> Iterator[Finding]:
    seen: dict[str, Loc] = {}
    for loc in locs:
        name = source.value_at((*loc, "name"))
        if not isinstance(name, str):
            continue
        if name in seen:
            line, _ = source.where((*seen[name], "name"))
            yield source.finding((*loc, "name"), "duplicate_name", params={"name": name, "line": line})
        seen.setdefault(name, loc)
