"""A file a person wrote, however it was written: findings at their place or data, never an exception."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from device_profiles import yaml_syntax
from device_profiles.catalogue import SHIPPED, profile_files
from device_profiles.findings import Finding, nearest
from device_profiles.protocols import StrictModel
from device_profiles.yaml_source import DEPTH_MAX, FILE_BYTES_MAX, Source, load, parse, validate
from wire.i18n import LANGUAGES, Texts

PATH = Path("some.yaml")
PROJECT = Path(__file__).parents[2]
WRITTEN = sorted([*PROJECT.glob("*/samples/*.yaml"), *PROJECT.glob("tests/settings/ten*/*.yaml")])


class Door(StrictModel):
    name: str
    relay: int = Field(ge=1, le=4)
    code: str | int | float = 0


class House(StrictModel):
    name: str
    password: str = ""
    kind: str = "house"
    doors: list[Door] = Field(default_factory=list)
    windows: tuple[str, ...] = Field(default=("one",), min_length=1, strict=False)


def parsed(text: str) -> Source:
    return parse(PATH, text.encode())


def found(findings: list[Finding]) -> list[tuple[str, int, int]]:
    return [(finding.code, finding.line, finding.column) for finding in findings]


def everything_printed(findings: list[Finding]) -> str:
    texts = [Texts(language) for language in LANGUAGES]
    printed = [finding.render(one) for finding in findings for one in texts]
    documents = [json.dumps(finding.as_document(one), ensure_ascii=False) for finding in findings for one in texts]
    return "\n".join([*printed, *documents])


# --- how a finding is shown ---------------------------------------------------------------------------


def shown(text: str, line: int) -> tuple[str, int]:
    """The line of the finding in that line as it is printed, and the cell above the caret's."""
    (finding,) = [one for one in validate(parsed(text), House)[1] if one.line == line]
    _, excerpt, caret = finding.render(Texts("en")).split("\n")
    return excerpt.removeprefix(f"{line:>5} | "), caret.removeprefix("      | ").index("^")


def test_the_caret_stands_below_the_mistake_also_behind_chinese() -> None:
    line, cell = shown("name: a\nwindows: [东门, 南门, 3]\n", 2)
    assert line == "windows: [东门, 南门, 3]"
    assert cell == len("windows: [, , ") + 4 * 2


@pytest.mark.parametrize("before", [0, 40, 400])
def test_a_long_line_is_cut_around_the_mistake(before: int) -> None:
    items = ["w"] * before + ["3"] + ["w"] * 400
    line, cell = shown(f"name: a\nwindows: [{', '.join(items)}]\n", 2)
    assert len(line) <= 122
    assert line[cell] == "3"
    assert line.endswith("…")
    assert line.startswith("…") == (before > 20)


# --- what YAML is not taken ---------------------------------------------------------------------------


def test_a_key_that_stands_twice_is_found_and_the_first_counts() -> None:
    source = parsed("a: 1\nb: 2\na: 3\n")
    assert source.data == {"a": 1, "b": 2}
    assert found(source.findings) == [("duplicate_key", 3, 1)]
    assert source.findings[0].params == {"key": "a", "line": "1"}


def test_a_key_that_stands_twice_deep_inside() -> None:
    assert found(parsed("a:\n  - b: 1\n    c: 2\n    b: 3\n").findings) == [("duplicate_key", 4, 5)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('a: 1\nb: "two\nc: 3\nd: 4\n', (2, 4)),
        ("a: 1\nb: 'two\nc: 3\nd: 4", (2, 4)),
        # Another quote ends it, lines later, where the text that should have been quoted begins.
        ('a: 1\nb: "two\nc: 3\nd: "four"\ne: 5\nf: 6\ng: 7\n', (2, 4)),
        ("a: {b: 1\nc: 2\nd: 3\n", (1, 4)),
        ("a: [1, 2\n", (1, 4)),
        ("a: 1\nb\nc: 2\nd: 3\n", (2, 1)),
    ],
)
def test_what_is_never_closed_is_reported_where_it_opens(text: str, place: tuple[int, int]) -> None:
    source = parsed(text)
    assert source.data is None
    assert found(source.findings) == [("syntax", *place)]


def test_an_error_in_a_line_is_reported_in_that_line() -> None:
    assert found(parsed("a: 1\nb: c: d\ne: 1\nf: 2\ng: 3\n").findings) == [("syntax", 2, 5)]
    assert found(parsed("a:\n    b: 1\n  c: 2\n").findings) == [("syntax", 3, 3)]
    assert found(parsed("a: 1\n\tb: 2\nc: 3\nd: 4\ne: 5\n").findings) == [("syntax", 2, 1)]


def test_an_alias_is_not_followed() -> None:
    source = parsed("a: &one [1, 2]\nb: *one\n")
    assert source.data == {"a": [1, 2], "b": None}
    assert [finding.code for finding in source.findings] == ["alias"]


