"""What every page is given: language, theme, who is there and the way around."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aggregator.accounts import Principal, Role
from aggregator.api.campus import Campus
from aggregator.api.commands import RELEASERS
from aggregator.console import assets
from aggregator.console.icons import drawn, sprite, tab_icon
from wire.clock import utc_text
from wire.i18n import LANGUAGES, Texts, language_of

LANGUAGE_COOKIE: Final = "campus_lang"
THEME_COOKIE: Final = "campus_theme"
# Whom the stream of the live view is for.
WATCHERS: Final = (Role.WALL, Role.GUARD, Role.LEAD, Role.OPS, Role.DISTRICT, Role.ADMIN)
THEMES: Final = ("auto", "light", "dark")
_CSP: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the console. name: of its script; section: the menu entry it belongs to; key: leads to it after `g`;
    style: beside the one of all pages; keys: what its own keys do, as (key, name of the text).
    """

    name: str
    path: str
    roles: Sequence[Role]
    template: str = ""
    icon: str = ""
    section: str = ""
    key: str = ""
    style: str = ""
    keys: Sequence[tuple[str, str]] = ()
    status: int = 200

    @property
    def slug(self) -> str:
        """Its name within the key of a text."""
        return self.name.replace("-", "_")


_environment = Environment(
    loader=PackageLoader("aggregator.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip


def language(request: Request) -> str:
    """By cookie, else by what the browser asks for, else the campus' own."""
    chosen = _cookie(request, LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return language_of(request.headers.get("accept-language", "").split(",")[0].split(";")[0].strip())


def theme(request: Request) -> str:
    """By cookie, so that the first paint is right."""
    chosen = _cookie(request, THEME_COOKIE)
    return chosen if chosen in THEMES else "auto"


def _cookie(request: Request, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def render(
    request: Request,
    page: Page,
    menu: Sequence[Page],
    *,
    principal: Principal | None = None,
    data: Mapping[str, Any] | None = None,
) -> HTMLResponse:
    """The page as HTML. principal: absent before signing in. data: what the script starts with."""
    campus: Campus = request.app.state.campus
    chosen = language(request)
    texts = Texts(chosen)
    script = assets.script(page.name)
    nonce = secrets.token_urlsafe(16)
    boot = {
        "lang": chosen,
        "zone": campus.zone,
        "now": utc_text(campus.clock.wall_ns()),
        "build": assets.build_id(),
        "worker": f"/assets/{assets.worker().name}",
        "page": page.name,
        "user": None if principal is None else _user(principal),
        "texts": assets.words(chosen, script.texts),
        "data": dict(data or {}),
    }
    shown = [one for one in menu if principal is not None and principal.has(one.roles)]
    drawn_here = set[str]()

    def icon(name: str, part: str = "") -> Markup:
        drawn_here.add(name)
        return drawn(name, part)

    body = _environment.get_template(page.template or f"{page.name}.html").render(
        t=lambda key, **params: texts(f"console.{key}", **params),
        other=Texts(next(one for one in LANGUAGES if one != chosen)),
        lang=chosen,
        zone=campus.zone,
        params=request.path_params,
        theme=theme(request),
        nonce=nonce,
        page=page,
        menu=shown,
        campus=campus.display_name_en if chosen == "en" and campus.display_name_en else campus.display_name,
        principal=principal,
        boot=_embedded(boot),
        script=script.asset.name,
        styles=[assets.styles().name, *([assets.style(page.style).name] if page.style else [])],
        releasers=RELEASERS,
        on_duty=principal is not None and principal.has(RELEASERS),
        watches=principal is not None and principal.has(WATCHERS),
        roles=""
        if principal is None
        else " · ".join(texts(f"console.role.{role}") for role in sorted(principal.roles)),
        tab_icon=tab_icon,
        icon=icon,
        # Made last, of all that the page and its script draw.
        sprite=lambda: sprite(drawn_here | script.icons),
    )
    headers = {"Content-Security-Policy": _CSP.format(nonce=nonce), "Cache-Control": "no-store", "Vary": "Cookie"}
    return HTMLResponse(body, page.status, headers)


def _user(principal: Principal) -> dict[str, Any]:
    return {"name": principal.name, "roles": sorted(principal.roles), "people": principal.sees_people}


def _embedded(boot: Mapping[str, Any]) -> Markup:
    """JSON that may stand inside a script element."""
    text = json.dumps(boot, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704  escaped above
