"""The broker's folder on disk."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from aggregator.broker.configuration import (
    Audience,
    BrokerSettings,
    access_file,
    password_file,
    render_access,
    render_configuration,
    render_passwords,
)
from aggregator.broker.users import BrokerUser
from wire.files import replace_file

SECRET_MODE: Final = 0o640  # the group of the folder is who runs the broker, when that is somebody else
PUBLIC_MODE: Final = 0o644
FOLDER_MODE: Final = 0o750


class _Users(msgspec.Struct, frozen=True, kw_only=True):
    users: tuple[BrokerUser, ...] = ()
    schema: int = 1


class BrokerFolder:
    """The files of one broker. Safe to use from several processes at a time."""

    def __init__(self, folder: Path) -> None:
        """folder: need not exist yet."""
        self.folder = folder.absolute()
        self.config_file = self.folder / "mosquitto.conf"
        self.pid_file = self.folder / "mosquitto.pid"
        self._users_file = self.folder / "users.json"

    def install(self, settings: BrokerSettings) -> None:
        """Write the configuration, and the files of users that are there already. Raises OSError."""
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        with self._locked():
            self._write_users(self._read())
            replace_file(self.config_file, render_configuration(settings, self.folder), mode=PUBLIC_MODE)

    def users(self) -> tuple[BrokerUser, ...]:
        """Everybody who may enter, by name. Raises OSError, msgspec.MsgspecError for a file that was tampered with."""
        return self._read().users

    def put(self, *users: BrokerUser) -> None:
        """Add users, or replace those of the same name. `reload` makes a running broker see it."""
        with self._locked():
            known = {user.name: user for user in self._read().users}
            known.update({user.name: user for user in users})
            self._write_users(_Users(users=tuple(known[name] for name in sorted(known))))

    def remove(self, name: str) -> bool:
        """Take a user out; says whether there was one."""
        with self._locked():
            before = self._read().users
            after = tuple(user for user in before if user.name != name)
            if len(after) == len(before):
                return False
            self._write_users(_Users(users=after))
            return True

    def reload(self) -> bool:
        """Tell the running broker to read its files again, and cut the sessions of users who are gone.

        Returns False when none is running on this folder, or it is not ours to signal (then whoever runs it reloads).
        """
        try:
            pid = int(self.pid_file.read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            started_in = Path(f"/proc/{pid}/cwd").readlink()
        except (OSError, ValueError):
            return False
        # The number may be another's by now: only a process that was started with our file is our broker.
        if self.config_file.resolve() not in {(started_in / os.fsdecode(word)).resolve() for word in command}:
            return False
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError:
            return False
        return True

    def _read(self) -> _Users:
        try:
            text = self._users_file.read_bytes()
        except FileNotFoundError:
            return _Users()
        return msgspec.json.decode(text, type=_Users)

    def _write_users(self, users: _Users) -> None:
        # The truth first: whatever is interrupted after it is made good by the next write or install.
        text = msgspec.json.format(msgspec.json.encode(users), indent=1).decode() + "\n"
        replace_file(self._users_file, text, mode=SECRET_MODE)
        for audience in Audience:
            # A user without grants can do nothing, one without a password not even enter.
            replace_file(self.folder / access_file(audience), render_access(users.users, audience), mode=SECRET_MODE)
            replace_file(
                self.folder / password_file(audience), render_passwords(users.users, audience), mode=SECRET_MODE
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SECRET_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
