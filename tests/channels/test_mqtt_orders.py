"""Orders over MQTT: sent once, never kept by anybody, each with an honest end."""

import asyncio

import pytest

from edge_agent.channels.mqtt_orders import ASKED_MAX
from edge_agent.orders import Order, Performed, plan
from tests.channels.rig import DEVICES, PREFIX, FakeLink, Rig, eventually
from tests.support.mosquitto import Mosquitto
from tests.translate.profiles import facesluice_profile
from wire.clock import NS_PER_S
from wire.mqtt_link import Message, MqttLink

TERMINAL = DEVICES[0]


def order(rig: Rig, number: int = 1, *, name: str = "AccessDoor", left_s: float = 8.5, reply_s: float = 5.0) -> Order:
    arguments = {} if name == "AccessDoor" else {"clock": "2026-09-01 07:30:00"}
    return Order(
        request_id=f"{number:032x}",
        address=TERMINAL,
        name=name,
        operations=plan(facesluice_profile(), name, arguments),
        deadline_ns=rig.clock.mono_ns() + int(left_s * NS_PER_S),
        reply_within_s=reply_s,
    )


def alive(link: FakeLink) -> None:
    link.deliver(f"{PREFIX}/heartbeat", {"operator": "HeartBeat", "info": {"facesluiceId": TERMINAL}})


def says(link: FakeLink, number: int = 1, *, code: str = "200", result: str = "ok", who: str = TERMINAL) -> None:
    info = {"facesluiceId": who, "result": result}
    body = {"messageId": f"{number:032x}", "operator": "Unlock-Ack", "code": code, "info": info}
    link.deliver(f"{PREFIX}/{who}/Ack", body)


async def asked(rig: Rig, link: FakeLink, wanted: Order) -> "asyncio.Task[Performed]":
    alive(link)
    before = len(link.sent)
    task = asyncio.create_task(rig.channel.perform(wanted))
    await eventually(lambda: len(link.sent) > before or task.done())
    return task


async def test_an_order_is_sent_with_nothing_that_could_keep_it_and_its_answer_is_its_end() -> None:
    rig = Rig()
    async with rig.running() as link:
        task = await asked(rig, link, order(rig))
        assert link.sent[-1] == (
            f"{PREFIX}/{TERMINAL}",
            {"operator": "Unlock", "messageId": f"{1:032x}", "info": {"openDoor": 1}},
        )
        assert link.how[-1] == (0, 8)
        says(link)
        assert await task == Performed("succeeded")


@pytest.mark.parametrize(("code", "result"), [("404", "ok"), ("200", "fail")])
async def test_a_terminal_that_does_not_do_it_has_rejected_it(code: str, result: str) -> None:
    rig = Rig()
    async with rig.running() as link:
        task = await asked(rig, link, order(rig))
        says(link, code=code, result=result)
        assert (await task).result == "rejected"


async def test_no_answer_and_a_link_that_ends_are_unknown() -> None:
    rig = Rig()
    async with rig.running() as link:
        assert await (await asked(rig, link, order(rig, reply_s=0.01))) == Performed("unknown", "no_answer")
        task = await asked(rig, link, order(rig, 2))
        link.end()
        assert await task == Performed("unknown", "link_lost")


async def test_an_order_that_still_waits_in_our_socket_goes_down_with_the_link() -> None:
    rig = Rig()
    async with rig.running() as link:
        link.stuck = True
        assert await (await asked(rig, link, order(rig, reply_s=0.01))) == Performed("unknown", "no_answer")
        assert link.closed.is_set()
    rig = Rig()
    async with rig.running() as link:
        link.stuck = True
        task = await asked(rig, link, order(rig))
        task.cancel()
        await asyncio.wait([task])
        assert link.closed.is_set()


async def test_an_answer_says_that_the_order_got_through() -> None:
    rig = Rig()
    async with rig.running() as link:
        link.stuck = True
        task = await asked(rig, link, order(rig))
        says(link)
        assert await task == Performed("succeeded")
        assert not link.closed.is_set()


async def test_another_device_and_another_order_answer_nothing() -> None:
    rig = Rig()
    async with rig.running() as link:
        task = await asked(rig, link, order(rig, reply_s=0.2))
        says(link, who=DEVICES[1])
        says(link, 7)
        assert (await task).result == "unknown"


@pytest.mark.parametrize("left_s", [0.0, -1.0])
async def test_after_its_deadline_nothing_is_sent(left_s: float) -> None:
    rig = Rig()
    async with rig.running() as link:
        assert (await (await asked(rig, link, order(rig, left_s=left_s)))).result == "unreachable"
        assert link.sent == []


async def test_a_terminal_that_was_not_heard_of_is_not_asked() -> None:
    rig = Rig()
    assert (await rig.channel.perform(order(rig))).result == "unreachable"
    async with rig.running() as link:
        assert (await rig.channel.perform(order(rig))).result == "unreachable"
        alive(link)
        rig.clock.advance(121)
        rig.channel._reception.silent()
        assert (await rig.channel.perform(order(rig))).result == "unreachable"
        assert link.sent == []


async def test_one_too_many_is_refused() -> None:
    rig = Rig()
    async with rig.running() as link:
        tasks = [await asked(rig, link, order(rig, number)) for number in range(ASKED_MAX)]
        assert await rig.channel.perform(order(rig, 999)) == Performed("rejected", "busy")
        for number in range(ASKED_MAX):
            says(link, number)
        assert {(await task).result for task in tasks} == {"succeeded"}
        assert rig.channel._asking._asked == {}


@pytest.mark.peer
async def test_a_terminal_that_comes_back_does_not_find_an_order_waiting(mosquitto: Mosquitto) -> None:
    """The broker keeps the terminal's session; what it must not keep is a door that opens hours later."""
    heard: list[Message] = []
    address = mosquitto.terminals()
    terminal = await MqttLink.connect(address, heard.append, client_id=TERMINAL, version=4, clean=False)
    await terminal.subscribe(f"{PREFIX}/{TERMINAL}")
    await terminal.close()
    box = await MqttLink.connect(mosquitto.edge("gate-1", terminal_prefixes=[PREFIX]), lambda _m: None, client_id="b")
    box.send(f"{PREFIX}/{TERMINAL}", b'{"operator":"Unlock"}', qos=0, expiry_s=5)
    # What has QoS 1 is kept, which shows that the session is really there.
    await box.publish(f"{PREFIX}/{TERMINAL}", b'{"operator":"PushAck"}')
    terminal = await MqttLink.connect(address, heard.append, client_id=TERMINAL, version=4, clean=False)
    async with asyncio.timeout(60):
        while not heard:  # noqa: ASYNC110  the link tells the list, not us
            await asyncio.sleep(0.02)
    await terminal.close()
    await box.close()
    assert [message.payload for message in heard] == [b'{"operator":"PushAck"}']
