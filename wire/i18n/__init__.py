"""Texts a person sees, in Chinese and English, from `zh-CN.json` and `en.json` beside this file.

Keys are flat and dotted (`check.unknown_key`); placeholders are `{name}`. English may carry `_one` and `_other`
variants, chosen by the parameter `count`. Servers send codes and parameters; whoever shows a person something looks
the text up here.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

LANGUAGES: Final = ("zh-CN", "en")
DEFAULT_LANGUAGE: Final = "zh-CN"


@cache
def catalog(language: str) -> Mapping[str, str]:
    """All texts of one language. Raises KeyError for a language we do not have."""
    if language not in LANGUAGES:
        raise KeyError(language)
    text = (files("wire.i18n") / f"{language}.json").read_text(encoding="utf-8")
    entries: dict[str, str] = json.loads(text)
    return entries


def language_of(tag: str | None) -> str:
    """The nearest of our languages to a BCP 47 tag or a POSIX locale (`zh_CN.UTF-8`, `en-GB`, `C`).

    An absent or empty tag gives the default; any tag that is not Chinese gives English.
    """
    if not tag:
        return DEFAULT_LANGUAGE
    return "zh-CN" if tag.lower().startswith("zh") else "en"


def environment_language() -> str:
    """The language of this terminal: CAMPUS_LANG, LC_ALL, LC_MESSAGES, LANG, in that order."""
    for name in ("CAMPUS_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return language_of(os.environ[name])
    return DEFAULT_LANGUAGE


class Texts:
    """Looks texts up in one language."""

    def __init__(self, language: str | None = None) -> None:
        """language: `zh-CN` or `en`; absent: the terminal's."""
        self.language = language or environment_language()
        self._entries = catalog(self.language)

    def __call__(self, key: str, /, **params: object) -> str:
        """The text with its placeholders filled. Raises KeyError for an unknown key or a missing parameter."""
        entries = self._entries
        if key not in entries and "count" in params:
            key = f"{key}_one" if params["count"] == 1 and f"{key}_one" in entries else f"{key}_other"
        return entries[key].format(**params)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self._entries or f"{key}_other" in self._entries
