import hashlib
import hmac
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.samples import record_lines
from wire.identity import (
    CHAIN_START,
    Pseudonymiser,
    card_normal_form,
    chain_next,
    derived_id,
    record_hash,
    source_no,
    source_space,
    tail,
)

KEY = b"contract-sample-key"


def test_a_hash_is_sha_256_of_the_stored_bytes() -> None:
    # FIPS 180-4, the example of "abc".
    assert record_hash(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_chain_is_the_first_half_of_a_hash_over_chain_and_hash() -> None:
    chain = CHAIN_START
    for line in record_lines("event")[:3]:
        expected = hashlib.sha256(chain + hashlib.sha256(line).digest()).digest()[:16]
        chain = chain_next(chain, record_hash(line))
        assert chain == expected
    assert len(chain) == 16
    assert bytes(16) == CHAIN_START


@given(st.lists(st.binary(max_size=20), min_size=2, max_size=6), st.data())
def test_a_chain_differs_when_any_record_differs_is_missing_or_is_swapped(
    bodies: list[bytes], data: st.DataObject
) -> None:
    def chain_of(bodies: list[bytes]) -> bytes:
        chain = CHAIN_START
        for body in bodies:
            chain = chain_next(chain, record_hash(body))
        return chain

    at = data.draw(st.integers(0, len(bodies) - 1))
    assert chain_of(bodies) != chain_of([*bodies[:at], bodies[at] + b"x", *bodies[at + 1 :]])
    assert chain_of(bodies) != chain_of([*bodies[:at], *bodies[at + 1 :]])
    if bodies[0] != bodies[1]:
        assert chain_of(bodies) != chain_of([bodies[1], bodies[0], *bodies[2:]])


def test_a_chain_can_be_checked_when_a_body_is_gone_and_its_hash_is_kept() -> None:
    kept = record_hash(b"somebody passed")
    assert chain_next(chain_next(CHAIN_START, kept), record_hash(b"x")) == chain_next(
        chain_next(CHAIN_START, record_hash(b"somebody passed")), record_hash(b"x")
    )


def test_a_ref_is_hmac_sha_256_of_domain_and_normal_form() -> None:
    ref = Pseudonymiser(KEY).ref("card", "04A1B2C3/32/iso14443a")
    assert ref == hmac.new(KEY, b"card\x1f04A1B2C3/32/iso14443a", hashlib.sha256).hexdigest()[:32]
    # Every box of a campus must come to the same ref, for ever: it stands in the samples of the contract.
    assert f'"ref":"{ref}"'.encode() in record_lines("event")[1]
    assert ref == "3177427ff6cf4054068dab46ea3f5e21"


def test_a_card_and_a_person_with_one_number_are_two() -> None:
    pseudonyms = Pseudonymiser(KEY)
    assert pseudonyms.ref("card", "17") != pseudonyms.ref("person", "17")
    assert pseudonyms.ref("a", "b\x1fc") != pseudonyms.ref("b", "a\x1fc")


def test_another_campus_has_other_refs() -> None:
    assert Pseudonymiser(KEY).ref("card", "17") != Pseudonymiser(os.urandom(16)).ref("card", "17")


def test_a_pseudonymiser_never_shows_its_key() -> None:
    assert "contract" not in repr(Pseudonymiser(KEY)) + str(Pseudonymiser(KEY)) + f"{Pseudonymiser(KEY)}"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        Pseudonymiser(bytes(15))


@pytest.mark.parametrize(
    ("uid", "text"),
    [
        ("04a1b2c3", "04A1B2C3/32/iso14443a"),
        ("04a1b2c3d4e5f6", "04A1B2C3D4E5F6/56/iso14443a"),
        ("0001c2", "0001C2/24/iso14443a"),
    ],
)
def test_a_card_number_is_written_in_air_order_with_its_length(uid: str, text: str) -> None:
    assert card_normal_form(bytes.fromhex(uid), "iso14443a") == text


@pytest.mark.parametrize("length", [0, 1, 2, 11, 16])
def test_a_card_number_of_an_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="expected 3 to 10"):
        card_normal_form(bytes(length), "iso14443a")


def test_only_the_tail_of_a_number_is_ever_printed() -> None:
    assert tail("04A1B2C3") == "B2C3"
    assert tail("17") == "17"


def test_a_derived_id_depends_on_each_part_and_their_borders() -> None:
    assert derived_id("gap", "e", 1, 2) == derived_id("gap", "e", 1, 2)
    assert len({derived_id("gap", "e", 1, 2), derived_id("gap", "e", 12), derived_id("gap", "e1", 2)}) == 3
    assert derived_id("gap", 1) == hashlib.sha256(b"gap\x1f1").hexdigest()[:32]


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**14 - 1))
def test_numbers_of_two_spaces_never_meet(number: int, space: int) -> None:
    assert source_space(source_no(number, space)) == space
    assert source_no(number, space) & (2**48 - 1) == number
    assert source_no(number, space) < 2**63


@pytest.mark.parametrize(("number", "space"), [(-1, 0), (2**48, 0), (0, -1), (0, 2**14)])
def test_a_number_outside_its_space_is_refused(number: int, space: int) -> None:
    with pytest.raises(ValueError, match="in space"):
        source_no(number, space)
