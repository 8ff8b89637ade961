"""What a demo campus consists of, and the folder it lives in.

    <folder>/broker/         mosquitto's files as `aggregator.broker` makes them, or iotcore's one file
    <folder>/aggregator/     aggregator.yaml and its data
    <folder>/<box>/          edge.yaml, the secrets it names, data/
    <folder>/log/            output of each process
    <folder>/journal.jsonl   the truth

Every password is random and new each time. Each terminal, each box and the aggregator has an account of its own at the
broker; with Mosquitto it may do there what the shipped configuration lets it do and nothing else.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from aggregator.broker import (
    BrokerFolder,
    BrokerSettings,
    BrokerUser,
    Listener,
    aggregator_user,
    new_password,
    password_hash,
    terminal_user,
)
from device_profiles.protocols.facesluice import TOPICS
from edge_agent.settings import Device, read_settings
from simulators.broker import HOST, EmbeddedBroker, Flavour, iotcore, mosquitto
from simulators.campus.naming import named, place_names
from simulators.campus.stations import Known, Station
from simulators.compare import DeviceFacts
from simulators.facesluice_messages import REC, SNAP, TerminalConfig
from wire.mqtt_link import BrokerAddress

CAMPUS: Final = "demo-school"
ZONE: Final = "Asia/Shanghai"
PROFILE: Final = "facesluice-mqtt"
FIRST_DEVICE_ID: Final = 1_026_701
# The number spaces in which the records of these terminals stand, see wire.identity.SourceKey.
SPACES: Final[Mapping[str, int]] = {REC: 0, SNAP: 1}

GATES: Final = ("gate-1", "gate-2")
HALL: Final = "hall-1"


@dataclass(frozen=True, slots=True)
class TerminalSlot:
    """A place where a terminal hangs. serial: what the terminal calls itself; name: what its box calls it."""

    serial: str
    name: str
    edge: str
    prefix: str

    def config(self) -> TerminalConfig:
        """As the installer would set it."""
        return TerminalConfig(device_id=self.serial, name=f"{self.edge} {self.name}", prefix=self.prefix)


@dataclass(frozen=True, slots=True)
class Box:
    """One edge node and its terminals."""

    edge: str
    folder: Path
    names: tuple[str, str]
    slots: tuple[TerminalSlot, ...]
    stations: tuple[Station, ...] = ()

    @property
    def config_file(self) -> Path:
        """Its settings."""
        return self.folder / "edge.yaml"

    @property
    def data_folder(self) -> Path:
        """Where its outbox is."""
        return self.folder / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything listens on 127.0.0.1. devices speaks MQTT 3.1.1, uplink MQTT 5; with Mosquitto they are one."""

    devices: int
    uplink: int
    api: int


@dataclass(frozen=True, slots=True)
class Passwords:
    """Passwords at the broker by account. Prints as nothing."""

    by_account: Mapping[str, str] = field(repr=False)

    def __getitem__(self, account: str) -> str:
        """The password of an account."""
        return self.by_account[account]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A campus on paper."""

    folder: Path
    flavour: Flavour
    ports: Ports
    boxes: tuple[Box, ...]
    passwords: Passwords

    @property
    def log_folder(self) -> Path:
        """Output of the processes."""
        return self.folder / "log"

    @property
    def journal_file(self) -> Path:
        """The truth."""
        return self.folder / "journal.jsonl"

    @property
    def aggregator_folder(self) -> Path:
        """Settings and data of the aggregator."""
        return self.folder / "aggregator"

    @property
    def aggregator_config(self) -> Path:
        """Settings of the aggregator."""
        return self.aggregator_folder / "aggregator.yaml"

    def slots(self) -> Iterator[TerminalSlot]:
        """All terminals, in turn from each box that has any."""
        for group in zip(*(box.slots for box in self.boxes if box.slots), strict=False):
            yield from group

    def stations(self) -> Iterator[tuple[Box, Station]]:
        """What hangs on the boxes beside the terminals."""
        for box in self.boxes:
            for station in box.stations:
                yield box, station

    def topic_prefixes(self) -> list[str]:
        """Where devices speak at the broker, so that the boxes may hear them."""
        prefixes = {slot.prefix for slot in self.slots()}
        return sorted(prefixes.union(*(station.topic_prefixes() for _, station in self.stations())))

    def broker_of(self, account: str) -> BrokerAddress:
        """How a device with an account enters the broker."""
        return BrokerAddress(host=HOST, port=self.ports.devices, username=account, password=self.passwords[account])

    def address(self, slot: TerminalSlot) -> BrokerAddress:
        """How a terminal reaches the broker."""
        return self.broker_of(slot.serial)


def plan_campus(
    folder: Path, flavour: Flavour, ports: Ports, *, terminals: int, stations: Sequence[Station] = ()
) -> Layout:
    """Put a campus on paper. terminals: shared evenly by two boxes; an odd one out is left away. stations: on a third
    box, if there are any.
    """
    boxes = []
    serials = iter(range(FIRST_DEVICE_ID, FIRST_DEVICE_ID + terminals))
    for edge in GATES:
        slots = tuple(
            TerminalSlot(str(next(serials)), f"face-{index:02d}", edge, f"school/{edge}/face")
            for index in range(1, terminals // len(GATES) + 1)
        )
        boxes.append(Box(edge, folder / edge, place_names(edge), slots))
    if stations:
        boxes.append(Box(HALL, folder / HALL, place_names("hall"), (), tuple(stations)))
    accounts = ["aggregator", *(box.edge for box in boxes), *(slot.serial for box in boxes for slot in box.slots)]
    accounts += [account for station in stations for account in station.account_names()]
    passwords = Passwords({account: new_password(os.urandom) for account in accounts})
    return Layout(folder=folder, flavour=flavour, ports=ports, boxes=tuple(boxes), passwords=passwords)


def write_broker(layout: Layout) -> EmbeddedBroker:
    """Write the broker's files. Raises OSError, BrokerMissingError."""
    folder = layout.folder / "broker"
    if layout.flavour is Flavour.IOTCORE:
        folder.mkdir(mode=0o700)
        return iotcore(
            folder, layout.passwords.by_account, device_port=layout.ports.devices, uplink_port=layout.ports.uplink
        )
    files = BrokerFolder(folder)
    files.install(BrokerSettings(campus=CAMPUS, listeners=(Listener(host=HOST, port=layout.ports.devices),)))
    files.put(*_accounts(layout))
    return mosquitto(files.config_file, layout.ports.devices)


