"""`campus-edge doctor`: whether this box can do its work, and what to do where it cannot.

Beside a running agent devices are not asked a second time: what the agent knows of them stands in its health file.
Without one each is asked as `probe` would, which moves nothing.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_agent import HEALTH_FILE, OUTBOX_FILE
from edge_agent.channels.base import BoundDevice
from edge_agent.keys import IdentityKey, KeyFileError
from edge_agent.outbox import OutboxError, survey
from edge_agent.probe import Held, Limits, ProbeRefused, Report, probe
from edge_agent.probe.naming import named
from edge_agent.settings import EdgeSettings, Loaded, SecretError, read_secrets, read_settings
from edge_agent.transports import FILE_KEYS
from edge_agent.transports.http_push import HttpPushTransport
from wire import checks
from wire.checkup import Check, Verdict, look, unseen, well, wrong
from wire.clock import NS_PER_S
from wire.identity import Pseudonymiser
from wire.mqtt_link import LinkError
from wire.system_clock import SystemClock
from wire.topics import PROTOCOL

UNIT: Final = "campus-edge.service"
# The agent writes its health file every five seconds.
HEALTH_OLD_S: Final = 20
OLD_RECORD_S: Final = 3600
LISTEN_S: Final = 3.0
ROOM_BYTES: Final = 64 * 1024 * 1024


def examination(path: Path) -> Iterator[tuple[str, Check]]:
    """What to look at, in order; with settings that cannot be used there is nothing more to see."""
    loaded = read_settings(path)
    yield "settings", lambda: _settings(path, loaded)
    if loaded.settings is None:
        return
    box = _Box(loaded, loaded.settings)
    yield "keys", box.keys
    yield "clock", box.clock
    yield "disk", box.disk
    yield "outbox", box.outbox
    yield "service", box.service
    yield "campus", box.campus
    yield "devices", box.devices
    yield "tls", box.certificates


def _settings(path: Path, loaded: Loaded) -> Iterator[Verdict]:
    settings = loaded.settings
    if settings is None:
        yield wrong("settings_bad", path=path, count=len(loaded.findings))
        return
    if loaded.findings:
        yield look("settings_findings", path=path, count=len(loaded.findings))
    devices = sum(len(channel.devices) for channel in settings.channels)
    yield well("settings_ok", edge=settings.edge, channels=len(settings.channels), devices=devices)
    yield checks.zone(settings.site.zone)


@dataclass(frozen=True, slots=True)
class _Box:
    loaded: Loaded
    settings: EdgeSettings

    def keys(self) -> Iterator[Verdict]:
        """Everything that joining the campus brought."""
        settings = self.settings
        if not settings.identity_key_file.exists():
            yield wrong("not_joined", path=settings.identity_key_file)
            return
        for path in sorted(self._secret_files()):
            yield checks.secret_file(path)
        try:
            IdentityKey.load(settings.identity_key_file)
            read_secrets(settings)
        except (KeyFileError, SecretError) as error:
            yield wrong("key_bad", cause=error)

    def _secret_files(self) -> set[Path]:
        settings = self.settings
        found = {settings.identity_key_file, settings.campus_key_file}
        for endpoint in (settings.uplink, *(channel.transport for channel in settings.channels)):
            found |= {path for name in ("password_file", "tls_key") if (path := getattr(endpoint, name, None))}
        return found

    def clock(self) -> Iterator[Verdict]:
        """A box without a clock marks what it says as unsure, and corrects it later."""
        yield checks.clock(assume_synced=self.settings.clock.assume_synced)

    def disk(self) -> Iterator[Verdict]:
        """Room for as much as the outbox may become."""
        folder = self.settings.data_dir
        if not folder.is_dir():
            yield look("folder_missing", path=folder)
            folder = folder.parent
        outbox = folder / OUTBOX_FILE
        present = outbox.stat().st_size if outbox.exists() else 0
        yield from checks.disk(folder, max(ROOM_BYTES, self.settings.outbox.bytes_max - present))

    def outbox(self) -> Iterator[Verdict]:
        """What waits, what is broken, what was set aside."""
        path = self.settings.data_dir / OUTBOX_FILE
        if not path.exists():
            yield unseen("outbox_none", path=path)
            return
        yield checks.sound_database(path)
        try:
            seen = survey(path, SystemClock().stamp())
        except OutboxError as error:
            yield wrong("outbox_bad", cause=error)
            return
        if seen.edge != self.settings.edge:
            yield wrong("outbox_foreign", edge=seen.edge)
        queued = sum(depth.queued for depth in seen.depths.values())
        oldest_s = max((depth.oldest_age_s for depth in seen.depths.values()), default=0)
        waiting = {"queued": queued, "oldest_s": oldest_s}
        yield look("outbox_waits", **waiting) if oldest_s > OLD_RECORD_S else well("outbox_ok", **waiting)
        for name in seen.damaged_sets:
            yield look("outbox_set_aside", name=name)
        if seen.quarantined:
            yield look("outbox_quarantine", count=len(seen.quarantined))
        dropped = sum(sum(depth.dropped.values()) for depth in seen.depths.values())
        if dropped:
            yield look("outbox_dropped", count=dropped)

    def service(self) -> Iterator[Verdict]:
        """Whether the agent runs, and what it says of its parts."""
        yield from checks.unit(UNIT)
        health = self._health()
        if health is None:
            yield look("agent_away")
            if self.settings.metrics is not None:
                yield checks.port_free(self.settings.metrics.host, self.settings.metrics.port, "metrics")
            return
        yield well("agent_runs", rate=health.get("rate", 0))
        for name, part in sorted(health["parts"].items()):
            if part["state"] == "starting":
                yield look("part_starting", part=name)
            elif part["state"] != "up":
                yield wrong("part_down", part=name, state=part["state"], cause=part["cause"] or "-")
            if part["bugs"]:
                yield wrong("part_bugs", part=name, count=part["bugs"])

    def campus(self) -> Iterator[Verdict]:
        """The way up: the broker, what it lets us say, and whether the campus listens there."""
        settings = self.settings
        try:
            password = read_secrets(settings).uplink_password
        except SecretError as error:
            yield unseen("campus_unasked", cause=error)
            return
        own, foreign = (
            f"{PROTOCOL}/{settings.campus}/{edge}/up/doctor" for edge in (settings.edge, f"{settings.edge}-x")
        )
        yield from checks.broker(settings.uplink.address(password), own, foreign, listened_to=True)

    def devices(self) -> Iterator[Verdict]:
        """Every device, and the ports on the way to it."""
        health = self._health()
        for channel in self.settings.channels:
            port = getattr(channel.transport, "port", None)
            if isinstance(port, str):
                yield checks.readable_device(port)
            if health is not None:
                yield from _as_the_agent_says(channel.name, health)
                continue
            if isinstance(channel.transport, HttpPushTransport):
                yield checks.port_free(channel.transport.host, channel.transport.port, channel.name)
                continue
            yield from self._asked(channel.name)

    def _asked(self, channel: str) -> Iterator[Verdict]:
        report = Report(lambda _item: None, Pseudonymiser(os.urandom(32)))
        try:
            target = named(channel, self.loaded)
            asyncio.run(probe(target, report, Limits(1, LISTEN_S), SystemClock()))
        except Held as held:
            yield wrong("device_held", channel=channel, what=held)
        except ProbeRefused as refused:
            yield wrong("device_refuses", channel=channel, cause=refused)
        except SecretError as error:
            yield unseen("device_unasked", channel=channel, cause=error)
        except (LinkError, OSError) as error:
            yield wrong("device_away", channel=channel, cause=str(error) or type(error).__name__)
        else:
            yield from _reached(channel, target.devices, report)

    def certificates(self) -> Iterator[Verdict]:
        """Until when they hold."""
        settings = self.settings
        endpoints: Iterable[Any] = (settings.uplink, *(channel.transport for channel in settings.channels))
        names = [name for name in FILE_KEYS if name in {"tls_ca", "tls_certificate"}]
        paths = {path for one in endpoints for name in names if (path := getattr(one, name, None)) is not None}
        if settings.uplink.tls_ca is None and settings.uplink.host not in {"127.0.0.1", "::1", "localhost"}:
            yield look("uplink_in_clear", host=settings.uplink.host)
        if not paths:
            yield unseen("no_certificates")
        for path in sorted(paths):
            yield checks.certificate_file(path)

    def _health(self) -> dict[str, Any] | None:
        """What the running agent wrote last; None when none runs."""
        try:
            health: dict[str, Any] = json.loads((self.settings.data_dir / HEALTH_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return health if abs(time.time() - health["wall_ns"] / NS_PER_S) < HEALTH_OLD_S else None


def _as_the_agent_says(channel: str, health: Mapping[str, Any]) -> Iterator[Verdict]:
    known = health.get("channels", {}).get(channel)
    if known is None:
        yield look("channel_new", channel=channel)
        return
    for device in known["devices"]:
        name, heard_s = device["id"], device["heard_s"]
        if device["state"] == "UP":
            yield well("device_up", device=name, heard_s=heard_s)
        elif device["state"] == "DOWN" and heard_s is None:
            yield wrong("device_never_heard", device=name)
        elif device["state"] == "DOWN":
            yield wrong("device_down", device=name, heard_s=heard_s)
        else:
            yield look("device_unknown", device=name)


def _reached(channel: str, devices: Iterable[BoundDevice], report: Report) -> Iterator[Verdict]:
    asked = {item["device"] for item in report.heard if "asked" in item}
    heard = {item["device"] for item in report.heard}
    for device in devices:
        name = device.info.id
        if name in heard:
            yield well("device_answers", device=name)
        elif asked or report.unanswered:
            yield wrong("device_silent", device=name)
        else:
            # It says something when there is something to say.
            yield look("device_quiet", device=name, channel=channel, for_s=LISTEN_S)
