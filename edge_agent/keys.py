"""The box's own Ed25519 key: made on the box, never leaves it; signs HELLO.

Its file is PKCS #8 in PEM, as other programs read it. Of such a key everything but its 32 bytes is fixed (RFC 8410,
7 and 10.3); the library's own reader knows every kind of key and takes more than a megabyte of the box for good.
"""

import base64
import binascii
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wire.files import create_file

_BEGIN: Final = "-----BEGIN PRIVATE KEY-----"
_END: Final = "-----END PRIVATE KEY-----"
_HEAD: Final = bytes.fromhex("302e020100300506032b657004220420")
_KEY_BYTES: Final = 32


class KeyFileError(ValueError):
    """A key file cannot be used; the text names it and the reason, never its content."""


class IdentityKey:
    """Signs what this box says."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def create(cls, path: Path) -> "IdentityKey":
        """Make a new key in path, mode 0600. Raises OSError; FileExistsError: an identity is never overwritten."""
        key = Ed25519PrivateKey.generate()
        body = base64.b64encode(_HEAD + key.private_bytes_raw()).decode("ascii")
        create_file(path, f"{_BEGIN}\n{body}\n{_END}\n")
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> "IdentityKey":
        """Raises KeyFileError."""
        try:
            lines = path.read_bytes().decode("ascii").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{path}: {error.strerror if isinstance(error, OSError) else 'not a key'}") from None
        lines = [line.strip() for line in lines if line.strip()]
        if len(lines) < 3 or (lines[0], lines[-1]) != (_BEGIN, _END):
            raise KeyFileError(f"{path}: not a private key in PEM")
        try:
            content = base64.b64decode("".join(lines[1:-1]), validate=True)
        except binascii.Error:
            raise KeyFileError(f"{path}: damaged") from None
        if not content.startswith(_HEAD) or len(content) != len(_HEAD) + _KEY_BYTES:
            raise KeyFileError(f"{path}: not an Ed25519 key")
        return cls(Ed25519PrivateKey.from_private_bytes(content.removeprefix(_HEAD)))

    def public_hex(self) -> str:
        """The raw public key, 64 hex digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """The signature, 128 hex digits."""
        return self._key.sign(message).hex()


def verifies(public_hex: str, message: bytes, signature_hex: str) -> bool:
    """Whether an Ed25519 signature is the key's. Anything ill-formed is simply not."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_hex)).verify(bytes.fromhex(signature_hex), message)
    except (InvalidSignature, ValueError):
        return False
    return True