def _accounts(layout: Layout) -> Iterator[BrokerUser]:
    def hashed(account: str) -> str:
        return password_hash(layout.passwords[account], os.urandom)

    # The boxes are not among them: the aggregator lets each in when it joins.
    yield aggregator_user(CAMPUS, hashed("aggregator"))
    for slot in layout.slots():
        yield terminal_user(slot.serial, TOPICS, slot.prefix, hashed(slot.serial), device_id=slot.serial)
    for _, station in layout.stations():
        yield from station.accounts({account: hashed(account) for account in station.account_names()})


def write_box(layout: Layout, box: Box, *, uplink_port: int) -> None:
    """Write the settings of a box. uplink_port: where its line to the campus begins."""
    box.folder.mkdir(mode=0o700)
    name, name_en = box.names
    login: dict[str, Any] = {"host": HOST, "username": box.edge, "password_file": "broker.password"}
    settings = {
        "schema": 1,
        "campus": CAMPUS,
        "edge": box.edge,
        "site": {"zone": ZONE, "name": name, "name_en": name_en},
        "clock": {"assume_synced": True},
        "data_dir": "data",
        "campus_key_file": "campus.key",
        "campus_public_key_file": "campus.pub",
        "identity_key_file": "edge.key",
        "uplink": {**login, "port": uplink_port},
        "channels": [
            *(_channel(layout, prefix, slots, login) for prefix, slots in _by_prefix(box.slots).items()),
            *(_station_channel(layout, channel, login) for station in box.stations for channel in station.channels()),
        ],
    }
    box.config_file.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _channel(layout: Layout, prefix: str, slots: Sequence[TerminalSlot], login: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "terminals",
        "protocol": "facesluice",
        "transport": {"kind": "mqtt", **login, **_towards_devices(layout), "topic_prefix": prefix},
        "devices": [
            {
                "name": slot.name,
                "profile": PROFILE,
                "address": {"device_id": slot.serial},
                **named("lane", slot.edge, number),
            }
            for number, slot in enumerate(slots, start=1)
        ],
    }


def _station_channel(layout: Layout, channel: Mapping[str, Any], login: Mapping[str, Any]) -> dict[str, Any]:
    transport = dict(channel["transport"])
    if transport["kind"] == "mqtt":
        transport |= {**login, **_towards_devices(layout)}
    return {**channel, "transport": transport}


def _towards_devices(layout: Layout) -> dict[str, Any]:
    """With iotcore the properties of MQTT 5 reach devices that speak 3.1.1, which then understand nothing any more."""
    if layout.flavour is Flavour.IOTCORE:
        return {"port": layout.ports.devices, "version": 4}
    return {"port": layout.ports.uplink, "version": 5}


def _by_prefix(slots: Sequence[TerminalSlot]) -> dict[str, list[TerminalSlot]]:
    groups: dict[str, list[TerminalSlot]] = {}
    for slot in slots:
        groups.setdefault(slot.prefix, []).append(slot)
    return groups


def read_devices(layout: Layout) -> dict[str, list[Device]]:
    """The devices of each box, as it reads them from the settings that were written for it. Takes a while.

    Raises ValueError when a box would not accept its settings.
    """
    devices: dict[str, list[Device]] = {}
    for box in layout.boxes:
        loaded = read_settings(box.config_file)
        if loaded.settings is None:
            raise ValueError("\n".join(f"{box.config_file}: {finding.code}" for finding in loaded.findings))
        devices[box.edge] = [device for channel in loaded.devices.values() for device in channel]
    return devices


def device_facts(layout: Layout, devices: Mapping[str, Sequence[Device]]) -> dict[str, DeviceFacts]:
    """How the campus knows each device, by the name that the journal uses. devices: by box."""
    facts: dict[str, DeviceFacts] = {}
    for box in layout.boxes:
        known = {one.device: (name, one) for station in box.stations for name, one in station.known().items()}
        for device in devices[box.edge]:
            name, one = known.get(device.name, (device.address_key, Known(device=device.name, spaces=SPACES)))
            facts[name] = DeviceFacts(
                device_id=f"{box.edge}/{device.name}",
                device_class=device.profile.device_class.value,
                systems=tuple(system.value for system in device.profile.systems),
                spaces=one.spaces,
                topics=one.topics,
                only_measures=not device.profile.event_mappings,
            )
    return facts
