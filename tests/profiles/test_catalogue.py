"""Every profile that we ship, and how a site's own stand beside them."""

from collections import defaultdict
from pathlib import Path

import pytest

from device_profiles.catalogue import SHIPPED, load_catalogue, profile_files
from device_profiles.model import DeviceProfile
from device_profiles.protocols import protocol, protocol_names
from device_profiles.reading import read_profile
from edge_agent.codecs import Codec, codec
from edge_agent.transports import transports
from tests.profiles.writing import FACESLUICE, write_profile
from wire.topics import TOPICS, lane_of

FILES = sorted(path for path in SHIPPED.rglob("*.yaml"))


def shipped(path: Path) -> DeviceProfile:
    profile, findings = read_profile(path)
    assert findings == []
    assert profile is not None
    return profile


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def profile(request: pytest.FixtureRequest) -> DeviceProfile:
    return shipped(request.param)


def test_every_file_is_in_the_catalogue() -> None:
    catalogue = load_catalogue()
    assert sorted(catalogue.files.values()) == FILES == profile_files(SHIPPED)
    assert catalogue.findings == {}
    assert catalogue.overridden == []
    assert catalogue.names == sorted(path.stem for path in FILES)


def test_mappings_speak_of_known_topics_and_fields(profile: DeviceProfile) -> None:
    messages = protocol(profile.protocol).messages
    resources = {resource.name for resource in profile.device_resources}
    assert profile.event_mappings or profile.auto_events
    for mapping in profile.event_mappings:
        assert mapping.topic in TOPICS
        assert lane_of(mapping.topic)
        assert mapping.source in messages.keys() | resources


def test_every_message_of_the_protocol_means_something(profile: DeviceProfile) -> None:
    """What no mapping wants is quarantined; a shipped profile leaves no record of a device there."""
    unconditional = {mapping.source for mapping in profile.event_mappings if not mapping.when}
    assert codec(profile.protocol, Codec).records <= unconditional


def test_no_mapping_stands_behind_one_that_takes_everything(profile: DeviceProfile) -> None:
    taken: set[str] = set()
    for mapping in profile.event_mappings:
        assert mapping.source not in taken
        if not mapping.when:
            taken.add(mapping.source)


def test_it_says_where_it_comes_from_and_in_chinese_what_it_is(profile: DeviceProfile) -> None:
    assert len(profile.source) >= 10
    assert profile.description_zh
    assert any("\u4e00" <= sign <= "\u9fff" for sign in profile.description_zh)
    assert profile.description.isascii()


def test_a_manufacturer_is_spelled_one_way() -> None:
    spellings: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        for product in shipped(path).products:
            plain = "".join(sign for sign in product.manufacturer.casefold() if sign.isalnum())
            spellings[plain].add(product.manufacturer)
    assert [names for names in spellings.values() if len(names) > 1] == []


def test_every_protocol_has_a_codec_of_its_name_and_a_profile() -> None:
    spoken = {shipped(path).protocol for path in FILES}
    for name in protocol_names():
        assert protocol(name).name == name
        assert name in spoken
        assert codec(name, Codec).protocol == name
        assert protocol(name).transports <= transports().keys()
    with pytest.raises(LookupError):
        protocol("no-such-protocol")


# --- a site's own -------------------------------------------------------------------------------------


def test_a_broken_profile_is_told_and_hides_no_other(tmp_path: Path) -> None:
    write_profile(tmp_path, "good")
    broken = write_profile(tmp_path, "broken", {"contract: acked": "contract: asked"})
    unreadable = tmp_path / "biometric" / "unreadable.yaml"
    unreadable.write_bytes(b"\xff\xfe")
    catalogue = load_catalogue([tmp_path])
    assert {"facesluice-mqtt", "good"} <= catalogue.profiles.keys()
    assert catalogue.findings.keys() == {broken, unreadable}
    assert {"broken", "unreadable"} <= set(catalogue.names)
    assert "broken" not in catalogue.profiles


def test_a_sites_profile_takes_the_place_of_ours_of_the_same_name(tmp_path: Path) -> None:
    own = write_profile(tmp_path, "facesluice-mqtt", {"interval_s: 40": "interval_s: 90"})
    catalogue = load_catalogue([tmp_path])
    assert catalogue.profiles["facesluice-mqtt"].liveness.interval_s == 90
    assert catalogue.files["facesluice-mqtt"] == own
    assert catalogue.overridden == [FACESLUICE]


def test_a_broken_one_of_the_same_name_leaves_ours_in_place(tmp_path: Path) -> None:
    write_profile(tmp_path, "facesluice-mqtt", {"contract: acked": "contract: asked"})
    catalogue = load_catalogue([tmp_path])
    assert catalogue.files["facesluice-mqtt"] == FACESLUICE
    assert len(catalogue.findings) == 1


def test_a_folder_that_is_not_there_adds_nothing(tmp_path: Path) -> None:
    assert load_catalogue([tmp_path / "absent"]).names == load_catalogue().names


def test_what_nobody_wants_is_not_read_and_yet_known_by_name(tmp_path: Path) -> None:
    (tmp_path / "energy").mkdir()
    (tmp_path / "energy" / "odd-meter.yaml").write_text("not: a profile")
    catalogue = load_catalogue([tmp_path], only={"xy-md02"})
    assert list(catalogue.profiles) == ["xy-md02"]
    assert catalogue.findings == {}
    assert catalogue.names == load_catalogue([tmp_path]).names
