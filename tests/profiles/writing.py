"""Profiles for tests: the shipped one with changes."""

from collections.abc import Mapping
from pathlib import Path

from device_profiles.catalogue import SHIPPED

FACESLUICE = SHIPPED / "biometric" / "facesluice-mqtt.yaml"

WHOLE = """\
name: {name}
description: A controller
products: [{{manufacturer: Acme, model: AC-4}}]
device_class: biometric
systems: [access]
protocol: facesluice
contract: acked
source: "Acme AC-4, rev 2.1, table 3"
liveness: {{interval_s: 40}}
device_resources:
  - name: temperature
    attributes: {{field: temperature}}
    properties: {{value_type: Float32, read_write: RW, minimum: 30, maximum: 45}}
  - name: relay
    attributes: {{operator: Unlock, field: openDoor}}
    properties: {{value_type: Bool, read_write: W}}
device_commands:
  - name: AccessDoor
    read_write: W
    idempotent: false
    reply_within_ms: 800
    resource_operations: [{{device_resource: relay, value: true}}]
event_mappings:
  - source: rec_push
    when: {{verify_status: [1, 2]}}
    topic: AccessControl/AccessGranted/Credential
    direction: {{field: direction, values: {{1: in, 2: out}}}}
    state: {{field: alarm_type, values: {{1: Open}}}}
    values: {{mask_state: mask}}
  - source: alarm_push
    topic: Device/Alarm
    values: [alarm_type]
auto_events:
  - {{source: temperature, interval_ms: 60000, on_change: true}}
witness:
  kind: vendor_document
  by: the document alone
"""


def write_profile(folder: Path, name: str, changes: Mapping[str, str] | None = None) -> Path:
    """A site's profile of this name; changes: text in the shipped one -> what stands there instead."""
    text = FACESLUICE.read_text(encoding="utf-8").replace("name: facesluice-mqtt", f"name: {name}")
    return write(folder, name, changed(text, changes or {}))


def write_whole(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """A profile with everything a profile can have."""
    return write(folder, "acme", changed(WHOLE.format(name="acme"), changes or {}))


def changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return text


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "biometric" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
