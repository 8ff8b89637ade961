import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.documents.assembly import Assembly
from wire.delivery import DOCUMENT_CHUNK_BYTES_MAX, DocumentChunk
from wire.documents import DOCUMENT_BYTES_MAX
from wire.errors import Malformed


def chunks(body: bytes, *, size: int = 4, version: int = 1, name: str = "tuning") -> list[DocumentChunk]:
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    digest = hashlib.sha256(body).hexdigest()
    return [
        DocumentChunk(
            name=name,
            version=version,
            sha256=digest,
            index=index,
            chunks=len(parts),
            data=b64encode(part).decode(),
        )
        for index, part in enumerate(parts)
    ]


@given(body=st.binary(max_size=60), data=st.data())
def test_chunks_in_any_order_and_repeated_give_the_document_once(body: bytes, data: st.DataObject) -> None:
    parts = chunks(body)
    order = data.draw(st.permutations(parts))
    extra = data.draw(st.lists(st.sampled_from(parts[:-1]), max_size=4)) if len(parts) > 1 else []
    assembly = Assembly({"tuning"})
    wholes = [assembly.take(chunk) for chunk in [*order[:-1], *[one for one in extra if one != order[-1]], order[-1]]]
    assert wholes[:-1] == [None] * (len(wholes) - 1)
    last = wholes[-1]
    assert last is not None
    assert last.body == body


def test_a_newer_version_begins_anew() -> None:
    assembly = Assembly({"tuning"})
    assembly.take(chunks(b"old old", version=1)[0])
    first, second = chunks(b"newer!!", version=2)
    assert assembly.take(first) is None
    with pytest.raises(Malformed):
        assembly.take(chunks(b"old old", version=1)[1])
    whole = assembly.take(second)
    assert whole is not None
    assert (whole.version, whole.body) == (2, b"newer!!")


def test_a_document_without_its_hash_is_malformed() -> None:
    assembly = Assembly({"tuning"})
    one, two = chunks(b"12345678")
    bad = chunks(b"1234XXXX")[1]
    assembly.take(one)
    with pytest.raises(Malformed, match="hash"):
        assembly.take(DocumentChunk(**{**{f: getattr(two, f) for f in two.__struct_fields__}, "data": bad.data}))


@pytest.mark.parametrize("change", [{"name": "bundle"}, {"index": 2}, {"data": "!!!"}, {"data": "QQ"}])
def test_what_makes_no_sense_is_malformed(change: dict[str, object]) -> None:
    chunk = chunks(b"12345678")[0]
    fields = {field: getattr(chunk, field) for field in chunk.__struct_fields__}
    with pytest.raises(Malformed):
        Assembly({"tuning"}).take(DocumentChunk(**{**fields, **change}))


def test_a_document_beyond_the_limit_is_given_up_and_forgotten() -> None:
    body = bytes(DOCUMENT_BYTES_MAX + 1)
    assembly = Assembly({"tuning"})
    *most, last = chunks(body, size=DOCUMENT_CHUNK_BYTES_MAX)
    for chunk in most:
        assert assembly.take(chunk) is None
    with pytest.raises(Malformed, match="more than"):
        assembly.take(last)
    assert assembly.take(chunks(b"small")[0]) is None
