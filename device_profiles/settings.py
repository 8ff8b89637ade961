"""What the settings of box and campus have in common: names, files, zones, and how an MQTT broker is reached."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import Field

from device_profiles.findings import Finding, nearest
from device_profiles.protocols import StrictModel
from device_profiles.yaml_source import Loc, Source
from wire.mqtt_link import BrokerAddress

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Shown = Annotated[str, Field(max_length=64)]
Host = Annotated[str, Field(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65_535)]
File = Annotated[Path, Field(strict=False)]


class MqttEndpoint(StrictModel):
    """How to reach an MQTT broker. tls_ca: speak TLS, and trust this authority.

    needs: keys that do nothing without another one, see `check_needs`.
    """

    needs: ClassVar[Mapping[str, str]] = {
        "password_file": "username",
        "tls_certificate": "tls_ca",
        "tls_key": "tls_certificate",
    }

    host: Host
    port: Port = 1883
    username: Annotated[str, Field(max_length=128)] = ""
    password_file: File | None = None
    tls_ca: File | None = None
    tls_certificate: File | None = None
    tls_key: File | None = None

    def address(self, password: str) -> BrokerAddress:
        """With the password that its file holds."""
        return BrokerAddress(
            host=self.host,
            port=self.port,
            username=self.username,
            password=password,
            tls_ca=self.tls_ca,
            tls_certificate=self.tls_certificate,
            tls_key=self.tls_key,
        )


def useless_keys(source: Source, loc: Loc, needs: Mapping[str, str]) -> list[str]:
    """Keys that stand at loc and do nothing, because another one does not."""
    return [
        key
        for key, needed in needs.items()
        if source.value_at((*loc, key)) is not None and source.value_at((*loc, needed)) is None
    ]


def check_needs(source: Source, loc: Loc, needs: Mapping[str, str]) -> Iterator[Finding]:
    """Passed over in silence, a useless key would have somebody believe that a line is encrypted."""
    for key in useless_keys(source, loc, needs):
        yield source.finding((*loc, key), "useless_key", at_key=True, params={"key": key, "needed": needs[key]})


def check_zone(source: Source, loc: Loc) -> Iterator[Finding]:
    """Whether what stands there, if it is text, names a time zone."""
    zone = source.value_at(loc)
    if not isinstance(zone, str):
        return
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        params = {"zone": zone, "nearest": nearest(zone, available_timezones())}
        yield source.finding(loc, "unknown_zone", params=params)
