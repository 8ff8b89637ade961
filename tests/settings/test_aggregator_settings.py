"""`aggregator.yaml` and the keys it names."""

import random
from pathlib import Path

import pytest
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.campus_keys import (
    CampusKeyError,
    load_campus_key,
    load_signing_key,
    make_campus_key,
    make_signing_key,
)
from aggregator.settings import SAMPLE, read_settings
from tests.profiles.odd import ODD, Place, places, replaced
from wire.files import create_file
from wire.i18n import LANGUAGES, Texts


def write(folder: Path, text: str = SAMPLE) -> Path:
    path = folder / "aggregator.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_sample_is_read_with_its_paths_beside_it(tmp_path: Path) -> None:
    loaded = read_settings(write(tmp_path))
    assert loaded.findings == []
    campus = loaded.settings
    assert campus is not None
    assert campus.data_dir == tmp_path / "data"
    assert campus.campus_key_file == tmp_path / "keys/campus.key"
    assert campus.signing_key_file == tmp_path / "keys/signing.key"
    assert campus.broker.password_file == tmp_path / "keys/broker.password"
    assert campus.broker.folder == tmp_path / "broker"
    assert campus.broker.terminal_prefixes == ("mqtt/face",)
    # Nothing is open to the network unless somebody says so.
    assert campus.http.host == "127.0.0.1"


def test_the_password_is_no_part_of_the_settings(tmp_path: Path) -> None:
    campus = read_settings(write(tmp_path)).settings
    assert campus is not None
    address = campus.broker.address("hunter2")
    assert (address.host, address.port, address.password) == ("127.0.0.1", 1883, "hunter2")
    assert "hunter2" not in repr(campus)
    assert "hunter2" not in repr(address)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("campus: my-school ", "campus: My School ", ["pattern"]),
        ("zone: Asia/Shanghai", "zone: Asia/Shangai", ["unknown_zone"]),
        ("port: 8000", "port: 80000", ["too_large"]),
        ("port: 8000", "prot: 8000", ["unknown_key"]),
        ("[mqtt/face]", "['mqtt/#']", ["pattern"]),
        ("password_file: keys/broker.password", "password: hunter2", ["unknown_key"]),
        ("data_dir: data", "datadir: 5", ["unknown_key"]),
        ("folder: broker  ", "tls_certificate: keys/agg.pem  ", ["useless_key"]),
    ],
)
def test_a_mistake_is_told_once(tmp_path: Path, old: str, new: str, found: list[str]) -> None:
    assert SAMPLE.count(old) == 1
    loaded = read_settings(write(tmp_path, SAMPLE.replace(old, new)))
    assert loaded.settings is None
    assert [finding.code for finding in loaded.findings] == found


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        ("{door_held: 2, device_down: 4}", []),
        ("{door_hold: 2}", [("unknown_alarm_kind", "door_held")]),
        ("{door_held: 5}", [("too_large", "")]),
        ("{door_held: 0}", [("too_small", "")]),
        ("{door_held: high}", [("wrong_type", "")]),
        ("[door_held]", [("wrong_type", "")]),
    ],
)
def test_a_campus_rates_kinds_of_alarm_for_itself(tmp_path: Path, levels: str, found: list[tuple[str, str]]) -> None:
    loaded = read_settings(write(tmp_path, f"{SAMPLE}\nalarms:\n  levels: {levels}\n"))
    assert [(finding.code, finding.params.get("nearest", "")) for finding in loaded.findings] == found
    if not found:
        assert loaded.settings is not None
        assert loaded.settings.alarms.levels == {"door_held": 2, "device_down": 4}


@pytest.mark.parametrize("text", ["", "- a\n", "5\n", "zone: [1]\n", "schema: 1\nzone: ''\n"])
def test_odd_shapes_are_findings(tmp_path: Path, text: str) -> None:
    loaded = read_settings(write(tmp_path, text))
    assert loaded.settings is None
    assert loaded.findings


DOCUMENT = yaml.safe_load(SAMPLE)


@settings(max_examples=200, deadline=None)
@given(place=st.sampled_from(places(DOCUMENT)), odd=ODD)
def test_an_odd_value_anywhere_gives_findings_and_never_an_exception(
    tmp_path_factory: pytest.TempPathFactory, place: Place, odd: object
) -> None:
    loaded = read_settings(write(tmp_path_factory.getbasetemp(), yaml.safe_dump(replaced(DOCUMENT, place, odd))))
    assert (loaded.settings is None) == bool(loaded.findings)
    for finding in loaded.findings:
        for language in LANGUAGES:
            assert finding.render(Texts(language))


# --- keys ---------------------------------------------------------------------------------------------


def test_a_signing_key_signs_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.key"
    made = make_signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = load_signing_key(path)
    assert loaded.public_hex() == made.public_hex()
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(made.public_hex()))
    public.verify(loaded.sign(b"command"), b"command")
    with pytest.raises(InvalidSignature):
        public.verify(loaded.sign(b"command"), b"another")


def test_a_campus_key_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "campus.key"
    made = make_campus_key(path, random.Random(1).randbytes)
    assert len(made) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_campus_key(path) == made


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    make_campus_key(path, random.Random(1).randbytes)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        make_campus_key(path, random.Random(2).randbytes)
    with pytest.raises(FileExistsError):
        make_signing_key(path)
    with pytest.raises(FileExistsError):
        create_file(path, "other")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"hunter2 hunter2 hunter2", b"hunter2\xff", b"abcd"])
def test_an_unusable_campus_key_names_the_file_and_never_what_it_holds(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "campus.key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CampusKeyError) as refused:
        load_campus_key(path)
    assert str(path) in str(refused.value)
    assert "hunter" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_unusable_signing_key_is_refused(tmp_path: Path) -> None:
    absent, nonsense, other = (tmp_path / name for name in ("absent", "nonsense", "other"))
    nonsense.write_text("hunter2", encoding="utf-8")
    key = X25519PrivateKey.generate()
    other.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for path in (absent, nonsense, other):
        with pytest.raises(CampusKeyError) as refused:
            load_signing_key(path)
        assert str(path) in str(refused.value)
        assert "hunter2" not in str(refused.value)
