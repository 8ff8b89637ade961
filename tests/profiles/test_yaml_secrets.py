"""No secret of a file is ever printed, however broken the file is."""

import pytest

from device_profiles.yaml_source import validate
from tests.profiles.house import House, everything_printed, parsed

CANARY = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "password: [hunter2]",
        "password:\n  - hunter2",
        "password:\n- hunter2",
        "password: {a: hunter2}\n",
        "password:\n  a: hunter2\n  b:\n    c: hunter2",
        "name: a\npasword: b\npassword: hunter2\npassword: hunter2",
        "broker_password: hunter2",
        "'password': 'hunter2'\nnonsense: 1",
        "doors: [{name: b, password: hunter2}]",
        "{nonsense: 1, password: hunter2}",
        "api_token: hunter2",
        "campus_key: hunter2",
        "psk: hunter2\npassphrase: hunter2\npwd: hunter2\nclient_secret: hunter2",
        "PASSWORD: hunter2",
        "password:hunter2\nname: a",
        "password: hunter2: b",
        "password: *hunter2",
        "password: &hunter2 [a]\nname: *hunter2",
        "password: !hunter2 x",
        "password: !!hunter2 x",
        "password: !a!hunter2 x",
        'password: "hunter2',
        'password: "hunter2\n\\q"\nname: a\nkind: b\ndoors: []\n',
        "password: |\n  hunter2\n hunter2\nname: a\n",
        "password: >-\n  hunter2\n  more\n hunter2: x\n",
        "password: [hunter2",
        "password: hunter2\n  hunter2: 1",
        "name: a\n - password: hunter2",
        "- password: hunter2\n  name: 1\n",
        "doors:\n  - password:\n      - hunter2\n    relay: 9\n",
        # Below a secret everything is secret, keys too, however it is laid out.
        "password:\n- a\n- !own hunter2\n",
        "password:\n- hunter2: 1\n  hunter2: 2\n",
        "password: {\na: 1,\nb: !own hunter2}\n",
        "password: [\n!own hunter2\n, a]\n",
        "password: [\na, hunter2 ]]\n",
        "password: [\na: hunter2 ]]\n",
        "password:\n- a\n- hunter2: [\n",
        '"pass\\x77ord": !own hunter2\n',
        "? password\n: !own hunter2\n",
        "password:\n  b: a\n\n  # hunter2\n  !own c: 1\n",
        "password: a\npassword:\n  - !own hunter2\n",
    ],
)
def test_no_secret_is_ever_printed(text: str) -> None:
    source = parsed(text)
    _, findings = validate(source, House)
    assert findings
    assert CANARY not in everything_printed(findings)


def test_what_stands_beside_a_secret_is_shown() -> None:
    source = parsed("doors:\n  - password:\n      - a\n    relay: !own 1\n    relay: 2\nname: !own b\n")
    assert [finding.excerpt for finding in source.findings] == ["    relay: !own 1", "    relay: 2", "name: !own b"]


def test_what_stands_below_a_broken_files_secret_is_shown_when_it_is_a_key_of_its_own() -> None:
    shown = [parsed(f"password: a\nuplink:\n  {line}\n").findings[0].excerpt for line in ("port: 1: 2", "port 1: 2: 3")]
    assert shown == ["  port: 1: 2", "  …"]


def test_a_file_that_only_names_where_a_secret_lies_is_shown() -> None:
    _, findings = validate(parsed("name: a\npassword_file: keys/broker.password\n"), House)
    assert "keys/broker.password" in everything_printed(findings)
