"""Files that are there whole or not at all, whatever is cut off while they are written."""

import os
from pathlib import Path
from typing import Final

SECRET: Final = 0o600


def replace_file(path: Path, content: str | bytes, *, mode: int = SECRET, durable: bool = True) -> None:
    """Put content in the place of path. durable: on return it is on disk; else a power cut may leave what was there.

    Raises OSError, and then what was there stays.
    """
    fresh = _written(path, content, mode, durable=durable)
    try:
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def create_file(path: Path, content: str | bytes, *, mode: int = SECRET) -> None:
    """Make path with content, on disk when this returns. Raises OSError; FileExistsError when it is there already."""
    fresh = _written(path, content, mode, durable=True)
    try:
        # Unlike a rename, a link does not take the place of what is there.
        os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    _sync(path.parent)


def _written(path: Path, content: str | bytes, mode: int, *, durable: bool) -> Path:
    """Content in a file beside path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # One that an earlier attempt left has the mode of that attempt, and a new one that of the umask.
            os.fchmod(file.fileno(), mode)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        # What there is of it takes room that others need.
        fresh.unlink(missing_ok=True)
        raise
    return fresh


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
