"""Who may say and hear what, tried on Debian's mosquitto with the files that we ship."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aggregator.broker import BrokerSettings, Listener, aggregator_user, edge_user, new_password, password_hash
from simulators.children import free_ports
from tests.support.mosquitto import CAMPUS, PREFIX, Mosquitto, knock
from tests.support.waiting import until
from wire.mqtt_link import BrokerAddress, LinkError, LinkRefused, Message, MqttLink
from wire.topics import Down, Up, down_filter, down_topic, up_filter, up_topic

pytestmark = pytest.mark.peer

EDGES = [f"edge-{number:02}" for number in range(20)]
REFUSED_PASSWORD, REFUSED_ACCESS = 4, 5


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[tuple[Mosquitto, dict[str, BrokerAddress]]]:
    """Twenty boxes and an aggregator on one broker."""
    broker = Mosquitto(tmp_path / "broker")
    ways_in: dict[str, BrokerAddress] = {}
    users = []
    for name in [*EDGES, "aggregator"]:
        password = new_password(os.urandom)
        hashed = password_hash(password, os.urandom)
        users.append(aggregator_user(CAMPUS, hashed) if name == "aggregator" else edge_user(CAMPUS, name, hashed))
        ways_in[name] = BrokerAddress(port=broker.port, username=name, password=password)
    broker.folder.put(*users)
    with broker.running():
        yield broker, ways_in


@asynccontextmanager
async def links(
    ways_in: dict[str, BrokerAddress],
) -> AsyncIterator[tuple[dict[str, MqttLink], dict[str, list[Message]]]]:
    heard: dict[str, list[Message]] = {name: [] for name in ways_in}
    open_links: dict[str, MqttLink] = {}
    try:
        for name, address in ways_in.items():
            open_links[name] = await MqttLink.connect(address, heard[name].append, client_id=name)
        yield open_links, heard
    finally:
        for link in open_links.values():
            await link.close()


async def may_publish(link: MqttLink, topic: str, payload: bytes = b"x") -> bool:
    try:
        await link.publish(topic, payload)
    except LinkRefused:
        return False
    return True


def all_topics() -> list[str]:
    topics = [up_topic(CAMPUS, edge, up) for edge in EDGES for up in Up]
    topics += [down_topic(CAMPUS, edge, down) for edge in EDGES for down in Down]
    topics += [up_topic("other-school", EDGES[0], Up.HELLO), "campus/v1/x", "$SYS/x", "anything", f"{PREFIX}/basic"]
    return topics


async def test_a_box_can_publish_on_its_own_up_topics_and_on_no_other(
    campus: tuple[Mosquitto, dict[str, BrokerAddress]],
) -> None:
    _, ways_in = campus
    async with links({edge: ways_in[edge] for edge in EDGES}) as (open_links, _):
        for edge, link in open_links.items():
            answers = await asyncio.gather(*(may_publish(link, topic) for topic in all_topics()))
            allowed = {topic for topic, answer in zip(all_topics(), answers, strict=True) if answer}
            assert allowed == {up_topic(CAMPUS, edge, leaf) for leaf in Up}


async def test_whatever_a_box_subscribes_to_it_hears_only_what_is_for_it(
    campus: tuple[Mosquitto, dict[str, BrokerAddress]],
) -> None:
    _, ways_in = campus
    async with links(ways_in) as (open_links, heard):
        for edge in EDGES:
            await open_links[edge].subscribe(
                "#", "+/#", "campus/#", down_filter(CAMPUS, edge), f"campus/v1/{CAMPUS}/+/down/ack", up_filter(CAMPUS)
            )
        await open_links["aggregator"].subscribe(up_filter(CAMPUS), "#")
        said_down = [down_topic(CAMPUS, edge, leaf) for edge in EDGES for leaf in Down]
        for topic in said_down:
            await open_links["aggregator"].publish(topic, topic.encode())
        said_up = [(edge, up_topic(CAMPUS, edge, leaf)) for edge in EDGES for leaf in Up]
        for edge, topic in said_up:
            await open_links[edge].publish(topic, topic.encode())
        # What a box says to itself comes last on its connection, so nothing is still on its way once it is there.
        for edge in EDGES:
            await open_links["aggregator"].publish(down_topic(CAMPUS, edge, Down.DOCUMENT), b"end")
        await until(lambda: all(heard[edge] and heard[edge][-1].payload == b"end" for edge in EDGES))
        await until(lambda: len({message.topic for message in heard["aggregator"]}) >= len(said_up))
    for edge in EDGES:
        assert {message.topic for message in heard[edge]} == {down_topic(CAMPUS, edge, leaf) for leaf in Down}
    assert {message.topic for message in heard["aggregator"]} == {topic for _, topic in said_up}


async def test_the_aggregator_can_publish_down_to_every_box_and_nowhere_else(
    campus: tuple[Mosquitto, dict[str, BrokerAddress]],
) -> None:
    _, ways_in = campus
    async with links({"aggregator": ways_in["aggregator"]}) as (open_links, _):
        link = open_links["aggregator"]
        answers = await asyncio.gather(*(may_publish(link, topic) for topic in all_topics()))
    allowed = {topic for topic, answer in zip(all_topics(), answers, strict=True) if answer}
    assert allowed == {down_topic(CAMPUS, edge, leaf) for edge in EDGES for leaf in Down}


def test_nobody_gets_in_without_the_right_password(campus: tuple[Mosquitto, dict[str, BrokerAddress]]) -> None:
    broker, ways_in = campus
    one, two = ways_in[EDGES[0]], ways_in[EDGES[1]]
    refused = {REFUSED_PASSWORD, REFUSED_ACCESS}
    assert knock(BrokerAddress(port=broker.port)) in refused
    assert knock(BrokerAddress(port=broker.port, username="nobody", password="x")) in refused
    assert knock(BrokerAddress(port=broker.port, username=one.username, password="")) in refused
    assert knock(BrokerAddress(port=broker.port, username=one.username, password=two.password)) in refused
    assert knock(one) == knock(two) == 0


async def test_terminals_speak_to_their_box_and_nobody_else_hears_them(mosquitto: Mosquitto) -> None:
    ways_in = {
        "box": mosquitto.edge("gate-1", terminal_prefixes=[PREFIX]),
        "other-box": mosquitto.edge("gate-2"),
        "aggregator": mosquitto.aggregator(),
        "terminal": mosquitto.terminals(),
    }
    async with links(ways_in) as (open_links, heard):
        for link in open_links.values():
            await link.subscribe("#")
        said = {f"{PREFIX}/basic", f"{PREFIX}/heartbeat", f"{PREFIX}/1026701/Rec"}
        for topic in said:
            assert await may_publish(open_links["terminal"], topic)
        for topic in (
            up_topic(CAMPUS, "gate-1", Up.HELLO),
            down_topic(CAMPUS, "gate-1", Down.ACK),
            f"{PREFIX}/1026701",
        ):
            assert not await may_publish(open_links["terminal"], topic)
        assert not await may_publish(open_links["other-box"], f"{PREFIX}/1026701")
        assert await may_publish(open_links["box"], f"{PREFIX}/1026701")
        await until(lambda: {message.topic for message in heard["box"]} >= said)
        await until(lambda: f"{PREFIX}/1026701" in {message.topic for message in heard["terminal"]})
    assert heard["other-box"] == []
    assert heard["aggregator"] == []


async def test_a_box_that_is_taken_off_the_list_loses_its_connection_and_cannot_come_back(mosquitto: Mosquitto) -> None:
    gone, stays = mosquitto.edge("gate-1"), mosquitto.edge("gate-2")
    async with links({"gone": gone, "stays": stays}) as (open_links, _):
        mosquitto.folder.remove("gate-1")
        assert mosquitto.folder.reload()
        async with asyncio.timeout(45):
            await open_links["gone"].closed.wait()
        with pytest.raises(LinkRefused):
            await MqttLink.connect(gone, lambda _message: None, client_id="gone")
        assert await may_publish(open_links["stays"], up_topic(CAMPUS, "gate-2", Up.HEARTBEAT))


async def test_a_new_password_ends_the_session_that_used_the_old_one(mosquitto: Mosquitto) -> None:
    before = mosquitto.edge("gate-1")
    async with links({"before": before}) as (open_links, _):
        after = mosquitto.edge("gate-1")
        async with asyncio.timeout(45):
            await open_links["before"].closed.wait()
    assert knock(before) != 0
    assert knock(after) == 0


async def test_retained_messages_are_refused(mosquitto: Mosquitto) -> None:
    topic = up_topic(CAMPUS, "gate-1", Up.HEARTBEAT)
    async with links({"box": mosquitto.edge("gate-1")}) as (open_links, _):
        with pytest.raises(LinkError):
            await open_links["box"].publish(topic, b"x", retain=True)
    heard: list[Message] = []
    link = await MqttLink.connect(mosquitto.aggregator(), heard.append, client_id="aggregator")
    await link.subscribe(up_filter(CAMPUS))
    async with links({"box": mosquitto.edge("gate-1")}) as (open_links, _):
        await open_links["box"].publish(topic, b"now")
        await until(lambda: heard)
    await link.close()
    assert [message.payload for message in heard] == [b"now"]


async def test_a_packet_over_the_limit_is_refused_and_the_broker_lives(tmp_path: Path) -> None:
    settings = BrokerSettings(campus=CAMPUS, listeners=(Listener(port=free_ports(1)[0]),), packet_bytes_max=200_000)
    with Mosquitto(tmp_path / "broker", settings).running() as broker:
        async with links({"box": broker.edge("gate-1")}) as (open_links, _):
            await open_links["box"].publish(up_topic(CAMPUS, "gate-1", Up.D), bytes(140_000))
            with pytest.raises(LinkError):
                await open_links["box"].publish(up_topic(CAMPUS, "gate-1", Up.D), bytes(300_000))
        async with links({"box": broker.edge("gate-1")}) as (open_links, _):
            await open_links["box"].publish(up_topic(CAMPUS, "gate-1", Up.D), b"still here")
