import re

import pytest

from aggregator.console import assets
from aggregator.console.linking import LinkError, link, squeeze


def joined(entry: str = "pages/p.js", **modules: str) -> str:
    held = {name.replace("__", "/") + ".js": text for name, text in modules.items()}
    return link(entry, held.__getitem__)


def test_modules_are_joined_once_and_in_the_order_in_which_they_are_needed() -> None:
    script = joined(
        pages__p='import {b} from "../b.js";\nimport "../el/c.js";\nb();\n',
        b='import {a} from "./a.js";\nexport function b() {\n  return a;\n}\n',
        el__c='import {a} from "../a.js";\n// draws\nconst c = a + 1;\n',
        a="export const a = 1;\n",
    )
    assert script == "const a = 1;\nfunction b() {\nreturn a;\n}\nconst c = a + 1;\nb();\n"


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        ({"pages__p": 'import {x} from "../a.js";\n', "a": "export const a = 1;\n"}, "does not export x"),
        (
            {"pages__p": 'import {a} from "../a.js";\nconst b = 1;\n', "a": "export const a = 1;\nconst b = 2;\n"},
            "b is also",
        ),
        ({"pages__p": 'import "../a.js";\n', "a": 'import "./pages/p.js";\n'}, "imports itself"),
        ({"pages__p": 'import "../../a.js";\n'}, "out of the folder"),
        ({"pages__p": 'import a from "../a.js";\n'}, "cannot join"),
        ({"pages__p": "export default 1;\n"}, "cannot join"),
        ({"pages__p": "const {a, b} = window;\n"}, "cannot join"),
        ({"pages__p": "var a = 1;\n"}, "cannot join"),
        ({"pages__p": "const a = `one\n  two`;\n"}, "several lines"),
    ],
)
def test_what_cannot_be_joined_is_named(modules: dict[str, str], says: str) -> None:
    with pytest.raises(LinkError, match=says):
        joined(**modules)


def test_styles_lose_space_and_comments_and_nothing_else() -> None:
    assert squeeze("/* a */\n.a .b,\n.c > d { margin: 0 auto; width: calc(1px + 2px); }\n") == (
        ".a .b,.c > d{margin:0 auto;width:calc(1px + 2px);}"
    )


def test_every_page_of_the_console_can_be_joined() -> None:
    assert {"live", "sign-in", "set-up", "notice"} <= set(assets.pages())
    for page in assets.pages():
        script = assets.script(page)
        assert script.asset.body
        assert not re.search(rb"^(import|export)\b", script.asset.body, re.MULTILINE)


def test_a_page_gets_the_texts_and_icons_that_it_names_and_no_others() -> None:
    sign_in, live = assets.script("sign-in"), assets.script("live")
    assert "sign_in.slow" in sign_in.texts
    assert "unlock.sending" in live.texts
    assert "alarm.kind.door_forced" in live.texts
    assert "unlock.sending" not in sign_in.texts
    assert "qr" in live.icons
    assert "qr" not in sign_in.icons


def test_a_text_or_an_icon_that_we_do_not_have_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"no\.such"):
        assets.text_keys('t("no.such")')
    with pytest.raises(KeyError, match="no-such"):
        assets.icon_names('icon("no-such")')
    with pytest.raises(KeyError, match="no-such"):
        assets.icon_names('setIcon(refs.icon, "no-such")')
    assert assets.icon_names('const ICONS_OF = { a: "door", b: "elsewhere" };') == {"door"}


def test_assets_are_named_by_what_they_hold() -> None:
    names = set(assets.by_name())
    assert {name.partition("-")[0] for name in names} >= {"console", "worker", "live"}
    for name, asset in assets.by_name().items():
        assert re.fullmatch(r"[a-z-]+-[0-9a-f]{12}\.(js|css)", name)
        assert len(asset.packed) < len(asset.body)
    assert len(assets.build_id()) == 12
