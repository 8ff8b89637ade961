"""A door is opened with a reason, once, and nothing is said of it that its controller has not said."""

import pytest
from playwright.sync_api import expect

from tests.console.browser.conftest import Sit
from tests.console.browser.desk import Desk
from tests.console.site import Site

pytestmark = pytest.mark.peer


@pytest.fixture
def at_door(sit: Sit, site: Site) -> Desk:
    """The dialog of the east gate, open."""
    site.controller.commands.clear()
    desk = sit("guard", lang="en")
    desk.open("/live")
    desk.door("face-01").get_by_role("button").click()
    expect(desk.dialog.locator("h2")).to_have_text("Unlock East gate")
    return desk


def posted(desk: Desk) -> list[str]:
    return [request.url for request in desk.requests if request.method == "POST" and request.url.endswith("/commands")]


def test_without_a_reason_nothing_is_sent(at_door: Desk, site: Site) -> None:
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog.locator(".phase")).to_have_text("Choose or write a reason first")
    at_door.dialog.locator("input[name=free]").fill("x")
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog.locator(".phase")).to_have_text("Choose or write a reason first")
    assert posted(at_door) == []
    at_door.page.keyboard.press("Escape")
    expect(at_door.dialog).to_have_count(0)
    expect(at_door.door("face-01").get_by_role("button")).to_be_focused()


def test_what_the_controller_confirms_is_said_with_its_time(at_door: Desk, site: Site) -> None:
    at_door.page.keyboard.press("1")
    at_door.dialog.locator("input[name=free]").fill("parent of class 3")
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog).to_have_attribute("data-phase", "confirmed")
    expect(at_door.dialog.locator(".phase")).to_contain_text("the controller confirmed within")
    (command,) = site.controller.commands
    assert (command.device, command.name, command.operator) == ("gate-1/face-01", "AccessDoor", "guard")
    assert command.reason == "Registered visitor · parent of class 3"
    expect(at_door.dialog.get_by_role("button", name="Try again")).to_be_hidden()
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog).to_have_count(0)
    assert len(posted(at_door)) == 1


def test_nothing_is_said_to_be_open_before_the_controller_says_so(at_door: Desk, site: Site) -> None:
    site.controller.mode = "take"
    at_door.page.keyboard.press("2")
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog).to_have_attribute("data-phase", "taken")
    assert "nlocked" not in at_door.dialog.locator(".phase").inner_text()
    expect(at_door.dialog.locator("button[type=submit]")).to_be_disabled()
    site.finish("succeeded")
    expect(at_door.dialog).to_have_attribute("data-phase", "confirmed")


@pytest.mark.parametrize(
    ("mode", "phase", "says"),
    [
        ("unknown", "unconfirmed", "Unconfirmed: the command went out"),
        ("expire", "unconfirmed", "Not done: the command ran out"),
        ("reject", "refused", "The controller refused"),
    ],
)
def test_what_is_not_confirmed_is_said_as_that_and_may_be_tried_again(
    at_door: Desk, site: Site, mode: str, phase: str, says: str
) -> None:
    site.controller.mode = mode
    at_door.page.keyboard.press("3")
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog).to_have_attribute("data-phase", phase)
    expect(at_door.dialog.locator(".phase")).to_contain_text(says)
    site.controller.mode = "confirm"
    at_door.dialog.get_by_role("button", name="Try again").click()
    expect(at_door.dialog).to_have_attribute("data-phase", "confirmed")
    assert len({command.id for command in site.controller.commands}) == 2


def test_a_box_that_is_away_is_said_at_once_and_nothing_is_sent(at_door: Desk, site: Site) -> None:
    site.leave()
    at_door.page.keyboard.press("4")
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog).to_have_attribute("data-phase", "refused")
    expect(at_door.dialog.locator(".phase")).to_contain_text("The device is offline")
    assert site.controller.commands == []


def test_who_may_no_longer_open_it_is_told_so(at_door: Desk, site: Site) -> None:
    site.set_roles("guard", "ops")
    try:
        at_door.page.keyboard.press("1")
        at_door.page.keyboard.press("Enter")
        expect(at_door.dialog.locator(".phase")).to_have_text("Your role may not unlock this door.")
        assert site.controller.commands == []
        expect(at_door.dialog.get_by_role("button", name="Try again")).to_be_hidden()
    finally:
        site.set_roles("guard", "guard")


def test_a_double_enter_sends_one_command(at_door: Desk, site: Site) -> None:
    at_door.page.keyboard.press("1")
    at_door.page.evaluate(
        """() => {
          const form = document.querySelector("dialog[open] form");
          form.requestSubmit();
          form.requestSubmit();
        }"""
    )
    expect(at_door.dialog).to_have_attribute("data-phase", "confirmed")
    assert len(posted(at_door)) == 1
    assert len(site.controller.commands) == 1


def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(at_door: Desk, site: Site) -> None:
    keys: list[str] = []

    def lose_first(route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    at_door.page.route("**/api/v1/commands", lose_first)
    at_door.page.keyboard.press("1")
    at_door.page.keyboard.press("Enter")
    expect(at_door.dialog.locator(".phase")).to_have_text("The server does not answer")
    at_door.dialog.get_by_role("button", name="Try again").click()
    expect(at_door.dialog).to_have_attribute("data-phase", "confirmed")
    assert keys[0] == keys[1]
    assert len(site.controller.commands) == 1


def test_enter_while_composing_chinese_sends_nothing(at_door: Desk) -> None:
    free = at_door.dialog.locator("input[name=free]")
    free.fill("访客")
    free.evaluate(
        "(node) => node.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    free.evaluate("(node) => node.dispatchEvent(new KeyboardEvent('keydown', {key: '1', keyCode: 229, bubbles: true}))")
    assert posted(at_door) == []
    expect(at_door.dialog.locator("input:checked")).to_have_count(0)


def test_the_row_of_a_refusal_leads_to_the_door(sit: Sit, site: Site) -> None:
    site.controller.commands.clear()
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    site.pass_by("face-03", "AccessControl/Denied/Credential", reason="CredentialExpired", tail="8412")
    row = page.locator("exception-feed li").first
    expect(row).to_contain_text("8412")
    page.locator("h1").click()
    page.keyboard.press("j")
    expect(row).to_be_focused()
    for key in ("u", "2", "Enter"):
        page.keyboard.press(key)
    expect(desk.dialog).to_have_attribute("data-phase", "confirmed")
    (command,) = site.controller.commands
    assert (command.device, command.reason) == ("gate-1/face-03", "Forgot the card")
