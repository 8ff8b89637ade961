import base64

from simulators.picture import CANARY, CANARY_BYTES, data_uri


def test_the_mark_is_there_as_text_and_in_the_decoded_picture() -> None:
    uri = data_uri("1026701/rec/0/1", 2000)
    assert CANARY in uri
    assert CANARY_BYTES in base64.b64decode(uri.partition(",")[2])


def test_a_picture_has_its_size_and_comes_out_the_same_for_the_same_record() -> None:
    assert abs(len(data_uri("a", 60_000)) - 60_000) <= 4
    assert data_uri("a", 500) == data_uri("a", 500) != data_uri("b", 500)
