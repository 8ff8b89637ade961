"""Signing in as RFC 7616 and RFC 7617 write it, with their own examples."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import HTTPDigestAuth

from edge_agent.channels.http_sign_in import Asked, Credentials, sign_in

MUFASA = Credentials("Mufasa", "Circle of Life")
RFC_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC_OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
RFC_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_ASKED = Asked("GET", "/dir/index.html", RFC_CNONCE)


def rfc_challenge(algorithm: str) -> str:
    return (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        f'nonce="{RFC_NONCE}", opaque="{RFC_OPAQUE}"'
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    answer = sign_in([rfc_challenge(algorithm)], MUFASA, RFC_ASKED)
    assert answer is not None
    assert not answer.in_clear
    assert f'response="{response}"' in answer.header
    for part in ('username="Mufasa"', 'uri="/dir/index.html"', "nc=00000001", "qop=auth", f'opaque="{RFC_OPAQUE}"'):
        assert part in answer.header
    assert "Circle of Life" not in answer.header


@pytest.mark.parametrize("order", [("MD5", "SHA-256"), ("SHA-256", "MD5")])
@pytest.mark.parametrize("joined", [True, False])
def test_the_best_way_is_taken_in_whatever_order_they_stand(order: tuple[str, str], joined: bool) -> None:
    challenges = ['Basic realm="x"', *map(rfc_challenge, order)]
    answer = sign_in([", ".join(challenges)] if joined else challenges, MUFASA, RFC_ASKED)
    assert answer is not None
    assert "algorithm=SHA-256" in answer.header


def test_basic_is_taken_only_where_there_is_no_digest() -> None:
    answer = sign_in(['Basic realm="IP Camera"'], MUFASA, RFC_ASKED)
    assert answer is not None
    assert answer.in_clear
    assert answer.header == "Basic " + base64.b64encode(b"Mufasa:Circle of Life").decode()


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Negotiate",
        "Bearer realm=x",
        'Digest realm="x"',
        'Digest nonce="x"',
        'Digest realm="x", nonce="y", qop="auth-int"',
        'Digest realm="x", nonce="y", algorithm=SHA-512-256',
    ],
)
def test_what_we_do_not_know_is_not_answered(challenge: str) -> None:
    assert sign_in([challenge], MUFASA, RFC_ASKED) is None


def test_credentials_print_as_nothing() -> None:
    assert "Circle" not in f"{MUFASA!r} {MUFASA}"
    assert "Mufasa" not in f"{MUFASA!r} {MUFASA}"


@given(st.lists(st.text(max_size=80), max_size=4))
def test_no_challenge_raises(challenges: list[str]) -> None:
    sign_in(challenges, MUFASA, RFC_ASKED)


@pytest.mark.parametrize(
    ("qop", "algorithm"),
    [
        (qop, algorithm)
        for qop in ('qop="auth", ', "")
        for algorithm in ("", ", algorithm=MD5", ", algorithm=MD5-sess", ", algorithm=SHA-256")
        # requests names no client nonce for this pair, so nobody could check it.
        if qop or not algorithm.endswith("sess")
    ],
)
def test_requests_says_the_same(qop: str, algorithm: str) -> None:
    """Another's implementation; it makes its own client nonce, which we then use."""
    nonce = "4e4449784e546b"
    theirs = HTTPDigestAuth("Mufasa", "Circle of Life")
    theirs.init_per_thread_state()
    chal = {"realm": "IP Camera", "nonce": nonce}
    if qop:
        chal["qop"] = "auth"
    if algorithm:
        chal["algorithm"] = algorithm.partition("=")[2]
    theirs._thread_local.chal = chal
    header = theirs.build_digest_header("GET", "http://192.0.2.64/ISAPI/x?y=1")
    assert header is not None
    cnonce = header.partition('cnonce="')[2].partition('"')[0] or "0"
    ours = sign_in(
        [f'Digest {qop}realm="IP Camera", nonce="{nonce}"{algorithm}'], MUFASA, Asked("GET", "/ISAPI/x?y=1", cnonce)
    )
    assert ours is not None
    assert header.partition('response="')[2][:32] == ours.header.partition('response="')[2][:32]
