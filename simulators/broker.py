"""A broker for a demo or a test on 127.0.0.1: an installed Mosquitto, else iotcore from PyPI.

Both run as a child process that can be killed and comes back on the same port. Nothing may depend on what a broker
keeps over that: it is a wire, and a demo that kills it is to prove just this.

Mosquitto gets a configuration file from the caller (it may sit in /usr/sbin, which is not in everybody's PATH).
iotcore speaks MQTT 3.1.1 and MQTT 5 on two ports, has passwords and no access lists, and refuses payloads over 20 kB
unless told otherwise; it never serves anything but a demo.
"""

import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from simulators.children import Program

HOST: Final = "127.0.0.1"
PAYLOAD_BYTES_MAX: Final = 8 * 1024 * 1024
_SYSTEM_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin", "/sbin")


class Flavour(StrEnum):
    """Which broker."""

    MOSQUITTO = "mosquitto"
    IOTCORE = "iotcore"


class BrokerMissingError(RuntimeError):
    """Neither Mosquitto nor iotcore is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedBroker:
    """A broker that is ready to be started. device_port speaks MQTT 3.1.1, uplink_port MQTT 5; they may be one."""

    flavour: Flavour
    program: Program
    device_port: int
    uplink_port: int


def find_mosquitto(which: Callable[..., str | None] = shutil.which) -> str | None:
    """The path of an installed Mosquitto."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    return which("mosquitto", path=path)


def find_broker() -> Flavour:
    """What is there: Mosquitto first. Raises BrokerMissingError."""
    if find_mosquitto() is not None:
        return Flavour.MOSQUITTO
    if find_spec("iotcore") is not None:
        return Flavour.IOTCORE
    raise BrokerMissingError("no MQTT broker: neither mosquitto nor the Python package iotcore is installed")


def demo_password() -> str:
    """A password that nobody has to remember."""
    return secrets.token_urlsafe(18)


def mosquitto(config_file: Path, port: int) -> EmbeddedBroker:
    """Mosquitto with a configuration that listens on port. Raises BrokerMissingError."""
    program = find_mosquitto()
    if program is None:
        raise BrokerMissingError("mosquitto is not installed")
    return EmbeddedBroker(
        flavour=Flavour.MOSQUITTO,
        program=Program(name="broker", argv=(program, "-c", str(config_file)), folder=config_file.parent),
        device_port=port,
        uplink_port=port,
    )


def iotcore(folder: Path, passwords: Mapping[str, str], *, device_port: int, uplink_port: int) -> EmbeddedBroker:
    """The broker from PyPI with these users. Writes its configuration, readable by its owner only, into folder."""
    config_file = folder / "iotcore.toml"
    config_file.touch(mode=0o600)
    config_file.write_text(_iotcore_settings(passwords, device_port, uplink_port), encoding="utf-8")
    argv = (sys.executable, "-m", "simulators.iotcore_child", str(config_file))
    return EmbeddedBroker(
        flavour=Flavour.IOTCORE,
        program=Program(name="broker", argv=argv, folder=folder),
        device_port=device_port,
        uplink_port=uplink_port,
    )


def _iotcore_settings(passwords: Mapping[str, str], device_port: int, uplink_port: int) -> str:
    lines = [
        "id = 0",
        "[router]",
        "id = 0",
        "max_connections = 1000",
        "max_outgoing_packet_count = 1000",
        "max_segment_size = 104857600",
        "max_segment_count = 10",
    ]
    for section, port in (("v4", device_port), ("v5", uplink_port)):
        lines += [
            f"[{section}.1]",
            f'name = "{section}"',
            f'listen = "{HOST}:{port}"',
            "next_connection_delay_ms = 1",
            f"[{section}.1.connections]",
            "connection_timeout_ms = 10000",
            f"max_payload_size = {PAYLOAD_BYTES_MAX}",
            "max_inflight_count = 1000",
            "dynamic_filters = true",
            f"[{section}.1.connections.auth]",
            # JSON strings are TOML basic strings.
            *(f"{json.dumps(user)} = {json.dumps(password)}" for user, password in sorted(passwords.items())),
        ]
    return "\n".join(lines) + "\n"
