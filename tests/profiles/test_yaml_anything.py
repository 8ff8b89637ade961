"""Whatever stands in a file: findings or data, never an exception; and both parsers build the same tree."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from device_profiles import yaml_syntax
from device_profiles.catalogue import SHIPPED, profile_files
from device_profiles.yaml_source import Source, parse, validate
from tests.profiles.house import PATH, House, everything_printed, parsed

PROJECT = Path(__file__).parents[2]
WRITTEN = sorted([*PROJECT.glob("*/samples/*.yaml"), *PROJECT.glob("tests/settings/ten*/*.yaml")])


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
