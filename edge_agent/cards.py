"""One number for one card, whichever reader saw it. Pure.

The same four bytes are printed on a card, and said by readers, as `04A3C511`, as `0077841681`, as `163,50449`, byte by
byte in either order, and often cut to their last 24 or 32 bits. A profile that declares how its device writes them
gets the normal form:

    <technology>:<length in bytes>:<hex in the order in which the card says it>      em4100:5:0400A3C511

Without a declaration a number keeps its notation and only its spelling is made one.
"""

import re
from typing import Final

from device_profiles.model import CardRule

_SEPARATORS: Final = re.compile(r"[\s:.\-]")
_HEX: Final = re.compile(r"[0-9A-F]+\Z")
_DECIMAL: Final = re.compile(r"[0-9]{1,25}\Z")
_WIEGAND: Final = re.compile(r"([0-9]{1,5})[,/ ]([0-9]{1,5})\Z")


def card_text(number: str) -> str:
    """One spelling for a card number whose notation the profile does not declare.

    Without separators, in upper case; a decimal number without leading zeros: `0012345678` and `12345678` are one card,
    so are `04:a1:b2:c3` and `04A1B2C3`.
    """
    plain = _SEPARATORS.sub("", number).upper()
    return plain.lstrip("0") or "0" if plain.isdigit() else plain


def normal_card(number: str, rule: CardRule) -> str:
    """The normal form. A number that is not written as the rule says keeps its spelling: a card that nobody can name is
    worth more than a card that is named wrongly.
    """
    value, length = _value(number, rule.notation), _length(number, rule)
    if value is None or length is None or value >= 1 << (8 * length):
        return card_text(number)
    data = value.to_bytes(length, "big")
    if rule.byte_order == "reversed":
        data = data[::-1]
    if rule.truncate_to is not None:
        data = data[-(rule.truncate_to // 8) :]
    return f"{rule.technology}:{len(data)}:{data.hex().upper()}"


def _length(number: str, rule: CardRule) -> int | None:
    if isinstance(rule.length, int):
        return rule.length
    whole, half = divmod(len(_SEPARATORS.sub("", number)), 2)
    return whole if not half and whole in rule.length else None


def _value(number: str, notation: str) -> int | None:
    if notation == "wiegand":
        match = _WIEGAND.match(number.strip())
        if match is None:
            return None
        facility, low = map(int, match.groups())
        return facility << 16 | low if low < 1 << 16 else None
    plain = _SEPARATORS.sub("", number).upper()
    if notation == "hex":
        return int(plain, 16) if _HEX.match(plain) else None
    return int(plain) if _DECIMAL.match(plain) else None
