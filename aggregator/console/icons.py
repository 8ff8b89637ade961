"""Icons as SVG paths on a grid of 24, drawn with a line of 1.75. Emoji need a font that a machine may not have."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

ICONS: Final[dict[str, str]] = {
    "alarm": "M6 10a6 6 0 0 1 12 0c0 5 2 6.5 2 6.5H4S6 15 6 10M10 20a2.2 2.2 0 0 0 4 0",
    "auto": "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 3v18M12 7h5.5M12 11h8.5M12 15h8M12 19h5",
    "back": "M19 12H5M11 6l-6 6 6 6",
    "ban": "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M5.8 5.8l12.4 12.4",
    "box": "M4 7l8-4 8 4v10l-8 4-8-4zM4 7l8 4 8-4M12 11v10",
    "camera": "M3 8h4l1.5-2.5h7L17 8h4v11H3zM12 10a3.2 3.2 0 1 0 0 6.4a3.2 3.2 0 0 0 0-6.4",
    "card": "M3 6h18v12H3zM3 10h18M7 14.5h4",
    "chart": "M4 4v16h16M7 15l4-5 3.5 3L20 7",
    "check": "M5 12.5l4.5 4.5L19 7.5",
    "chevron": "M9 5l7 7-7 7",
    "clock": "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 7v5.2l3.4 2",
    "close": "M6 6l12 12M18 6L6 18",
    "device": "M6 6h12v12H6zM10 10h4v4h-4zM9 3v3M15 3v3M9 18v3M15 18v3M3 9h3M3 15h3M18 9h3M18 15h3",
    "door": "M6 21V4h12v17M3.5 21h17M14.5 12.5v1",
    "door-alert": "M4 21V4h9v5M2.5 21H12M9.5 12.5v1M17.5 11l5 9.5h-10zM17.5 14.5v2.6M17.5 18.9v.2",
    "door-clock": "M4 21V4h10v6M2.5 21H11M10 12.5v1M17 12.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M17 15v2.2l1.5 1",
    "door-open": "M13 3.5L5 5v14l8 1.5zM13 5h5v14h-5M2.5 19H5M18 19h3.5M10 12v1",
    "down": "M12 4v12M6.5 11l5.5 5.5 5.5-5.5M5 20h14",
    "events": "M4 6h10M4 11h7M4 16h6M16 12a3.7 3.7 0 1 0 0 7.4a3.7 3.7 0 0 0 0-7.4M18.7 18.5L21.5 21.3",
    "face": "M4 8V5.5A1.5 1.5 0 0 1 5.5 4H8M16 4h2.5A1.5 1.5 0 0 1 20 5.5V8M20 16v2.5a1.5 1.5 0 0 1-1.5 1.5H16"
    "M8 20H5.5A1.5 1.5 0 0 1 4 18.5V16M9 9.5v1M15 9.5v1M9 14.5c1.8 1.8 4.2 1.8 6 0",
    "finger": "M7 19c-1-2-1.5-4-1.5-6.5a6.5 6.5 0 0 1 13 0c0 2-.3 4-.9 6M9.5 20.5c-.8-2.5-1-5-1-8a3.5 3.5 0 0 1 7 0"
    "c0 3-.3 5.5-1 8M12 12c.1 3 0 6-.3 9",
    "fire": "M12 3c.5 4 5.5 5.5 5.5 11a5.5 5.5 0 0 1-11 0c0-2.5 1.2-4 2.5-5.5c.2 1.7.8 2.5 1.6 3C10.2 8 10.5 5.5 12 3",
    "flag": "M5 21V4M5 5c4-2.5 7 2.5 13 0v9c-6 2.5-9-2.5-13 0",
    "globe": "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M3.5 9.5h17M3.5 14.5h17M12 3c-5 5-5 13 0 18M12 3c5 5 5 13 0 18",
    "hand": "M7 12V6.5a1.5 1.5 0 0 1 3 0V11V4.5a1.5 1.5 0 0 1 3 0V11V5.5a1.5 1.5 0 0 1 3 0V12"
    "V8.5a1.5 1.5 0 0 1 3 0V15a6 6 0 0 1-6 6h-1.5a6 6 0 0 1-4.7-2.3L4 14.5c1-1.2 2-1 3 .3",
    "history": "M4 5v4.5h4.5M4.6 9.3A8.3 8.3 0 1 1 4 14M12 8v4.5l3 1.8",
    "info": "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 11v5.5M12 7.5v.2",
    "key": "M8 11a4 4 0 1 0 0 8a4 4 0 0 0 0-8M11 12.5L19.5 4M16 7.5l3 3M13.5 10l2 2",
    "keypad": "M6 3h12v18H6zM9.5 7v.2M12 7v.2M14.5 7v.2M9.5 11v.2M12 11v.2M14.5 11v.2M9.5 15v.2M12 15v.2M14.5 15v.2",
    "link-off": "M9.5 14.5l-2 2a3.5 3.5 0 0 1-5-5l3-3M14.5 9.5l2-2a3.5 3.5 0 0 1 5 5l-3 3M9 4l1 2.5M4 9l2.5 1"
    "M15 20l-1-2.5M20 15l-2.5-1",
    "live": "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12M12 9a3 3 0 1 0 0 6a3 3 0 0 0 0-6",
    "lock": "M5.5 11h13v9.5h-13zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11M12 15v2",
    "money": "M3 6.5h18v11H3zM12 9.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5M6.5 12v.2M17.5 12v.2",
    "moon": "M20 14.5A8.3 8.3 0 0 1 9.5 4a8.3 8.3 0 1 0 10.5 10.5",
    "more": "M5.5 12v.2M12 12v.2M18.5 12v.2",
    "move": "M4 12h12M12 7.5L16.5 12 12 16.5M20 5v14",
    "pause": "M8.5 5v14M15.5 5v14",
    "play": "M7.5 5v14l11-7z",
    "plug-off": "M9 3v4M15 3v4M7 7h10v3.5M7 7v4a5 5 0 0 0 5 5 4.8 4.8 0 0 0 2.5-.7M12 16v5M4 4l16 16",
    "qr": "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2.5v2.5M20 14v6h-4M16.5 20H14v-1",
    "question": "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M9.5 9.5a2.5 2.5 0 1 1 3.7 2.2c-.9.5-1.2 1-1.2 1.8M12 16.5v.2",
    "shield": "M12 3l7.5 2.5v6c0 4.5-3 7.7-7.5 9.5-4.5-1.8-7.5-5-7.5-9.5v-6zM8.5 12l2.5 2.5 4.5-4.5",
    "sign-out": "M14 4H5v16h9M10 12h11M17 8l4 4-4 4",
    "sound": "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
    "sound-off": "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
    "sun": "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2.5v2.5M12 19v2.5M2.5 12H5M19 12h2.5M5.3 5.3L7 7M17 17l1.7 1.7"
    "M18.7 5.3L17 7M7 17l-1.7 1.7",
    "table": "M3.5 5h17v14h-17zM3.5 10h17M3.5 14.5h17M9.5 10v9",
    "unlock": "M5.5 11h13v9.5h-13zM8.5 11V7.5a3.5 3.5 0 0 1 6.7-1.4M12 15v2",
    "user": "M12 4a4 4 0 1 0 0 8a4 4 0 0 0 0-8M4.5 20.5c.6-4 3.5-6 7.5-6s6.9 2 7.5 6",
    "warning": "M12 3.5l9.5 17h-19zM12 10v5M12 17.8v.2",
}


def sprite(names: Iterable[str]) -> Markup:
    """The named icons as symbols of one hidden SVG, for `<use href="#i-…">`."""
    symbols = (
        Markup('<symbol id="i-{}" viewBox="0 0 24 24"><path d="{}"/></symbol>').format(name, ICONS[name])
        for name in sorted(set(names))
    )
    return Markup('<svg class="sprite" aria-hidden="true" width="0" height="0">{}</svg>').format(Markup().join(symbols))


def drawn(name: str, part: str = "") -> Markup:
    """One use of an icon that the page's sprite holds. part: what its script calls it."""
    called = Markup(' data-part="{}"').format(part) if part else ""
    return Markup('<svg class="i" aria-hidden="true"{}><use href="#i-{}"/></svg>').format(called, name)


def tab_icon(*, alarm: bool = False) -> str:
    """The icon of the browser's tab as a data URL; with a dot while somebody has to look."""
    dot = '<circle cx="18.5" cy="5.5" r="5.5" fill="#d11f2a" stroke="#fff" stroke-width="1.5"/>' if alarm else ""
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="M12 2l8.5 2.8v6.7c0 5-3.4 8.5-8.5 '
        '10.5-5.100-2-8.5-5.5-8.5-10.5V4.8z" fill="#27457a"/><path d="M8 12l3 3 5-5.5" fill="none" stroke="#fff" '
        f'stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/>{dot}</svg>'
    )
    return f"data:image/svg+xml,{quote(drawing)}"
