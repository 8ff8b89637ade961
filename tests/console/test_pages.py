"""The pages as a browser gets them, without a browser."""

import gzip
import json
import re

import pytest

from aggregator.accounts import EVERYWHERE, Principal, Role
from aggregator.api.guard import COOKIE
from aggregator.console import assets
from aggregator.console.entrance import way_back
from aggregator.console.pages import PAGES, landing
from tests.api.rig import PASSWORD, Rig

HTML = {"Accept": "text/html"}


def boot(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="boot">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, object] = json.loads(found.group(1))
    return data


async def test_the_first_visit_leads_to_the_first_administrator(rig: Rig) -> None:
    async with rig.client(**HTML) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
        answer = await client.get("/sign-in")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/set-up")
        assert (await client.get("/set-up")).status_code == 200
        await rig.office.add_user("chen", PASSWORD, [Role.ADMIN], EVERYWHERE)
        answer = await client.get("/set-up")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")


async def test_signing_in_leads_back_to_where_one_wanted(rig: Rig) -> None:
    await rig.office.add_user("wang", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client(**HTML) as client:
        answer = await client.get("/live?x=1%2F2")
        assert answer.headers["Location"] == "/sign-in?next=/live%3Fx%3D1%252F2"
        page = await client.get(answer.headers["Location"])
        assert boot(page.text)["data"] == {"next": "/live?x=1%2F2"}
        await client.post("/api/v1/session", json={"name": "wang", "password": PASSWORD})
        again = await client.get("/sign-in?next=/live")
        assert (again.status_code, again.headers["Location"]) == (303, "/live")
        assert (await client.get("/")).headers["Location"] == "/live"


@pytest.mark.parametrize(
    ("wanted", "to"),
    [
        (None, "/"),
        ("", "/"),
        ("/alarms?state=new", "/alarms?state=new"),
        ("//evil.test/", "/"),
        ("/\\evil.test", "/"),
        ("https://evil.test/", "/"),
        ("live", "/"),
    ],
)
def test_signing_in_never_leads_to_another_site(wanted: str | None, to: str) -> None:
    assert way_back(wanted) == to


async def test_a_page_is_of_one_origin_and_kept_nowhere(rig: Rig) -> None:
    async with rig.signed_in("wang", Role.GUARD) as client:
        answer = await client.get("/live", headers=HTML)
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    nonces = set(re.findall(r'nonce="([^"]+)"', answer.text))
    assert len(nonces) == 1
    assert f"script-src 'nonce-{nonces.pop()}'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    addresses = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert len(addresses) > 5
    assert [one for one in addresses if not one.startswith(("/", "#", "data:image/svg+xml,"))] == []
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text
    async with rig.signed_in("li", Role.GUARD) as client:
        assert (await client.get("/live")).headers["Content-Security-Policy"] != policy


async def test_what_a_page_embeds_cannot_end_its_script(rig: Rig) -> None:
    await rig.office.add_user("wang", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client(**HTML) as client:
        page = (await client.get("/sign-in", params={"next": "/</script><b>&"})).text
    assert "</script><b>" not in page
    assert boot(page)["data"] == {"next": "/</script><b>&"}


async def test_assets_are_kept_for_ever_and_packed(rig: Rig) -> None:
    asset = assets.styles()
    async with rig.client() as client:
        client.headers["Accept-Encoding"] = "identity"
        plain = await client.get(f"/assets/{asset.name}")
        packed = await client.get(f"/assets/{asset.name}", headers={"Accept-Encoding": "gzip"})
        gone = await client.get("/assets/console-000000000000.css")
    assert plain.headers["Cache-Control"] == packed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "immutable" in plain.headers["Cache-Control"]
    assert plain.content == packed.content == asset.body
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(asset.packed) == asset.body
    assert gone.status_code == 404
    assert gone.headers["Cache-Control"] == "no-store"


async def test_the_language_is_the_cookies_then_the_browsers_then_chinese(rig: Rig) -> None:
    await rig.office.add_user("wang", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client() as client:

        async def language(**headers: str) -> str:
            page = (await client.get("/sign-in", headers=headers)).text
            found = re.search(r'<html lang="([^"]+)"', page)
            assert found is not None
            assert boot(page)["lang"] == found.group(1)
            return found.group(1)

        assert await language() == "zh-CN"
        english = {"accept-language": "en-GB,en;q=0.9"}
        assert await language(**english) == "en"
        assert await language(cookie="campus_lang=zh-CN", **english) == "zh-CN"
        assert await language(cookie="campus_lang=fr", **english) == "en"
        assert await language(cookie='a="') == "zh-CN"


async def test_the_theme_is_the_cookies_so_that_the_first_paint_is_right(rig: Rig) -> None:
    await rig.office.add_user("wang", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client() as client:
        for cookie, theme in (("", "auto"), ("campus_theme=dark", "dark"), ("campus_theme=x", "auto")):
            page = await client.get("/sign-in", headers={"cookie": cookie})
            assert f'data-theme="{theme}"' in page.text


@pytest.mark.parametrize("role", list(Role))
async def test_the_menu_names_what_the_role_may_open(rig: Rig, role: Role) -> None:
    async with rig.signed_in("wang", role) as client:
        client.headers["Accept"] = "text/html"
        opened = {
            page.path for page in PAGES if "{" not in page.path and (await client.get(page.path)).status_code == 200
        }
        assert opened == {page.path for page in PAGES if role in page.roles and "{" not in page.path}
        for path in opened:
            page = (await client.get(path)).text
            rail = page.split('<nav class="rail"')[1].split("</nav>")[0]
            assert set(re.findall(r'<a href="([^"]+)"', rail)) == {
                one.path for one in PAGES if one.icon and role in one.roles
            }
            assert rail.count('aria-current="page"') == 1
        for page in PAGES:
            if role not in page.roles and "{" not in page.path:
                refused = await client.get(page.path)
                assert refused.status_code == 403
                assert refused.headers["Content-Type"].startswith("text/html")


def test_every_role_begins_at_a_page_that_it_may_open() -> None:
    for role in Role:
        principal = Principal("user", "wang", frozenset({role}), EVERYWHERE)
        page = next(page for page in PAGES if page.path == landing(principal))
        assert role in page.roles


async def test_an_unknown_address_is_a_page_for_people_and_a_problem_for_programs(rig: Rig) -> None:
    async with rig.client() as client:
        page = await client.get("/nowhere", headers=HTML)
        problem = await client.get("/nowhere")
        api = await client.get("/api/v1/nowhere", headers=HTML)
    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (404, "text/html")
    assert (problem.status_code, problem.json()["code"]) == (404, "not_found")
    assert (api.status_code, api.json()["code"]) == (404, "not_found")


async def test_a_session_that_ended_leads_to_the_sign_in_page(rig: Rig) -> None:
    async with rig.signed_in("wang", Role.GUARD) as client:
        assert (await client.get("/live")).status_code == 200
        await rig.office.sign_out(client.cookies[COOKIE])
        answer = await client.get("/live")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/live")
