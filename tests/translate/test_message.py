import logging
import pickle

import pytest

from edge_agent.message import Holder, Message, RawCredential, Secret
from wire.records import CredentialKind

NUMBER = "20260001"


def message() -> Message:
    return Message(
        kind="rec_push",
        holder=Holder(Secret(NUMBER)),
        credential=RawCredential(CredentialKind.CARD, Secret(NUMBER)),
    )


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r:>40}".format, lambda one: f"{one}"])
def test_a_secret_prints_as_nothing(show) -> None:
    for one in (Secret(NUMBER), message()):
        assert NUMBER not in show(one)


def test_a_secret_does_not_reach_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("seen %s", message(), extra={"holder": message().holder})
    assert NUMBER not in caplog.text
    assert NUMBER not in str(vars(caplog.records[0]))


def test_a_secret_is_not_written_anywhere() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(NUMBER))


def test_secrets_compare_by_what_they_hold() -> None:
    assert Secret(NUMBER) == Secret(NUMBER)
    assert Secret(NUMBER) != Secret("1")
    assert Secret(NUMBER) != NUMBER
    assert len({Secret(NUMBER), Secret(NUMBER)}) == 1
