"""The keys of a campus: made once, for its owner alone, and never made anew over old ones."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aggregator.campus_keys import (
    CampusKeyError,
    load_campus_key,
    load_signing_key,
    make_campus_key,
    make_signing_key,
)
from tests.support.clock import seeded
from wire.files import create_file


def make_campus(path: Path) -> object:
    return make_campus_key(path, seeded(1))


MAKERS = [make_campus, make_signing_key, lambda path: create_file(path, "secret\n")]


@pytest.mark.parametrize("make", MAKERS)
def test_only_the_owner_may_read_a_key(tmp_path: Path, make: Callable[[Path], object]):
    make(tmp_path / "keys" / "one")
    assert stat.S_IMODE((tmp_path / "keys" / "one").stat().st_mode) == 0o600


@pytest.mark.parametrize("make", MAKERS)
def test_a_key_that_is_there_is_never_overwritten(tmp_path: Path, make: Callable[[Path], object]):
    path = tmp_path / "one"
    make(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        make(path)
    assert path.read_bytes() == before


def test_a_signing_key_is_read_back(tmp_path: Path):
    made = make_signing_key(tmp_path / "one")
    loaded = load_signing_key(tmp_path / "one")
    assert loaded.public_hex() == made.public_hex()
    assert make_signing_key(tmp_path / "other").public_hex() != made.public_hex()
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(made.public_hex()))
    public.verify(loaded.sign(b"welcome"), b"welcome")


def test_a_campus_key_is_read_back(tmp_path: Path):
    made = make_campus_key(tmp_path / "one", seeded(1))
    assert load_campus_key(tmp_path / "one") == made
    assert len(made) == 32


@pytest.mark.parametrize("text", ["", "zz no key at all", "ab" * 15, "密钥", "ab" * 31 + "x"])
def test_a_campus_key_that_is_none_is_named_by_its_file_and_not_shown(tmp_path: Path, text: str):
    path = tmp_path / "one"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CampusKeyError) as error:
        load_campus_key(path)
    assert str(path) in str(error.value)
    assert not text or text not in str(error.value)


@pytest.mark.parametrize("load", [load_campus_key, load_signing_key])
def test_a_key_that_is_missing_is_named(tmp_path: Path, load: Callable[[Path], object]):
    with pytest.raises(CampusKeyError, match="none"):
        load(tmp_path / "none")


def test_a_signing_key_of_another_kind_is_refused(tmp_path: Path):
    key = generate_private_key(SECP256R1())
    path = tmp_path / "one"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(CampusKeyError, match="Ed25519"):
        load_signing_key(path)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_signing_key_that_is_none_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "one"
    path.write_bytes(content)
    with pytest.raises(CampusKeyError, match="one"):
        load_signing_key(path)