def test_an_alias_is_told_where_it_stands() -> None:
    source = parsed("a: &one b\nc: *one\nd: [1, *one]\n")
    assert source.data == {"a": "b", "c": None, "d": [1, None]}
    assert found(source.findings) == [("alias", 2, 1), ("alias", 3, 4)]


def test_a_mistake_costs_one_look_at_one_line() -> None:
    """A file may hold a mistake in each of its lines; looking back from every one would take hours."""
    looked_at: list[object] = []

    class Lines(list[str]):
        def __getitem__(self, index: object) -> object:
            looked_at.append(index)
            return super().__getitem__(index)

    source = parsed("x:\n  a: 1\n  b:\n    c: !own 1\n" + "    c: 1\n" * 100)
    assert len(source.findings) == 101
    source.lines = Lines(source.lines)
    assert source.finding(("x", "b", "c"), "alias").excerpt == "    c: !own 1"
    assert looked_at == [3]


def test_aliases_do_not_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    source = parsed("\n".join(lines))
    assert {finding.code for finding in source.findings} == {"alias"}


@pytest.mark.parametrize("depth", [DEPTH_MAX + 2, 100_000])
def test_what_is_nested_too_deep_is_found(depth: int) -> None:
    source = parsed("[" * depth + "]" * depth)
    assert {finding.code for finding in source.findings} == {"too_deep"}


def test_a_depth_that_is_allowed_is_read() -> None:
    source = parsed("[" * DEPTH_MAX + "]" * DEPTH_MAX)
    assert source.findings == []


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    source = parse(PATH, b"a: 1\n" * (FILE_BYTES_MAX // 5 + 1))
    assert source.data is None
    assert [finding.code for finding in source.findings] == ["file_too_large"]


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ("名: 一\n".encode() + b"b: \xff\n", (2, 4)),
        ("name: 南门\n".encode("gb18030"), (1, 7)),
        ("a: 1\n".encode("utf-16"), (1, 1)),
    ],
)
def test_a_file_that_is_not_utf8_says_where(raw: bytes, place: tuple[int, int]) -> None:
    assert found(parse(PATH, raw).findings) == [("not_utf8", *place)]


def test_the_replacement_character_itself_is_a_character() -> None:
    assert parsed('a: "\ufffd"').data == {"a": "\ufffd"}


def test_a_control_character_says_where() -> None:
    assert found(parsed("a: 1\nb: x\x00y\n").findings) == [("syntax", 2, 5)]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n", "---\n"])
def test_an_empty_file_is_told(text: str) -> None:
    source = parsed(text)
    _, findings = validate(source, House)
    assert [finding.code for finding in findings] == ["empty"]


