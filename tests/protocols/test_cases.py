import pytest

from device_profiles.protocols import protocol
from edge_agent.cases import play
from edge_agent.codecs import Codec, codec
from tests.protocols.cases import Case, all_cases


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_codec_and_shipped_profile_give_what_the_case_expects(case: Case) -> None:
    assert play(case.profile(), case.folder).diff == ()


@pytest.mark.parametrize("name", sorted({case.protocol for case in all_cases()}))
def test_codec_and_profile_model_speak_of_the_same_messages(name: str) -> None:
    spec, model = codec(name, Codec), protocol(name)
    assert spec.protocol == model.name
    assert spec.records == model.messages.keys()
    for case in all_cases(name.replace("-", "_")):
        for message in case.messages():
            if message["kind"] in spec.records:
                assert message.get("fields", {}).keys() <= model.messages[message["kind"]], f"{case}"


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_case_says_where_it_comes_from(case: Case) -> None:
    text = (case.folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(text.splitlines()) >= 3


def test_there_are_cases() -> None:
    assert len(all_cases()) >= 20
