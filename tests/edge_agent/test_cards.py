"""One card, one number, whichever reader saw it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.model import CardRule
from edge_agent.cards import card_text, normal_card


def rule(**said: object) -> CardRule:
    return CardRule.model_validate({"technology": "em4100", "length": 4, **said})


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("00A3C511", {}),
        ("00:a3:c5:11", {}),
        ("11C5A300", {"byte_order": "reversed"}),
        ("0010732817", {"notation": "decimal"}),
        ("163,50449", {"notation": "wiegand"}),
        ("163/50449", {"notation": "wiegand"}),
        ("0400A3C511", {"length": 5, "truncate_to": 32}),
    ],
)
def test_every_notation_of_one_tag_gives_one_number(number: str, said: dict[str, object]) -> None:
    assert normal_card(number, rule(**said)) == "em4100:4:00A3C511"


def test_length_and_technology_are_part_of_the_number() -> None:
    assert normal_card("0400A3C511", rule(length=5)) == "em4100:5:0400A3C511"
    assert normal_card("0400123456", rule(length=5)) == "em4100:5:0400123456"
    assert normal_card("00A3C511", rule(technology="iso14443a")) == "iso14443a:4:00A3C511"
    assert normal_card("0400A3C511", rule(length=5, truncate_to=24)) == "em4100:3:A3C511"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("no number", {}),
        ("", {}),
        ("FFFFFFFFFF", {}),
        ("4294967296", {"notation": "decimal"}),
        ("12A", {"notation": "decimal"}),
        ("163,65536", {"notation": "wiegand"}),
        ("16350449", {"notation": "wiegand"}),
        ("٣٤٥", {"notation": "decimal"}),
    ],
)
def test_what_is_not_written_so_keeps_its_spelling(number: str, said: dict[str, object]) -> None:
    assert normal_card(number, rule(**said)) == card_text(number)


@pytest.mark.parametrize(
    ("number", "normal"),
    [
        ("4596b78a", "em4100:4:4596B78A"),
        ("04:a1:b2:c3:d4:e5:f6", "em4100:7:04A1B2C3D4E5F6"),
        # A digit is missing: whose it is, nobody can say.
        ("4596b78", "4596B78"),
        ("4596b7", "4596B7"),
        ("0000004596b78a", "em4100:7:0000004596B78A"),
    ],
)
def test_a_reader_of_several_lengths_tells_them_by_their_digits(number: str, normal: str) -> None:
    assert normal_card(number, rule(length=[4, 7])) == normal


def test_several_lengths_cannot_be_told_apart_in_decimal() -> None:
    with pytest.raises(ValueError, match="several lengths"):
        rule(length=[4, 7], notation="decimal")


@given(st.text(max_size=40), st.sampled_from(["hex", "decimal", "wiegand"]), st.sampled_from([None, 24, 32]))
def test_no_text_raises(number: str, notation: str, bits: int | None) -> None:
    assert isinstance(normal_card(number, rule(notation=notation, truncate_to=bits)), str)


@given(st.binary(min_size=4, max_size=4))
def test_two_cards_never_share_a_number(uid: bytes) -> None:
    value = int.from_bytes(uid, "big")
    normal = normal_card(uid.hex(), rule())
    assert normal == normal_card(str(value), rule(notation="decimal"))
    assert normal == normal_card(uid[::-1].hex(), rule(byte_order="reversed"))
    assert normal != normal_card(f"{value ^ 1:08x}", rule())
