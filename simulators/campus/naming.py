"""What the demo's school calls its devices and the places where they hang, in both languages."""

from typing import Final

from wire.i18n import Texts

_ZH: Final = Texts("zh-CN")
_EN: Final = Texts("en")


def in_both_languages(key: str, **params: object) -> tuple[str, str]:
    """A text in Chinese and in English, as settings hold names."""
    return _ZH(key, **params), _EN(key, **params)


def place_names(place: str) -> tuple[str, str]:
    """A place of the school, such as `canteen`."""
    return in_both_languages(f"sim.demo.place.{place}")


def named(kind: str, place: str, number: int = 1) -> dict[str, str]:
    """The names of a device as its settings hold them. kind: `door`, `lane`, `meter` …; number: among those of its kind
    at this place.
    """
    zh, en = place_names(place)
    return {
        "display_name": _ZH(f"sim.demo.device.{kind}", place=zh, number=number),
        "display_name_en": _EN(f"sim.demo.device.{kind}", place=en, number=number),
        "place": zh,
    }
