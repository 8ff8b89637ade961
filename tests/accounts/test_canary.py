"""What is shown once to a person is found nowhere afterwards: not in the file, its log, nor what is logged."""

import logging

import pytest

from aggregator.accounts import EVERYWHERE, Role, SignInRefused
from tests.accounts.conftest import Rig

PASSWORD, OTHER, WRONG = "canary-password-one", "canary-password-two", "canary-password-wrong"


async def test_no_secret_and_no_password_lies_in_the_file(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    code = await rig.office.setup_code()
    assert code is not None
    await rig.office.complete_setup(code, "root", PASSWORD, "10.0.0.5")
    await rig.office.add_user("li", OTHER, [Role.GUARD], EVERYWHERE)
    session = await rig.office.sign_in("li", OTHER, "10.0.0.5")
    token = await rig.office.create_token("report", [Role.OPS], EVERYWHERE, valid_days=1)
    for name in ("li", "nobody", "canary-name-that-is-a-password"):
        with pytest.raises(SignInRefused) as refused:
            await rig.office.sign_in(name, WRONG, "10.0.0.5")
        assert WRONG not in repr(refused.value)
    assert await rig.office.session(session)
    assert await rig.office.token(token)

    folder = rig.db.path.parent
    files = {path.name: path.read_bytes() for path in folder.glob("office.sqlite*")}
    assert len(files["office.sqlite-wal"]) > 0
    # The scan can find what is there: names stand in clear.
    assert any(b"report" in content for content in files.values())
    assert any(b"$argon2id$" in content for content in files.values())
    # The first four signs of a token are kept on purpose, so that a person can tell tokens apart.
    secrets = [code, session, token, token[8:], PASSWORD, OTHER, WRONG, "canary"]
    raw = [bytes.fromhex(secret) for secret in (code, session, token[4:])]
    for name, content in files.items():
        for secret in secrets:
            assert secret.encode() not in content, name
        for secret in raw:
            assert secret not in content, name
    for secret in secrets:
        assert secret not in repr(rig.ledger)
        assert secret not in caplog.text
