"""A file a person wrote, however it was written: findings at their place or data, never an exception."""

from pathlib import Path

import pytest

from device_profiles.findings import nearest
from device_profiles.yaml_source import DEPTH_MAX, FILE_BYTES_MAX, load, parse, validate
from tests.profiles.house import PATH, Door, House, found, parsed
from wire.i18n import Texts

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
