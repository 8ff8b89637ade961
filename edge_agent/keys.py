"""The box's own Ed25519 key: made on the box, never leaves it; signs HELLO."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from wire.files import create_file


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
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        create_file(path, text)
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> "IdentityKey":
        """Raises KeyFileError."""
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise KeyFileError(f"{path}: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: not an Ed25519 key")
        return cls(key)

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
