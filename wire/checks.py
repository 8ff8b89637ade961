"""What `doctor` of both programs looks at alike: files, certificates, clock, disk, ports, broker, unit."""

import asyncio
import errno
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from cryptography import x509

from wire.checkup import Verdict, look, unseen, well, wrong
from wire.clock import ClockState
from wire.mqtt_link import BrokerAddress, LinkError, LinkRefused, MqttLink
from wire.system_clock import SystemClock

SOON_DAYS: Final = 30
TIMEOUT_S: Final = 5.0
SLOW_COMMIT_MS: Final = 200
BROKER_WITHIN_S: Final = 10.0


# --- files --------------------------------------------------------------------------------------------


def secret_file(path: Path) -> Verdict:
    """A file that only its owner may read."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        return wrong("file_unreadable", path=path, cause=error.strerror or "")
    if empty:
        return wrong("file_empty", path=path)
    return look("file_open", path=path, mode=f"{mode & 0o777:04o}") if mode & 0o077 else well("file_ok", path=path)


def certificate_file(path: Path) -> Verdict:
    """A certificate, or the first of several, and until when it holds."""
    try:
        end = x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
    except OSError as error:
        return wrong("file_unreadable", path=path, cause=error.strerror or "")
    except ValueError:
        return wrong("certificate_bad", path=path)
    days = (end - datetime.now(UTC)).days
    params = {"path": path, "days": days, "end": f"{end:%Y-%m-%d}"}
    if days < 0:
        return wrong("certificate_over", **params)
    return look("certificate_soon", **params) if days < SOON_DAYS else well("certificate_ok", **params)


# --- machine ------------------------------------------------------------------------------------------


def clock(*, assume_synced: bool) -> Verdict:
    """Whether the kernel's clock is disciplined."""
    if assume_synced:
        return look("clock_assumed")
    stamp = SystemClock().stamp()
    if stamp.clock is ClockState.SYNCED:
        return well("clock_synced", error_ms=stamp.error_ms)
    return look("clock_unsynced")


def zone(name: str) -> Verdict:
    """What time it is there."""
    now = datetime.now(ZoneInfo(name))
    return well("zone", zone=name, now=f"{now:%Y-%m-%d %H:%M}", offset=f"{now:%z}")


def disk(folder: Path, needed_bytes: int) -> Iterator[Verdict]:
    """Room, and whether it keeps what was committed. needed_bytes: what may still come."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield wrong("folder_unusable", path=folder, cause=error.strerror or "")
        return
    params = {"path": folder, "free_mb": free // 1_000_000, "needed_mb": needed_bytes // 1_000_000}
    if free < needed_bytes:
        yield (wrong if free < needed_bytes // 4 else look)("disk_small", **params)
    else:
        yield well("disk_room", **params)
    yield _commit(folder)


def _commit(folder: Path) -> Verdict:
    """One commit with the settings that both programs insist on, read back."""
    path = folder / f".doctor-{secrets.token_hex(4)}.sqlite"
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            mode = connection.execute("PRAGMA journal_mode = wal").fetchone()[0]
            connection.execute("PRAGMA synchronous = FULL")
            given = connection.execute("PRAGMA synchronous").fetchone()[0]
            if (mode, given) != ("wal", 2):
                return wrong("disk_unsafe", path=folder, mode=mode, synchronous=given)
            connection.execute("CREATE TABLE look (at INTEGER)")
            began = time.monotonic()
            connection.execute("INSERT INTO look VALUES (1)")
            took_ms = round((time.monotonic() - began) * 1000, 1)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        return wrong("folder_unusable", path=folder, cause=error)
    finally:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return look("disk_slow", took_ms=took_ms) if took_ms > SLOW_COMMIT_MS else well("disk_commits", took_ms=took_ms)


def sound_database(path: Path) -> Verdict:
    """SQLite's own check of a file, read only."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return wrong("database_bad", name=path.name, cause=error)
    return (
        well("database_sound", name=path.name)
        if answer == "ok"
        else wrong("database_bad", name=path.name, cause=answer)
    )


def port_free(host: str, port: int, what: str) -> Verdict:
    """A port that the program will open."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return wrong("port_taken", what=what, host=host, port=port)
            return wrong("port_unusable", what=what, host=host, port=port, cause=error.strerror or "")
    return well("port_free", what=what, host=host, port=port)


def unit(name: str) -> Iterator[Verdict]:
    """What systemd knows of a service."""
    if not Path("/run/systemd/system").is_dir():
        yield unseen("no_systemd", name=name)
        return
    names = ("LoadState", "ActiveState", "UnitFileState", "NRestarts", "WatchdogUSec", "Type")
    try:
        done = subprocess.run(  # noqa: S603  a program and words of ours
            ["systemctl", "show", name, *(f"--property={one}" for one in names)],  # noqa: S607  as the PATH has it
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        yield look("unit_unknown", name=name, cause=type(error).__name__)
        return
    yield from unit_verdicts(name, dict(line.partition("=")[::2] for line in done.stdout.splitlines()))


def unit_verdicts(name: str, said: dict[str, str]) -> Iterator[Verdict]:
    """Of `systemctl show`'s answer."""
    if said.get("LoadState") != "loaded":
        yield look("unit_missing", name=name)
        return
    state = said.get("ActiveState", "")
    yield well("unit_active", name=name) if state == "active" else wrong("unit_inactive", name=name, state=state)
    if said.get("UnitFileState") != "enabled":
        yield look("unit_disabled", name=name)
    if said.get("WatchdogUSec", "0") in {"0", "infinity", ""}:
        yield look("unit_unwatched", name=name)
    restarts = said.get("NRestarts", "0")
    if restarts.isdigit() and int(restarts):
        yield look("unit_restarted", name=name, count=int(restarts))


# --- broker -------------------------------------------------------------------------------------------


def broker(address: BrokerAddress, own: str, foreign: str, *, listened_to: bool) -> Iterator[Verdict]:
    """Whether it lets us in, lets us say what is ours, and nothing else.

    own, foreign: topics to which an empty message is sent that nobody takes for anything. listened_to: the campus ought
    to listen to ours; a broker of MQTT 5 says whether anybody does.
    """

    async def ask() -> list[Verdict]:
        link = await MqttLink.connect(
            address, lambda _message: None, client_id=f"campus-doctor-{secrets.token_hex(4)}", timeout_s=TIMEOUT_S
        )
        try:
            found = [well("broker_in", where=where if address.tls_ca is None else f"{where} (TLS)")]
            if not await _may(link, own):
                return [*found, wrong("broker_mute", topic=own)]
            if listened_to:
                found.append(wrong("campus_deaf") if link.unheard else well("campus_hears"))
            open_to_all = await _may(link, foreign)
            return [*found, look("broker_open", topic=foreign) if open_to_all else well("broker_fenced")]
        finally:
            await link.close()

    where = f"{address.host}:{address.port}"
    try:
        yield from asyncio.run(asyncio.wait_for(ask(), BROKER_WITHIN_S))
    except LinkRefused as refused:
        yield wrong("broker_refuses", where=where, cause=refused)
    except (LinkError, OSError, TimeoutError) as error:
        yield wrong("broker_away", where=where, cause=str(error) or type(error).__name__)


async def _may(link: MqttLink, topic: str) -> bool:
    try:
        await link.publish(topic, b"")
    except LinkRefused:
        return False
    return True


def readable_device(path: str) -> Verdict:
    """A serial port."""
    if not Path(path).exists():
        return wrong("serial_missing", path=path)
    if not os.access(path, os.R_OK | os.W_OK):
        return wrong("serial_closed", path=path)
    return well("serial_ok", path=path)
