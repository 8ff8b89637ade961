"""The front against Debian's mosquitto: frames to the ledger and answers back, over outages and against abuse."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.admission import Admission
from aggregator.front import IN_FLIGHT_MAX, RECEIVE_MAXIMUM, REFUSED_WAIT_S, WAIT_S_MAX, Front
from aggregator.ledger import MemoryLedger
from tests.admission.box import ALARM, CAMPUS, Box, ack, welcome
from tests.admission.broker import Broker
from tests.ledger.waiting import until
from tests.support.clock import VirtualClock, seeded
from wire.mqtt_link import BrokerAddress, LinkError, LinkRefused, MqttLink
from wire.topics import Down, Lane, UpTopic, down_filter, parse_down, up_topic

pytestmark = pytest.mark.peer


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path)
    await broker.start()
    yield broker
    broker.kill()


class Stage:
    """A campus behind a broker, and what the boxes around it hear."""

    def __init__(self, broker: Broker) -> None:
        self.clock = VirtualClock()
        self.ledger = MemoryLedger(campus_id=CAMPUS, random=seeded(9))
        self.boxes: dict[str, Box] = {}
        self.admission = Admission(self.ledger, campus=CAMPUS, clock=self.clock, enrolled=self._enrolled)
        self.front = Front(
            self.admission, broker.address, campus=CAMPUS, client_id="campus-demo-school", chance=lambda: 0.05
        )

    async def _enrolled(self, edge: str):
        return self.boxes[edge].enrolled() if edge in self.boxes else None


@pytest.fixture
async def stage(broker: Broker) -> AsyncIterator[Stage]:
    stage = Stage(broker)
    task = asyncio.create_task(stage.front.run())
    await until(lambda: stage.front.health.link_up)
    yield stage
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not stage.front.health.link_up


class Line:
    """A box's connection: publish a frame, wait for what the campus says."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.heard: asyncio.Queue[tuple[Down, bytes]] = asyncio.Queue()

    async def connect(self, address: BrokerAddress) -> None:
        self.link = await MqttLink.connect(
            address,
            lambda message: self.heard.put_nowait((parse_down(message.topic), message.payload)),
            client_id=self.box.edge,
        )
        await self.link.subscribe(down_filter(CAMPUS, self.box.edge))

    async def say(self, frame: tuple[UpTopic, bytes]) -> None:
        await self.link.publish(up_topic(*frame[0]), frame[1])

    async def ask(self, frame: tuple[UpTopic, bytes]) -> list[tuple[Down, bytes]]:
        await self.say(frame)
        async with asyncio.timeout(45):
            return [await self.heard.get()]


@contextlib.asynccontextmanager
async def line(stage: Stage, broker: Broker, edge: str = "gate-1", seed: int = 1) -> AsyncIterator[Line]:
    box = stage.boxes[edge] = Box(edge, seed=seed)
    line = Line(box)
    await line.connect(broker.address)
    yield line
    await line.link.close()


async def test_a_record_goes_up_and_its_ack_comes_down(stage: Stage, broker: Broker) -> None:
    async with line(stage, broker) as gate:
        assert welcome(await gate.ask(gate.box.hello())).verdict == "resume"
        gate.box.put(*[gate.box.event() for _ in range(300)])
        assert ack(await gate.ask(gate.box.batch(Lane.D, 0))).through == 300
    rows = await stage.ledger.read(0, 1000)
    assert [row.seq for row in rows if row.edge == "gate-1"] == list(range(1, 301))


async def test_many_batches_in_flight_stay_in_order(stage: Stage, broker: Broker) -> None:
    async with line(stage, broker) as gate:
        await gate.ask(gate.box.hello())
        gate.box.put(*[gate.box.event() for _ in range(400)])
        async with asyncio.TaskGroup() as group:
            for after in range(0, 400, 4):
                group.create_task(gate.say(gate.box.batch(Lane.D, after, 4)))
        async with asyncio.timeout(45):
            while ack([await gate.heard.get()]).through < 400:
                pass
    assert stage.admission.counters["out_of_turn"] == 0


async def test_a_box_that_is_not_enrolled_hears_so(stage: Stage, broker: Broker) -> None:
    async with line(stage, broker) as gate:
        stage.boxes.clear()
        assert welcome(await gate.ask(gate.box.hello())).verdict == "refused"


async def test_answers_go_to_the_box_that_asked(stage: Stage, broker: Broker) -> None:
    async with line(stage, broker) as one, line(stage, broker, "gate-2", 2) as two:
        await one.ask(one.box.hello())
        await two.ask(two.box.hello())
        two.box.put(two.box.event(ALARM))
        assert ack(await two.ask(two.box.batch(Lane.A, 0))).session == two.box.nonce
        assert one.heard.empty()