@pytest.mark.parametrize(
    "value",
    ["!!int ''", "!!int x", "!!bool maybe", "!!float ''", "!!timestamp soon", "2026-13-45", "!!python/name:os.system x",
     "!!binary abc", "!own x", "<<"],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_a_finding(value: str) -> None:
    source = parsed(f"a: 1\nb: {value}\n")
    assert found(source.findings) == [("bad_scalar", 2, 4)]


@pytest.mark.parametrize("key", ["[a]", "{a: 1}", "1.5", "null", "2026-01-01"])
def test_a_key_that_is_no_key_is_a_finding(key: str) -> None:
    assert found(parsed(f"a: 1\n? {key}\n: 2\n").findings) == [("bad_key", 2, 3)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_lines_are_counted_as_yaml_counts_them(end: str) -> None:
    (finding,) = parsed(end.join(["a: 1", "b: 2", "a: 3", ""])).findings
    assert (finding.line, finding.column, finding.excerpt) == (3, 1, "a: 3")


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    (finding,) = load(tmp_path / "absent.yaml").findings
    assert (finding.code, finding.line, finding.params) == ("absent", 1, {"folder": str(tmp_path)})
    assert found(load(tmp_path).findings) == [("unreadable", 1, 1)]


# --- data and model -----------------------------------------------------------------------------------


def check(text: str) -> list[tuple[str, int, int]]:
    content, findings = validate(parsed(text), House)
    assert (content is None) == bool(findings)
    return found(findings)


def test_a_good_file_gives_its_content() -> None:
    content, findings = validate(parsed("name: a\ndoors: [{name: b, relay: 4}]\n"), House)
    assert findings == []
    assert content == House(name="a", doors=[Door(name="b", relay=4)])


def test_everything_wrong_comes_out_in_one_run_in_the_files_order() -> None:
    text = "colour: a\ndoors:\n  - {name: b, relay: 5}\n  - name: 7\n    relay: x\n    colour: red\n"
    assert check(text) == [
        ("missing_key", 1, 1),
        ("unknown_key", 1, 1),
        ("too_large", 3, 22),
        ("wrong_type", 4, 11),
        ("wrong_type", 5, 12),
        ("unknown_key", 6, 5),
    ]


def test_two_keys_missing_from_one_place_are_two_findings() -> None:
    _, findings = validate(parsed("name: a\ndoors: [{}]\n"), House)
    assert [finding.params["key"] for finding in findings] == ["name", "relay"]


def test_the_members_of_a_union_speak_with_one_voice() -> None:
    assert check("name: a\ndoors: [{name: b, relay: 1, code: [x]}]\n") == [("wrong_type", 2, 35)]


def test_a_mistyped_key_is_one_mistake() -> None:
    _, findings = validate(parsed("nmae: a\ndoors: [{name: b, rely: 1}]\n"), House)
    assert [(finding.code, finding.params["nearest"]) for finding in findings] == [
        ("unknown_key", "name"),
        ("unknown_key", "relay"),
    ]


def test_a_key_that_is_only_somewhat_like_a_missing_one_is_a_mistake_of_its_own() -> None:
    """`nickname` is a guess worth a hint; who only deletes it would learn of the missing `name` a run later."""
    _, findings = validate(parsed("nickname: a\n"), House)
    assert [(finding.code, finding.params.get("nearest")) for finding in findings] == [
        ("missing_key", None),
        ("unknown_key", "name"),
    ]


@pytest.mark.parametrize(("wrong", "right"), [("NAME", "name"), ("pasword", "password"), ("zzz", ""), ("", "")])
def test_the_nearest_name_is_near(wrong: str, right: str) -> None:
    assert nearest(wrong, ["name", "password", "kind"]) == right


def test_an_item_with_a_mistake_is_still_an_item() -> None:
    assert check("name: a\nwindows: [1]\ndoors: []\n") == [("wrong_type", 2, 11)]
    assert check("name: a\nwindows: []\n") == [("too_few", 2, 10)]


def test_the_nearest_name_is_one_that_is_still_free() -> None:
    _, findings = validate(parsed("name: a\nnamee: b\npasword: c\n"), House)
    assert [finding.params.get("nearest") for finding in findings] == [None, "password"]


def test_a_file_that_is_no_mapping_is_told() -> None:
    assert check("- a\n- b\n") == [("wrong_type", 1, 1)]


# --- secrets ------------------------------------------------------------------------------------------

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


# --- anything -----------------------------------------------------------------------------------------


def must_answer(source: Source) -> None:
    _, findings = validate(source, House)
    everything_printed(findings)
    for finding in findings:
        assert 1 <= finding.line <= max(len(source.lines), 1)
        assert finding.column >= 1


def test_no_finding_lies_beyond_the_end_of_the_file() -> None:
    must_answer(parsed("---\n\ufeff"))


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "a",
            "name",
            "doors",
            "password",
            ":",
            ": ",
            "- ",
            "\n",
            "\n  ",
            "\n- ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "'",
            '"',
            "#",
            "&x ",
            "*x",
            "!!int ",
            "!!map ",
            "!t ",
            "|\n",
            ">\n",
            "? ",
            "<<: ",
            "%",
            "---\n",
            "...\n",
            "\t",
            "1",
            "0x",
            "1e9",
            "2026-02-30",
            "12:30",
            ".nan",
            "~",
            "\\",
            "\x85",
            "\u2028",
            "\ufeff",
            "\ufffd",
            "\x00",
            "门",
        ]
    ),
    max_size=30,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xef\xbb\xbfname: a")
def test_any_bytes_give_findings_or_data(raw: bytes) -> None:
    must_answer(parse(PATH, raw))


@settings(max_examples=500, deadline=None)
@given(FRAGMENTS)
def test_anything_that_looks_like_yaml_gives_findings_or_data(text: str) -> None:
    must_answer(parsed(text))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["name", "password", "kind", "doors", "other"]), VALUES))
def test_any_value_under_a_known_key_gives_findings_or_data(document: dict[str, object]) -> None:
    must_answer(parsed(yaml.safe_dump(document, allow_unicode=True)))


@pytest.mark.parametrize("path", [*profile_files(SHIPPED), *WRITTEN], ids=lambda path: path.name)
def test_both_parsers_of_yaml_build_the_same_tree(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert tree(yaml_syntax.compose(text)) == tree(yaml.compose(text, Loader=yaml.SafeLoader))


def tree(node: yaml.Node) -> tuple[object, ...]:
    value = node.value
    if isinstance(node, yaml.MappingNode):
        value = [(tree(key), tree(held)) for key, held in node.value]
    elif isinstance(node, yaml.SequenceNode):
        value = [tree(held) for held in node.value]
    places = [(mark.line, mark.column, mark.index) for mark in (node.start_mark, node.end_mark)]
    return type(node), node.tag, places, value
