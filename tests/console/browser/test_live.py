"""The live watch: what happens is seen, what needs somebody is heard, and who has it is known to all."""

import json

import pytest
from playwright.sync_api import APIResponse, Route, expect

from tests.console.browser.conftest import Sit
from tests.console.browser.desk import Desk
from tests.console.site import DOORS, Site

pytestmark = pytest.mark.peer

# Counts tones instead of playing them.
STUB_AUDIO = """
window.tones = [];
class Node { connect(next) { return next; } start() { window.tones.push(this.frequency.value); } stop() {} }
class Param { setValueAtTime() {} linearRampToValueAtTime() {} setTargetAtTime() {} }
window.AudioContext = class extends EventTarget {
  state = window.audioAllowed ? "running" : "suspended";
  currentTime = 0;
  destination = new Node();
  async resume() { this.state = "running"; this.dispatchEvent(new Event("statechange")); }
  createOscillator() { return Object.assign(new Node(), { frequency: { value: 0 } }); }
  createGain() { return Object.assign(new Node(), { gain: new Param() }); }
};
"""


def test_a_passage_is_seen_at_its_door_and_counted(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    desk.open("/live")
    door = desk.door("face-02")
    before = int(door.locator('[data-part="granted"]').inner_text())
    for _ in range(5):
        site.pass_by("face-02", tail="7301")
    expect(door.locator('[data-part="granted"]')).to_have_text(str(before + 5))
    expect(door.locator('[data-part="last"]')).to_contain_text("7301")
    expect(door.locator("header b")).to_have_text("Ready")


def test_trouble_comes_first_and_says_what_it_is(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    expect(page.locator(".door")).to_have_count(len(DOORS))
    site.door_alarm("door-03", "DoorOpenTooLong")
    expect(page.locator(".door").first.locator("header b")).to_have_text("Held open")
    site.door_alarm("door-01")
    expect(page.locator(".door").first.locator("header b")).to_have_text("Forced open")
    site.deliver(site.event("Device/State/Operating", "door-04", values={"state": "DOWN"}))
    expect(desk.door("door-04")).to_have_attribute("data-state", "offline")
    expect(desk.door("door-04").locator('[data-part="age"]')).to_contain_text("was Locked")
    order = page.locator(".door").evaluate_all("nodes => nodes.map(node => node.dataset.device)")
    assert order[:3] == ["gate-1/door-01", "gate-1/door-03", "gate-1/door-04"]


def test_a_refusal_is_listed_with_its_reason_and_an_ordinary_passage_is_not(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    site.pass_by("face-03", tail="1111")
    site.pass_by("face-03", "AccessControl/Denied/Credential", reason="CredentialExpired", tail="2222")
    row = page.locator("exception-feed li").first
    expect(row).to_contain_text("Credential expired")
    expect(row).to_contain_text("2222")
    assert "1111" not in page.locator("exception-feed").inner_text()


def test_all_passages_are_shown_on_request_and_held_on_request(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    page.get_by_role("tab", name="All passages").click()
    expect(page.locator("exception-feed .empty")).to_be_visible()
    rows = page.locator("exception-feed li")
    site.pass_by("face-01", tail="3001")
    expect(rows.first).to_contain_text("3001")
    page.locator("h1").hover()
    page.keyboard.press("p")
    for number in range(4):
        site.pass_by("face-01", tail=f"301{number}")
    expect(page.locator(".chip-new")).to_have_text("4 new")
    expect(rows.first).to_contain_text("3001")
    page.keyboard.press("p")
    expect(rows.first).to_contain_text("3013")
    expect(rows).to_have_count(5)
    expect(page.locator(".chip-new")).to_be_hidden()


def test_without_people_there_is_no_card_and_no_name(sit: Sit, site: Site) -> None:
    site.pass_by("face-01", "AccessControl/Denied/Credential", tail="5566")
    site.door_alarm("door-01")
    sit("guard").ask("POST", f"/alarms/{site.alarms()['door_forced door-01']}/ack", data={})
    desk = sit("ops", lang="en")
    page = desk.open("/live")
    expect(page.locator(".group.acked .alarm")).to_contain_text("Somebody has it")
    text = page.inner_text("main")
    assert "5566" not in text
    assert "guard" not in text
    assert page.locator(".door button:visible").count() == 0


# --- alarms -------------------------------------------------------------------------------------------------


def test_an_alarm_is_seen_in_the_title_and_spoken_once(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    expect(page).to_have_title("Live watch · Demo school")
    site.door_alarm("door-01")
    expect(page).to_have_title("(1) Live watch · Demo school")
    expect(page.locator("#spoken")).to_have_text("Level 1 alarm: Door forced open, Laboratory, ground floor · 实训楼")
    expect(page.locator(".rail .badge")).to_have_text("1")
    icon = page.locator("link[rel=icon]")
    assert icon.get_attribute("href") == icon.get_attribute("data-alarm")


def test_an_alarm_is_taken_and_settled_by_keyboard(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    site.door_alarm("door-01")
    alarm = site.alarms()["door_forced door-01"]
    card = desk.alarm(alarm)
    expect(card).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator(".group.acked .alarm")).to_contain_text("guard has it")
    site.door_alarm("door-01", "Normal")
    expect(card).to_be_visible()
    page.keyboard.press("r")
    expect(desk.dialog).to_be_visible()
    page.keyboard.press("Tab")
    desk.dialog.locator("button[type=submit]").click()
    expect(desk.dialog.locator(".told")).to_have_text("Choose a cause")
    page.keyboard.press("Shift+Tab")
    desk.dialog.locator("input[name=cause]").first.focus()
    page.keyboard.press("2")
    expect(desk.dialog.locator("textarea")).to_be_focused()
    desk.dialog.locator("button[type=submit]").click()
    expect(desk.dialog.locator(".told")).to_have_text("This alarm needs a note")
    page.keyboard.type("1 of 4 screws was loose")
    expect(desk.dialog.locator("input[value=false]")).to_be_checked()
    desk.dialog.locator("button[type=submit]").click()
    expect(desk.dialog).to_have_count(0)
    expect(card).to_have_count(0)
    expect(page.locator(".toast.done")).to_contain_text("Door forced open")
    settled = desk.ask("GET", f"/alarms/{alarm}").json()
    assert (settled["resolved_by"], settled["cause"], settled["note"]) == ("guard", "false", "1 of 4 screws was loose")


def test_an_alarm_that_is_being_taken_is_not_given_back_by_news_of_it(sit: Sit, site: Site) -> None:
    site.door_alarm("door-01")
    alarm = site.alarms()["door_forced door-01"]
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    count = desk.ask("GET", f"/alarms/{alarm}").json()["count"]
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**/api/v1/alarms/{alarm}/ack", hold)
    expect(desk.alarm(alarm)).to_be_visible()
    page.keyboard.press("a")
    taken = page.locator(f'.group.acked .alarm[data-id="{alarm}"]')
    expect(taken).to_contain_text("guard has it")
    site.door_alarm("door-01")
    expect(desk.alarm(alarm)).to_contain_text(f"×{count + 1}")
    expect(taken).to_be_visible()
    held[0].continue_()
    expect(taken).to_contain_text("guard has it")


def test_what_lasts_is_settled_only_by_a_lead_who_says_so(sit: Sit, site: Site) -> None:
    site.door_alarm("door-01")
    alarm = site.alarms()["door_forced door-01"]

    def settle(desk: Desk) -> None:
        desk.page.locator(f'.alarm[data-id="{alarm}"] button').click()
        desk.page.keyboard.press("4")
        desk.page.keyboard.type("sensor is broken")
        desk.dialog.locator("button[type=submit]").click()
        expect(desk.dialog.locator(".told")).to_contain_text("The condition persists")

    guard = sit("guard", lang="en")
    guard.open("/live")
    guard.page.locator(f'.alarm[data-id="{alarm}"] button').click()
    expect(guard.page.locator(".group.acked .alarm")).to_be_visible()
    settle(guard)
    expect(guard.dialog.locator("input[name=force]")).to_be_hidden()
    lead = sit("lead", lang="en")
    lead.open("/live")
    settle(lead)
    lead.dialog.locator("input[name=force]").check()
    lead.dialog.locator("button[type=submit]").click()
    expect(lead.page.locator(".alarm")).to_have_count(0)
    expect(guard.page.locator(".alarm")).to_have_count(0)


def test_of_two_who_take_an_alarm_one_has_it_and_the_other_is_told_who(sit: Sit, site: Site) -> None:
    first, second = sit("guard", lang="en"), sit("zhao", lang="en")
    for desk in (first, second):
        desk.open("/live")
    site.door_alarm("door-01")
    alarm = site.alarms()["door_forced door-01"]
    for desk in (first, second):
        expect(desk.alarm(alarm)).to_have_attribute("data-state", "new")
    # The second browser does not hear of the first's answer before it asks: its stream is held back.
    held: list[bool] = []

    def late(route) -> None:
        held.append(True)
        assert first.ask("POST", f"/alarms/{alarm}/ack", data={}).status == 200
        route.continue_()

    second.page.route("**/ack", late)
    second.alarm(alarm).get_by_role("button").click()
    expect(second.page.locator(".toast.failed")).to_have_text("guard has acknowledged it already")
    assert held == [True]
    for desk in (first, second):
        expect(desk.page.locator(".group.acked .alarm")).to_contain_text("guard has it")
        expect(desk.page.locator(".group.new .alarm")).to_have_count(0)


def test_taking_an_alarm_is_shown_at_once_and_taken_back_when_it_fails(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    site.door_alarm("door-01")
    alarm = desk.alarm(site.alarms()["door_forced door-01"])
    expect(alarm).to_have_attribute("data-state", "new")
    shown: list[str | None] = []

    def fail(route) -> None:
        page.wait_for_timeout(200)
        shown.append(alarm.get_attribute("data-state"))
        route.fulfill(status=503, content_type="application/problem+json", body=json.dumps({"code": "view_behind"}))

    page.route("**/ack", fail)
    alarm.get_by_role("button").click()
    expect(page.locator(".toast.failed")).to_be_visible()
    expect(alarm).to_have_attribute("data-state", "new")


def test_repeats_are_one_card_with_a_count(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    for _ in range(3):
        site.deliver(site.event("AccessControl/WrongTries", "face-02"))
    expect(page.locator(".alarm")).to_have_count(1)
    expect(page.locator(".alarm .times")).to_contain_text("×")


def test_the_shift_begins_with_a_click_and_new_alarms_ring_by_level(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    desk.page.add_init_script(STUB_AUDIO)
    page = desk.open("/live")
    duty = page.locator(".duty")
    expect(duty).to_have_text("Start shift")
    site.door_alarm("door-03", "DoorOpenTooLong")
    expect(page.locator(".alarm")).to_have_count(1)
    assert page.evaluate("tones") == []
    duty.click()
    expect(duty).to_have_text("Sound on")
    assert page.evaluate("tones.splice(0)") == [520]
    site.door_alarm("door-01")
    desk.until("tones.length === 3")
    assert page.evaluate("tones.splice(0)") == [880, 880, 880]
    page.keyboard.press("m")
    expect(duty).to_have_text("Quiet for 5 min")


def test_what_happened_long_ago_never_rings(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    desk.page.add_init_script(STUB_AUDIO)
    page = desk.open("/live")
    page.locator(".duty").click()
    expect(page.locator(".duty")).to_have_text("Sound on")
    page.evaluate("tones.splice(0)")
    site.deliver(site.earlier(site.event("AccessControl/Duress", "face-05"), 3600))
    expect(page.locator(".alarm .who")).to_contain_text("Late news")
    site.deliver(site.event("AccessControl/WrongTries", "face-02"))
    desk.until("tones.length > 0")
    assert set(page.evaluate("tones")) == {660}
    expect(page.locator("#spoken")).not_to_contain_text("Duress")


def test_sound_that_the_browser_blocks_is_said_in_red(sit: Sit) -> None:
    desk = sit("guard", lang="en")
    desk.page.add_init_script(STUB_AUDIO.replace('async resume() { this.state = "running";', "async resume() {"))
    desk.page.add_init_script("sessionStorage.setItem('console.duty', 'on')")
    page = desk.open("/live")
    expect(page.locator(".duty")).to_have_attribute("data-state", "blocked")
    expect(page.locator(".duty")).to_have_text("Sound off")


def test_the_alarm_page_tells_what_was_done_and_what_happened_there(sit: Sit, site: Site) -> None:
    site.pass_by("door-01", "AccessControl/Denied/Credential", reason="Unauthorized")
    site.door_alarm("door-01")
    alarm = site.alarms()["door_forced door-01"]
    desk = sit("lead", lang="en")
    page = desk.open(f"/alarms/{alarm}")
    expect(page.locator(".head h2").first).to_contain_text("Door forced open")
    expect(page.locator("tbody tr").filter(has_text="Not authorised")).to_have_count(1)
    page.keyboard.press("a")
    expect(page.locator(".steps li[data-step=acked]").last).to_contain_text("lead")
    page.keyboard.press("r")
    page.keyboard.press("1")
    page.keyboard.type("intruder was stopped")
    site.door_alarm("door-01", "Normal")
    desk.dialog.locator("button[type=submit]").click()
    expect(page.locator(".steps li[data-step=resolved]").last).to_contain_text("intruder was stopped")
    desk.open("/alarms?state=resolved")
    row = page.locator("tbody tr").filter(has=page.locator(f'a[href="/alarms/{alarm}"]'))
    expect(row).to_contain_text("Real event")


def test_an_answer_that_was_overtaken_is_not_drawn(sit: Sit, site: Site) -> None:
    site.door_alarm("door-01")
    alarm = site.alarms()["door_forced door-01"]
    desk = sit("lead", lang="en")
    page = desk.open(f"/alarms/{alarm}")
    page.keyboard.press("a")
    expect(page.locator(".steps li[data-step=acked]").last).to_contain_text("lead")
    held: list[tuple[Route, APIResponse]] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    page.route(f"**/api/v1/alarms/{alarm}", hold_the_first)
    site.door_alarm("door-01", "Normal")
    while not held:
        page.wait_for_timeout(20)
    settled = desk.ask("POST", f"/alarms/{alarm}/resolve", data={"cause": "drill", "note": "shown in the lesson"})
    assert settled.status == 200
    resolved = page.locator(".steps li[data-step=resolved]").last
    expect(resolved).to_contain_text("shown in the lesson")
    (route, answer) = held[0]
    route.fulfill(response=answer)
    page.wait_for_timeout(500)
    expect(resolved).to_contain_text("shown in the lesson")