async def test_a_broker_that_forgets_everything_costs_one_outage_and_no_record(
    stage: Stage, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aggregator.front")
    async with line(stage, broker) as gate:
        await gate.ask(gate.box.hello())
        gate.box.put(*[gate.box.event() for _ in range(10)])
        await gate.ask(gate.box.batch(Lane.D, 0, 5))
        broker.kill()
        await until(lambda: not stage.front.health.link_up)
        with pytest.raises(LinkError, match="not connected"):
            await stage.front.send("gate-1", Down.COMMAND, b"")
        await asyncio.sleep(0.15)  # several attempts fail
        await broker.start()
        await until(lambda: stage.front.health.link_up)
        await gate.connect(broker.address)
        assert welcome(await gate.ask(gate.box.hello())).lanes[Lane.D].through == 5
        assert ack(await gate.ask(gate.box.batch(Lane.D, 5))).through == 10
    assert [record.message for record in caplog.records] == ["part down", "part up"]
    assert stage.front.health.outages == 1


async def test_a_frame_that_meets_a_bug_harms_only_itself(
    stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with line(stage, broker) as gate, line(stage, broker, "gate-2", 2) as victim:
        receive = stage.admission.receive

        async def broken(topic: UpTopic, frame: bytes):
            if topic.edge == "gate-2":
                raise KeyError("a fault of ours")
            return await receive(topic, frame)

        monkeypatch.setattr(stage.admission, "receive", broken)
        await victim.say(victim.box.hello())
        assert welcome(await gate.ask(gate.box.hello())).verdict == "resume"
    await until(lambda: stage.front.health.faults == 1)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["frame not handled"]
    await until(lambda: stage.front.health.in_flight == 0)


async def test_retained_and_misnamed_frames_are_dropped(stage: Stage, broker: Broker) -> None:
    async with line(stage, broker) as gate:
        # A broker that kept a hello hands it to every new subscriber; the first copy is live, the kept one is not.
        topic, frame = gate.box.hello()
        await gate.link.publish(up_topic(*topic), frame, retain=True)
        async with asyncio.timeout(45):
            await gate.heard.get()
        await gate.link.publish(f"campus/v1/{CAMPUS}/Gate 1/up/hello", frame)
        await gate.link.publish(f"campus/v1/{CAMPUS}/gate-1/up/nonsense", frame)
        await until(lambda: stage.front.health.bad_topic == 2)
        broker_side = stage.front._link
        assert broker_side is not None
        broker_side.abort()
        await until(lambda: stage.front.health.retained == 1)
        assert stage.admission.counters["hello"] == 1


async def test_the_broker_holds_back_what_is_beyond_the_bound(
    stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_again, peak = asyncio.Event(), 0

    async def slow(_topic: UpTopic, _frame: bytes):
        nonlocal peak
        peak = max(peak, stage.front.health.in_flight)
        await open_again.wait()
        return []

    monkeypatch.setattr(stage.admission, "receive", slow)
    async with line(stage, broker) as gate:
        frame = gate.box.heartbeat()
        for _ in range(RECEIVE_MAXIMUM + 50):
            await gate.say(frame)
        await until(lambda: stage.front.health.in_flight == RECEIVE_MAXIMUM)
        open_again.set()
        await until(lambda: stage.front.health.frames == RECEIVE_MAXIMUM + 50)
        await until(lambda: stage.front.health.in_flight == 0)
    assert RECEIVE_MAXIMUM <= peak <= IN_FLIGHT_MAX
    assert stage.front.health.full == 0


async def test_frames_over_the_bound_are_dropped_when_the_broker_does_not_hold_them(
    stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_again = asyncio.Event()

    async def slow(_topic: UpTopic, _frame: bytes):
        await open_again.wait()
        return []

    monkeypatch.setattr(stage.admission, "receive", slow)
    async with line(stage, broker) as gate:
        topic, frame = gate.box.heartbeat()
        for _ in range(IN_FLIGHT_MAX + 50):
            await gate.link.publish(up_topic(*topic), frame, qos=0)
        await until(lambda: stage.front.health.full == 50)
        open_again.set()
        await until(lambda: stage.front.health.in_flight == 0)


async def test_a_refusal_waits_longer_than_any_outage(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(*_: object, **__: object) -> MqttLink:
        raise LinkRefused("bad password")

    monkeypatch.setattr(MqttLink, "connect", refused)
    nowhere = BrokerAddress(host="127.0.0.1", port=1)
    front = Front(stage.admission, nowhere, campus=CAMPUS, client_id="other", chance=lambda: 0.0)
    task = asyncio.create_task(front.run())
    await until(lambda: front.health.outages)
    task.cancel()
    (down,) = [record for record in caplog.records if record.message == "part down"]
    assert (down.cause, down.retry_in_s) == ("bad password", REFUSED_WAIT_S)
    assert REFUSED_WAIT_S > WAIT_S_MAX
