import ast
import json
import re
import string
from importlib.resources import files

import pytest

from tests.wire.sources import (
    console_keys,
    console_patterns,
    console_texts,
    console_words,
    literals,
    lookups,
    patterns,
)
from wire.i18n import DEFAULT_LANGUAGE, LANGUAGES, Texts, catalog, environment_language, language_of

CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u303f]")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def base(key: str) -> str:
    """The key that callers use for one that has variants by count."""
    return key.removesuffix("_one").removesuffix("_other")


def keys() -> set[str]:
    return set(catalog("zh-CN"))


def groups() -> set[str]:
    return {key.partition(".")[0] for key in keys()}


def test_both_languages_have_the_same_keys() -> None:
    assert set(catalog("en")) == keys()


def test_both_languages_of_a_text_take_the_same_parameters() -> None:
    for key in keys():
        assert placeholders(catalog("zh-CN")[key]) == placeholders(catalog("en")[key]), key
        assert all(name.isidentifier() for name in placeholders(catalog("en")[key])), key


def test_every_text_says_something_in_its_language() -> None:
    for key in keys():
        assert catalog("zh-CN")[key].strip(), key
        assert catalog("en")[key].strip(), key
        assert not CJK.search(catalog("en")[key]), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalog_is_sorted_and_names_no_key_twice(language: str) -> None:
    pairs = json.loads((files("wire.i18n") / f"{language}.json").read_text(), object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert names == sorted(set(names))


def test_a_text_with_variants_by_count_has_both_and_no_third() -> None:
    counted = {base(key) for key in keys() if key != base(key)}
    for name in counted:
        assert {f"{name}_one", f"{name}_other"} <= keys(), name
    assert not counted & keys()


def called() -> list[tuple[str, str, ast.Call]]:
    """(where, key, call) of every look-up with a key that stands in the code."""
    return [
        (f"{path}:{call.lineno}", call.args[0].value, call)
        for path, call in lookups()
        if isinstance(call.args[0], ast.Constant)
    ]


def test_every_text_that_is_looked_up_exists() -> None:
    known = keys() | {base(key) for key in keys() if key.endswith("_other")}
    assert [(where, key) for where, key, _ in called() if key not in known] == []


def test_every_look_up_gives_what_its_text_needs() -> None:
    wrong = []
    for where, key, call in called():
        given = {one.arg for one in call.keywords}
        variants = [text for name, text in catalog("zh-CN").items() if name == key or base(name) == key]
        needed = set().union(*map(placeholders, variants)) if variants else set()
        if None not in given and not needed <= given:
            wrong.append((where, key, sorted(needed - given)))
    assert wrong == []


def test_every_text_is_used() -> None:
    written = {node.value for _, node in literals()} | console_words()
    made = [*patterns(groups()), *console_patterns()]

    def used(key: str) -> bool:
        if key in written or base(key) in written:
            return True
        # A key made by an f-string is used if what is filled in is written somewhere, too.
        fits = [match for pattern in made for name in (key, base(key)) if (match := pattern.fullmatch(name))]
        words = [".".join(match.groups()).split(".") for match in fits]
        return any(all(word in written or word.isdigit() for word in filled) for filled in words)

    assert sorted(key for key in keys() if not used(key)) == []


def test_every_family_of_keys_that_is_made_in_code_has_members() -> None:
    for pattern in [*patterns(groups()), *console_patterns()]:
        assert any(pattern.fullmatch(key) for key in keys()), pattern.pattern


def test_no_chinese_stands_in_code() -> None:
    assert [f"{path}:{node.lineno}" for path, node in literals() if CJK.search(node.value)] == []
    assert [str(path) for path, text in console_texts().items() if CJK.search(text)] == []


def test_every_text_that_a_page_names_exists() -> None:
    known = keys() | {base(key) for key in keys()}
    assert len(console_keys()) > 50
    assert console_keys() - known == set()


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh-CN", "zh-CN"),
        ("zh_CN.UTF-8", "zh-CN"),
        ("zh-Hant-TW", "zh-CN"),
        ("ZH", "zh-CN"),
        ("en_GB.UTF-8", "en"),
        ("de", "en"),
        ("C", "en"),
        ("C.UTF-8", "en"),
        ("", DEFAULT_LANGUAGE),
        (None, DEFAULT_LANGUAGE),
    ],
)
def test_the_nearest_language_is_taken(tag: str | None, language: str) -> None:
    assert language_of(tag) == language


def test_the_terminals_language_is_looked_for_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CAMPUS_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert environment_language() == DEFAULT_LANGUAGE
    for name, tag in zip(reversed(names), ("en_GB", "zh_CN", "en", "zh-CN"), strict=True):
        monkeypatch.setenv(name, tag)
        assert environment_language() == language_of(tag)


def test_an_unknown_key_language_or_a_missing_parameter_is_an_error() -> None:
    with pytest.raises(KeyError):
        Texts("en")("no.such.text")
    with pytest.raises(KeyError):
        Texts("fr")
    with pytest.raises(KeyError):
        Texts("en")("check.ok")


def test_english_counts_and_chinese_need_not() -> None:
    texts = Texts("en")
    one, many = texts("check.summary", path="x", count=1), texts("check.summary", path="x", count=2)
    assert one.replace("1", "2") != many
    assert texts.has("check.summary")
    assert not texts.has("check.nothing")
