"""Programs of others that a test needs: where one is missing the test is skipped, or fails where peers are required."""

import os
import shutil
from typing import NoReturn

import pytest

_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")


def missing(what: str, package: str) -> NoReturn:
    """Skips loudly, or fails with CAMPUS_REQUIRE_PEERS=1."""
    reason = f"{what} is not installed (apt-get install {package})"
    if os.environ.get("CAMPUS_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def find_program(name: str, package: str) -> str:
    """Its path."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS)))
    return found or missing(name, package)
