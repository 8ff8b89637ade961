import pytest

from edge_agent.codecs import mqtt_codec
from tests.protocols.cases import Case, all_cases, shown


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_codec_gives_what_the_case_expects(case: Case) -> None:
    codec = mqtt_codec(case.protocol)
    for number, ((topic, payload), expected) in enumerate(zip(case.messages(), case.expected(), strict=True), start=1):
        decoded = codec.decode(codec.topic_prefix, topic, payload)
        assert [shown(codec, one) for one in decoded] == expected["decoded"], f"{case} line {number}"


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_case_says_where_it_comes_from(case: Case) -> None:
    text = (case.folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(text.splitlines()) >= 3


def test_there_are_cases() -> None:
    assert len(all_cases()) >= 20
