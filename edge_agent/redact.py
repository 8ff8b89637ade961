"""Makes foreign bytes fit to be kept for a person who looks for a fault, and unfit to tell who passed a door.

    {"operator":"RecPush","info":{"customId":"20260001","personName":"李雷","pic":"data:image/jpeg;base64,/9j/4AA…
    {"operator":"RecPush","info":{"customId":"00000000","personName":"xx","pic":"aaaa:aaaaa/aaaa;aaaaaa,…

The shape stays: punctuation, lengths, which keys there are, where the text breaks off. The content goes: a letter
becomes `a`, a digit `0`, any other character `x`, a long run `…`. Keys stay readable when they look like identifiers,
and so do values of the keys that the caller names as harmless. Text that is no JSON has no keys: all of it is masked.
"""

import re
from typing import Final

HEAD_BYTES_MAX: Final = 512

# More of the input is never looked at, so a picture of megabytes costs nothing.
_LOOK_AT_BYTES: Final = 4 * HEAD_BYTES_MAX
_RUN_MAX: Final = 32

_KEY = re.compile(r'"([A-Za-z_][A-Za-z0-9_]{0,31})"(\s*:\s*)')
# A code, a short number, a time; no blank between letters, so no name of two words.
_PLAIN_VALUE = re.compile(r'"[A-Za-z0-9_.\-]{0,24}"|"[0-9/:T+\- ]{8,25}"|-?[0-9]{1,20}(?=[,}\s])')
_LONG_RUN = re.compile(rf"[a0x+/=_\-]{{{_RUN_MAX + 1},}}")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)


def redact(raw: bytes, harmless: frozenset[str] = frozenset()) -> bytes:
    """The head of raw in its redacted form, printable ASCII with `…` as UTF-8, at most HEAD_BYTES_MAX bytes.

    harmless: keys whose values may stay when they are a code, a short number or a time.
    """
    text = raw[:_LOOK_AT_BYTES].decode("utf-8", errors="replace")
    parts: list[str] = []
    at = 0
    while at < len(text):
        if key := _KEY.match(text, at):
            parts.append(key.group())
            at = key.end()
            value = _PLAIN_VALUE.match(text, at) if key[1] in harmless else None
            if value:
                parts.append(value.group())
                at = value.end()
        elif string := _STRING.match(text, at):
            parts.append(_masked(string.group()))
            at = string.end()
        else:
            parts.append(_masked(text[at]))
            at += 1
    return _LONG_RUN.sub("…", "".join(parts)).encode()[:HEAD_BYTES_MAX].decode(errors="ignore").encode()


def _masked(text: str) -> str:
    return "".join(map(_mask, text))


def _mask(character: str) -> str:
    if not character.isascii():
        return "x"
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "a"
    return character if character.isprintable() else "."
