"""`aggregator.yaml`: one campus. Secrets stand only in files that are named here, relative to this file."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from aggregator.alarms.rules import KINDS
from aggregator.broker import LOOPBACK, Audience, Listener, ServerTls
from aggregator.series.address import InfluxAddress
from device_profiles.findings import Finding, Severity, in_order, nearest
from device_profiles.protocols import StrictModel
from device_profiles.settings import File, Host, MqttEndpoint, Name, Port, Shown, check_needs, check_zone
from device_profiles.yaml_source import Source, load, validate


class Http(StrictModel):
    """Where API and pages are served. port 0: any free one, told in `run.json`. certificate, key: speak HTTPS; the
    certificate may be followed by those of its authorities. secure_cookies: when a proxy before us speaks HTTPS.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    certificate: File | None = None
    key: File | None = None
    secure_cookies: bool = False

    @property
    def browsers_use_tls(self) -> bool:
        """Whether a cookie may say that it is for HTTPS alone."""
        return self.secure_cookies or self.certificate is not None


class BrokerListener(StrictModel):
    """A port that mosquitto opens besides the one the aggregator uses. Without TLS it may only be for terminals.

    audience: boxes, terminals or everybody. certificate, key: the broker's, for TLS. client_ca: boxes show certificates
    of this authority and need no password. revoked: its list of revoked certificates.
    """

    host: Host
    port: Port
    audience: Literal["boxes", "terminals", "everybody"] = "boxes"
    certificate: File | None = None
    key: File | None = None
    client_ca: File | None = None
    revoked: File | None = None

    def listener(self) -> Listener:
        """As the broker's folder takes it. Raises ValueError when it would carry passwords in the clear."""
        tls = None
        if self.certificate is not None and self.key is not None:
            tls = ServerTls(certificate=self.certificate, key=self.key, client_ca=self.client_ca, revoked=self.revoked)
        return Listener(host=self.host, port=self.port, audience=Audience(self.audience), tls=tls)


class Broker(MqttEndpoint):
    """The campus broker as the aggregator enters it. advertised_host: what boxes are told at enrolment.

    folder: where mosquitto's files are kept, absent when somebody else does; listeners: what it opens for others.
    retained_allowed: only for a device that cannot connect otherwise; nobody of ours uses or believes such messages.
    """

    # Nobody has to write what stands here already.
    needs: ClassVar[Mapping[str, str]] = {key: on for key, on in MqttEndpoint.needs.items() if on != "username"}

    host: Host = "127.0.0.1"
    username: Annotated[str, Field(max_length=64)] = "aggregator"
    folder: File | None = None
    retained_allowed: bool = False
    listeners: Annotated[tuple[BrokerListener, ...], Field(strict=False, max_length=16)] = ()
    advertised_host: Host | None = None
    terminal_prefixes: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[^#+\s/][^#+\s]*$")], ...], Field(strict=False, max_length=16)
    ] = ()

    def opened(self) -> tuple[Listener, ...]:
        """Every port of a broker that is ours to keep: on loopback the aggregator's own, which needs no TLS."""
        own = {"localhost": LOOPBACK}.get(self.host, self.host)
        others = tuple(listener.listener() for listener in self.listeners)
        if self.tls_ca is not None or not _is_loopback(own):
            return others
        return (Listener(host=own, port=self.port), *others)


class EmbeddedSeriesChoice(StrictModel):
    """The time series in a file of our own; nothing else to install."""

    kind: Literal["embedded"] = "embedded"


