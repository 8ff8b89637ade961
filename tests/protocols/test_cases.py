import pytest

from device_profiles.protocols import protocol
from edge_agent.codecs import mqtt_codec
from edge_agent.message import Message
from tests.protocols.cases import Case, all_cases, shown
from tests.translate.golden import events


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_codec_gives_what_the_case_expects(case: Case) -> None:
    codec = mqtt_codec(case.protocol)
    for number, ((topic, payload), expected) in enumerate(zip(case.messages(), case.expected(), strict=True), start=1):
        decoded = codec.decode(codec.topic_prefix, topic, payload)
        assert [shown(codec, one) for one in decoded] == expected["decoded"], f"{case} line {number}"


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_shipped_profile_gives_what_the_case_expects(case: Case) -> None:
    codec = mqtt_codec(case.protocol)
    for number, ((topic, payload), expected) in enumerate(zip(case.messages(), case.expected(), strict=True), start=1):
        decoded = codec.decode(codec.topic_prefix, topic, payload)
        made = [event for one in decoded for event in events(case.protocol, one)]
        assert made == expected["events"], f"{case} line {number}"


@pytest.mark.parametrize("name", sorted({case.protocol for case in all_cases()}))
def test_codec_and_profile_model_speak_of_the_same_messages(name: str) -> None:
    codec, model = mqtt_codec(name), protocol(name)
    assert codec.protocol == model.name
    assert codec.records == model.messages.keys()
    for case in all_cases():
        for topic, payload in case.messages() if case.protocol == name else []:
            for _, content in codec.decode(codec.topic_prefix, topic, payload):
                if isinstance(content, Message) and content.kind in codec.records:
                    assert content.fields.keys() <= model.messages[content.kind], f"{case}"


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_case_says_where_it_comes_from(case: Case) -> None:
    text = (case.folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(text.splitlines()) >= 3


def test_there_are_cases() -> None:
    assert len(all_cases()) >= 20
