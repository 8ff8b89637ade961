"""The two keys of a campus: one makes pseudonyms (every box has it, too), the other signs what the campus says."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from wire.files import create_file

CAMPUS_KEY_BYTES: Final = 32


class CampusKeyError(ValueError):
    """A key file is missing or unusable; names the file, never what it holds."""


class SigningKey:
    """The campus' Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(message)

    def public_hex(self) -> str:
        """The raw public key, 64 hex digits."""
        return self._key.public_key().public_bytes_raw().hex()


def make_signing_key(path: Path) -> SigningKey:
    """A new key in path, mode 0600. Raises FileExistsError: a campus' identity is never overwritten."""
    key = Ed25519PrivateKey.generate()
    create_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    return SigningKey(key)


def load_signing_key(path: Path) -> SigningKey:
    """Raises CampusKeyError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CampusKeyError(f"{path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CampusKeyError(f"{path}: not an Ed25519 key")
    return SigningKey(key)


def make_campus_key(path: Path, random: Callable[[int], bytes]) -> bytes:
    """A new key for pseudonyms in path, hex, mode 0600. Raises FileExistsError."""
    key = random(CAMPUS_KEY_BYTES)
    create_file(path, key.hex() + "\n")
    return key


def load_campus_key(path: Path) -> bytes:
    """Raises CampusKeyError."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not hexadecimal"
        raise CampusKeyError(f"{path}: {reason}") from None
    if len(key) < 16:
        raise CampusKeyError(f"{path}: shorter than 16 bytes")
    return key
