"""`edge.yaml`: what one box is, which channels and devices it has, where its campus is.

The aggregator owns people, places and users; the box owns channels and devices and announces them at birth. Secrets
stand only in files that are named here (`*_file`), relative to this file. Reading opens no network.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from device_profiles.catalogue import Catalogue, load_catalogue
from device_profiles.findings import Finding, Severity, in_order
from device_profiles.model import DeviceProfile
from device_profiles.protocols import StrictModel, protocol
from device_profiles.settings import File, Host, Name, Port, Shown
from device_profiles.yaml_source import load, validate
from edge_agent.outbox import OutboxLimits
from edge_agent.settings_check import cross_check, profile_folders, profiles_named
from edge_agent.transports import AnyTransport, Broker, Endpoint

DAY_S: Final = 86_400
MIB: Final = 1024 * 1024


class Site(StrictModel):
    """Where the box stands. zone: IANA name, for devices that say local time."""

    zone: Annotated[str, Field(max_length=64)]
    name: Shown = ""
    name_en: Shown = ""


class ClockChoice(StrictModel):
    """assume_synced: believe the wall clock although the kernel cannot be asked (containers). Shown in health."""

    assume_synced: bool = False


class OutboxChoice(StrictModel):
    """How much the outbox may keep, and for how long after the campus has it."""

    bytes_max: Annotated[int, Field(ge=16 * MIB)] = 256 * MIB
    retention_days: Annotated[int, Field(ge=1, le=90)] = 7
    telemetry_bytes_max: Annotated[int, Field(ge=MIB)] = 64 * MIB


class MetricsChoice(StrictModel):
    """Where Prometheus may ask. There is no sign-in, so other than loopback it belongs in a network of machines."""

    host: Host = "127.0.0.1"
    port: Port = 9464


class DeviceSettings(StrictModel):
    """One device. address: its own id in its protocol; zone: of its clock, if not the site's."""

    name: Name
    profile: Annotated[str, Field(min_length=1, max_length=63)]
    address: dict[str, object]
    display_name: Shown = ""
    display_name_en: Shown = ""
    place: Annotated[str, Field(max_length=64)] = ""
    zone: Annotated[str, Field(max_length=64)] | None = None


class ChannelSettings(StrictModel):
    """One conversation: a broker session, a serial line, an endpoint; and the devices in it."""

    name: Name
    protocol: Annotated[str, Field(min_length=1, max_length=63)]
    transport: AnyTransport
    devices: Annotated[tuple[DeviceSettings, ...], Field(min_length=1, max_length=256, strict=False)]


class EdgeSettings(StrictModel):
    """The whole file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    campus: Name
    edge: Name
    site: Site
    clock: ClockChoice = ClockChoice()
    data_dir: File
    campus_key_file: File
    campus_public_key_file: File
    identity_key_file: File
    uplink: Broker
    outbox: OutboxChoice = OutboxChoice()
    metrics: MetricsChoice | None = None
    profile_folders: Annotated[tuple[File, ...], Field(strict=False)] = ()
    channels: Annotated[tuple[ChannelSettings, ...], Field(strict=False, max_length=64)] = ()

    def outbox_limits(self) -> OutboxLimits:
        """As the outbox wants them."""
        return OutboxLimits(
            bytes_max=self.outbox.bytes_max,
            retention_s=self.outbox.retention_days * DAY_S,
            telemetry_bytes_max=self.outbox.telemetry_bytes_max,
        )


@dataclass(frozen=True, slots=True)
class Device:
    """A device with its profile. address_key: the text by which the codec knows it."""

    settings: DeviceSettings
    profile: DeviceProfile
    address_key: str
    zone: str

    @property
    def name(self) -> str:
        """Within its box."""
        return self.settings.name

    @property
    def facts(self) -> dict[str, str | int]:
        """What the campus is told of it at birth."""
        settings, profile = self.settings, self.profile
        return {
            "profile": profile.name,
            "device_class": profile.device_class.value,
            "systems": ",".join(system.value for system in profile.systems),
            "protocol": profile.protocol,
            "contract": profile.contract.value,
            "display_name": settings.display_name,
            "display_name_en": settings.display_name_en,
            "place": settings.place,
            "liveness_s": profile.liveness.interval_s * profile.liveness.missed,
        }


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file gave. settings is None when something must be mended first; findings then say what."""

    settings: EdgeSettings | None
    findings: list[Finding]
    devices: dict[str, tuple[Device, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the files named in the settings hold. Prints as nothing."""

    campus_key: bytes = field(repr=False)
    campus_public_key: str = field(repr=False)
    uplink_password: str = field(repr=False)
    channel_passwords: dict[str, str] = field(repr=False)


class SecretError(ValueError):
    """A file that should hold a secret is missing or unusable; names the file, never what it holds."""


# --- reading ------------------------------------------------------------------------------------------


def read_settings(path: Path) -> Loaded:
    """Read and check a file whole: every finding of one run, with paths resolved against the file's folder."""
    source = load(path)
    settings, findings = validate(source, EdgeSettings)
    if not isinstance(source.data, dict):
        return Loaded(None, findings)
    catalogue = load_catalogue(profile_folders(source), only=profiles_named(source))
    findings = in_order([*findings, *cross_check(source, catalogue)])
    if settings is None or any(finding.severity is Severity.ERROR for finding in findings):
        return Loaded(None, findings)
    settings = _resolved(settings, path.parent.absolute())
    devices = {channel.name: tuple(_bind(settings, channel, catalogue)) for channel in settings.channels}
    return Loaded(settings, findings, devices)


def read_secrets(settings: EdgeSettings) -> Secrets:
    """Read the files the settings name. Raises SecretError."""
    campus_key_hex = _secret(settings.campus_key_file)
    try:
        campus_key = bytes.fromhex(campus_key_hex)
    except ValueError:
        raise SecretError(f"{settings.campus_key_file}: not hexadecimal") from None
    if len(campus_key) < 16:
        raise SecretError(f"{settings.campus_key_file}: shorter than 16 bytes")
    return Secrets(
        campus_key=campus_key,
        campus_public_key=_secret(settings.campus_public_key_file),
        uplink_password=read_password(settings.uplink),
        channel_passwords={channel.name: read_password(channel.transport) for channel in settings.channels},
    )


def read_password(endpoint: Endpoint) -> str:
    """The password of one endpoint, empty where it names none. Raises SecretError."""
    path = getattr(endpoint, "password_file", None)
    return "" if path is None else _secret(path)


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SecretError(f"{path}: {reason}") from None


def _resolved(settings: EdgeSettings, base: Path) -> EdgeSettings:
    channels = tuple(
        channel.model_copy(update={"transport": channel.transport.resolved(base)}) for channel in settings.channels
    )
    names = ("data_dir", "campus_key_file", "campus_public_key_file", "identity_key_file")
    update: dict[str, object] = {name: base / getattr(settings, name) for name in names}
    update |= {
        "uplink": settings.uplink.resolved(base),
        "profile_folders": tuple(base / folder for folder in settings.profile_folders),
        "channels": channels,
    }
    return settings.model_copy(update=update)


def _bind(settings: EdgeSettings, channel: ChannelSettings, catalogue: Catalogue) -> Iterator[Device]:
    spoken = protocol(channel.protocol)
    for device in channel.devices:
        address = spoken.address.model_validate(device.address)
        yield Device(
            settings=device,
            profile=catalogue.profiles[device.profile],
            address_key=spoken.address_key(address),
            zone=device.zone or settings.site.zone,
        )