class InfluxSeriesChoice(StrictModel):
    """The time series in InfluxDB. version: 1, or 2 for 2 and 3; database: of version 1, or the bucket; secret_file: a
    token, or with version 1 the password of username. retention_days: for `series setup`.
    """

    kind: Literal["influxdb"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$", max_length=255)]
    version: Literal[1, 2] = 2
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "campus"
    org: Shown = ""
    username: Annotated[str, Field(max_length=64)] = ""
    secret_file: File | None = None
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 1830

    def address(self, secret: str) -> InfluxAddress:
        """With what the secret file holds."""
        return InfluxAddress(
            url=self.url,
            version=self.version,
            database=self.database,
            org=self.org,
            username=self.username,
            secret=secret,
        )


class AlarmsChoice(StrictModel):
    """levels: of kinds of alarm that this campus rates otherwise; 1 (act now) to 4 (for information)."""

    levels: dict[str, Annotated[int, Field(ge=1, le=4)]] = Field(default_factory=dict)


class AggregatorSettings(StrictModel):
    """The whole file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    campus: Name
    name: Shown = ""
    name_en: Shown = ""
    zone: Annotated[str, Field(max_length=64)] = "Asia/Shanghai"
    data_dir: File
    campus_key_file: File
    signing_key_file: File
    http: Http = Http()
    broker: Broker = Broker()
    series: Annotated[EmbeddedSeriesChoice | InfluxSeriesChoice, Field(discriminator="kind")] = EmbeddedSeriesChoice()
    alarms: AlarmsChoice = AlarmsChoice()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file gave; settings is None when something must be mended first."""

    settings: AggregatorSettings | None
    findings: list[Finding]


def read_settings(path: Path) -> Loaded:
    """Read and check a file whole, with paths resolved against its folder."""
    source = load(path)
    settings, findings = validate(source, AggregatorSettings)
    findings = in_order([*findings, *_check_rest(source), *_check_kinds(source), *_check_listeners(source, settings)])
    if settings is None or findings:
        return Loaded(None, findings)
    return Loaded(_resolved(settings, path.parent.absolute()), findings)


def _check_rest(source: Source) -> list[Finding]:
    if not isinstance(source.data, dict):
        return []
    return [*check_zone(source, ("zone",)), *check_needs(source, ("broker",), Broker.needs)]


def _check_kinds(source: Source) -> list[Finding]:
    place = ("alarms", "levels")
    levels = source.value_at(place) if isinstance(source.data, dict) else None
    return [
        source.finding(
            (*place, kind), "unknown_alarm_kind", at_key=True, params={"kind": kind, "nearest": nearest(kind, KINDS)}
        )
        for kind in (levels if isinstance(levels, dict) else ())
        if isinstance(kind, str) and kind not in KINDS
    ]


def _check_listeners(source: Source, settings: AggregatorSettings | None) -> list[Finding]:
    findings: list[Finding] = []
    if settings is not None and (settings.http.certificate is None) != (settings.http.key is None):
        missing = "key" if settings.http.key is None else "certificate"
        findings.append(source.finding(("http",), "missing_key", params={"key": missing}))
    for index, listener in enumerate(settings.broker.listeners if settings is not None else ()):
        place = ("broker", "listeners", index)
        missing = next((name for name in ("certificate", "key") if getattr(listener, name) is None), "")
        wants_tls = any((listener.certificate, listener.key, listener.client_ca, listener.revoked))
        if wants_tls and missing:
            findings.append(source.finding(place, "missing_key", params={"key": missing}))
            continue
        try:
            ipaddress.ip_address(listener.host)
        except ValueError:
            findings.append(source.finding((*place, "host"), "not_an_address", params={"host": listener.host}))
            continue
        try:
            listener.listener()
        except ValueError:
            findings.append(source.finding(place, "listener_in_clear"))
    return findings


def missing_tls_files(path: Path) -> list[Finding]:
    """Certificates and keys that a file names and that are not there: worth a word, the server may be another one."""
    source = load(path)
    listeners = source.value_at(("broker", "listeners"))
    count = len(listeners) if isinstance(listeners, list) else 0
    ends: list[tuple[str | int, ...]] = [("http",), *(("broker", "listeners", index) for index in range(count))]
    findings: list[Finding] = []
    for place in ((*end, name) for end in ends for name in ("certificate", "key", "client_ca", "revoked")):
        named = source.value_at(place)
        if isinstance(named, str) and not (path.parent / named).exists():
            file = path.parent / named
            findings.append(source.finding(place, "file_missing", severity=Severity.WARNING, params={"path": file}))
    return findings


def _resolved(settings: AggregatorSettings, base: Path) -> AggregatorSettings:
    broker_files = ("password_file", "tls_ca", "tls_certificate", "tls_key", "folder")
    broker: dict[str, object] = {
        name: base / path for name in broker_files if (path := getattr(settings.broker, name)) is not None
    }
    tls_files = ("certificate", "key", "client_ca", "revoked")
    broker["listeners"] = tuple(
        one.model_copy(update={name: base / path for name in tls_files if (path := getattr(one, name)) is not None})
        for one in settings.broker.listeners
    )
    update: dict[str, object] = {
        name: base / getattr(settings, name) for name in ("data_dir", "campus_key_file", "signing_key_file")
    }
    if isinstance(settings.series, InfluxSeriesChoice) and settings.series.secret_file is not None:
        secret_file = base / settings.series.secret_file
        update["series"] = settings.series.model_copy(update={"secret_file": secret_file})
    http = {name: base / path for name in ("certificate", "key") if (path := getattr(settings.http, name)) is not None}
    update["http"] = settings.http.model_copy(update=http)
    return settings.model_copy(update={**update, "broker": settings.broker.model_copy(update=broker)})


SAMPLE: Final = (files("aggregator") / "samples" / "aggregator.yaml").read_text(encoding="utf-8")
