"""What a person calls a device: a name of the settings, or an address that needs none.

face-1, gate-1/face-1, terminals          a device or a channel of edge.yaml
modbus-tcp://192.0.2.30:502?unit_id=7     scheme: the kind of transport; query: its other keys, and the device's address
modbus-rtu:/dev/ttyUSB0?unit_id=7&baud_rate=19200
mqtt://user@192.0.2.10:1883/mqtt/face     path: the topic prefix
http-push://0.0.0.0:8081                  where we listen
"""

from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml
from pydantic import ValidationError

from device_profiles.catalogue import Catalogue
from device_profiles.findings import nearest
from device_profiles.model import DeviceProfile
from device_profiles.protocols import protocol
from edge_agent.channels.base import BoundDevice
from edge_agent.probe import UNNAMED, Target
from edge_agent.settings import Device, EdgeSettings, Loaded, read_password
from edge_agent.translate import DeviceInfo
from edge_agent.transports import Transport, transports


class NoTarget(Exception):
    """There is nothing that goes by that name. code and params: of a text `edge.probe.<code>`."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


def is_address(text: str) -> bool:
    """Whether a target is an address and not a name: it begins with a kind of transport."""
    return text.partition(":")[0] in transports() and ":" in text


def named(text: str, loaded: Loaded) -> Target:
    """A device or channel of the settings. Raises NoTarget, SecretError."""
    settings = loaded.settings
    if settings is None:
        raise NoTarget("no_settings")
    names: list[str] = []
    for channel in settings.channels:
        bound = loaded.devices[channel.name]
        whole = text == channel.name
        meant = [device for device in bound if whole or text in {device.name, f"{settings.edge}/{device.name}"}]
        names += [channel.name, *(device.name for device in bound)]
        if meant:
            return Target(
                transport=channel.transport,
                protocol=channel.protocol,
                profile=meant[0].profile,
                devices=[_bound(settings, device) for device in meant],
                zone=settings.site.zone,
                # Of this channel alone: another's may be missing.
                password=read_password(channel.transport),
            )
    raise NoTarget("unknown", name=text, nearest=nearest(text, names))


def addressed(text: str, profile_name: str | None, catalogue: Catalogue, *, password: str, zone: str) -> Target:
    """What an address says. Raises NoTarget."""
    scheme, _, rest = text.partition(":")
    kind = transports()[scheme]
    profile = _profile(profile_name, scheme, catalogue)
    spoken = protocol(profile.protocol)
    given = _keys(kind, scheme, rest)
    own = {name: given.pop(name) for name in list(given) if name in spoken.address.model_fields}
    try:
        transport = kind.model_validate({"kind": scheme, **given})
        address = spoken.address.model_validate(own) if own or not spoken.address.model_fields else None
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise NoTarget("bad_address", cause=told) from None
    devices = []
    if address is not None:
        info = DeviceInfo(UNNAMED, zone)
        devices.append(BoundDevice(spoken.address_key(address), info, profile, own))
    return Target(
        transport=transport,
        protocol=profile.protocol,
        profile=profile,
        devices=devices,
        zone=zone,
        password=password,
    )


def _profile(name: str | None, kind: str, catalogue: Catalogue) -> DeviceProfile:
    fit = sorted(one.name for one in catalogue.profiles.values() if kind in protocol(one.protocol).transports)
    if name is None:
        raise NoTarget("no_profile", kind=kind, known=", ".join(fit))
    profile = catalogue.profiles.get(name)
    if profile is None or name not in fit:
        raise NoTarget("bad_profile", name=name, kind=kind, known=", ".join(fit))
    return profile


# Where the path of an address goes, unless it is a device file.
_PATH_KEYS: Final = ("topic_prefix", "path")


def _keys(kind: type[Transport], scheme: str, rest: str) -> dict[str, Any]:
    try:
        parts = urlsplit(f"{scheme}:{rest}" if rest.startswith("//") else f"{scheme}://{rest}")
        port = parts.port
    except ValueError as error:
        raise NoTarget("bad_address", cause=str(error)) from None
    keys: dict[str, Any] = {name: yaml.safe_load(value) for name, value in parse_qsl(parts.query)}
    fields = kind.model_fields
    if parts.hostname and "host" in fields:
        keys |= {"host": parts.hostname} | ({} if port is None else {"port": port})
    elif parts.path and "port" in fields:
        return {**keys, "port": unquote(parts.path)}
    if parts.username and "username" in fields:
        keys["username"] = unquote(parts.username)
    if parts.path.strip("/"):
        for name in _PATH_KEYS:
            if name in fields:
                keys[name] = unquote(parts.path).strip("/")
    return keys


def _bound(settings: EdgeSettings, device: Device) -> BoundDevice:
    info = DeviceInfo(f"{settings.edge}/{device.name}", device.zone)
    return BoundDevice(device.address_key, info, device.profile, device.settings.address, device.settings.place)
