"""The composition root of a box: everything is made here, handed its neighbours, and started in one TaskGroup.

    channels (supervised) -> decide -> intake -> outbox -> uplink (supervised) -> campus

A fault in intake or outbox ends the process, because a box that cannot store must not promise; a fault in a channel or
in the uplink restarts that part only. On SIGTERM channels stop first, intake commits what it holds, the uplink gets two
seconds, and whatever is not delivered by then is delivered after the next start.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from edge_agent import HEALTH_FILE, OUTBOX_FILE, version
from edge_agent.birth import birth
from edge_agent.channels import Channel, ChannelParts, make_channel
from edge_agent.clock import ClockWatch
from edge_agent.documents import Cabinet, tuning_kind
from edge_agent.downlink import CommandDesk, Target
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.health import Health, new_counters
from edge_agent.intake import Intake
from edge_agent.keys import IdentityKey, verifies
from edge_agent.local.door import DoorKeeper
from edge_agent.orders import Order, Performed
from edge_agent.outbox import Outbox, open_outbox
from edge_agent.settings import Device, EdgeSettings, Loaded, MetricsChoice, Secrets, read_secrets
from edge_agent.supervise import RefusedError, Supervisor
from edge_agent.uplink import Uplink, UplinkRefusedError
from edge_agent.uplink.carrier import MqttCarrier
from wire.collector import give_back
from wire.documents import UNTUNED, DeviceTuning, Tuning
from wire.i18n import Texts
from wire.identity import Pseudonymiser
from wire.mqtt_link import LinkRefused
from wire.notify import Notifier, Watchdog, starting
from wire.records import ClockMark
from wire.system_clock import SystemClock
from wire.topics import Down, down_topic

log = logging.getLogger(__name__)

# By then everything has been used once.
STARTED_S: Final = 10.0
MAINTAIN_S: Final = 5.0
CLOCK_WATCH_S: Final = 5.0
DOORS_S: Final = 1.0
GOODBYE_S: Final = 2.0
GOODBYE_LOOK_S: Final = 0.05
DOCUMENTS_FOLDER: Final = "documents"


async def run_agent(settings: EdgeSettings, loaded: Loaded, *, stop: asyncio.Event | None = None) -> None:
    """Run one box until SIGTERM, SIGINT or stop. loaded: the file the settings came from, without findings.

    Raises SecretError or KeyFileError when the box is not enrolled, OutboxError when its disk cannot be used.
    """
    secrets = read_secrets(settings)
    key = IdentityKey.load(settings.identity_key_file)
    stop = stop or _stop_on_signals()
    clock = SystemClock(assume_synced=settings.clock.assume_synced)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    notifier = Notifier.from_environment()
    async with (
        starting(notifier) as started,
        open_outbox(
            settings.data_dir / OUTBOX_FILE,
            clock=clock,
            random=os.urandom,
            edge=settings.edge,
            limits=settings.outbox_limits(),
        ) as outbox,
    ):
        started()
        box = _Box(settings, loaded.devices, secrets=secrets, key=key, clock=clock, outbox=outbox, notifier=notifier)
        await box.run(stop)


class _Box:
    """The parts of one running box and how they are joined."""

    def __init__(
        self,
        settings: EdgeSettings,
        devices: Mapping[str, Sequence[Device]],
        *,
        secrets: Secrets,
        key: IdentityKey,
        clock: SystemClock,
        outbox: Outbox,
        notifier: Notifier,
    ) -> None:
        self._notifier = notifier
        self._texts = Texts()
        # The loop turns and the disk takes: who does neither is not alive, whoever cannot reach the campus is.
        self._watchdog = Watchdog(notifier, ["outbox", "loop"])
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._outbox = outbox
        self._devices = devices
        self._counters = new_counters()
        self._chance: Callable[[], float] = random.SystemRandom().random
        self._intake = Intake(
            outbox,
            edge=settings.edge,
            clock=clock,
            random=os.urandom,
            appended=lambda lanes: self._uplink.grew(lanes),  # noqa: PLW0108  made below
        )
        self._health = Health(
            self._counters,
            {
                "intake_waiting": lambda: self._intake.waiting,
                "commits_total": lambda: self._intake.committed_groups,
                "resent_batches_total": lambda: self._uplink.resent_batches,
                "forks_total": lambda: self._uplink.forks,
            },
            lambda: {name: channel.health() for name, channel in self._channels.items()},
        )
        campus_public = secrets.campus_public_key
        self._uplink_up: Callable[[], None] = lambda: None
        self._tuning = Tuning(schema=1, devices={})
        self._doors = DoorKeeper(clock, self._tuning_of)
        self._channels = self._make_channels()
        names = [device.name for bound in devices.values() for device in bound]
        self._cabinet = Cabinet(
            settings.data_dir / DOCUMENTS_FOLDER,
            [tuning_kind(names, self._tune)],
            edge=settings.edge,
            topic=down_topic(settings.campus, settings.edge, Down.DOCUMENT),
            intake=self._intake,
            verify=lambda message, signature: verifies(campus_public, message, signature),
        )
        self._cabinet.open()
        self._desk = CommandDesk(
            edge=settings.edge,
            topic=down_topic(settings.campus, settings.edge, Down.COMMAND),
            targets=dict(self._targets()),
            intake=self._intake,
            clock=clock,
            random=os.urandom,
            verify=lambda message, signature: verifies(campus_public, message, signature),
            counters=self._counters,
        )
        self._uplink = Uplink(
            outbox,
            campus=settings.campus,
            edge=settings.edge,
            clock=clock,
            random=os.urandom,
            sign=key.sign,
            verify=lambda message, signature: verifies(campus_public, message, signature),
            software=version(),
            heartbeat=lambda plain: self._desk.decorate(self._health.decorate(plain)),
            commanded=self._commanded,
            ended=self._desk.disconnected,
            documents=self._cabinet.versions,
            welcomed=lambda: self._uplink_up(),  # noqa: PLW0108  set anew by each connection
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, wait for stop, end in order."""
        drafts = birth(
            self._settings.edge,
            software=version(),
            channels=len(self._settings.channels),
            devices=[device for bound in self._devices.values() for device in bound],
        )
        supervisors = [self._supervise_uplink(), *self._supervise_channels()]
        self._health.parts = {supervisor.health.name: supervisor.health for supervisor in supervisors}
        async with asyncio.TaskGroup() as group:
            spine = [group.create_task(self._intake.run(), name="intake")]
            spine += [group.create_task(self._maintain()), group.create_task(self._watch_clock())]
            spine.append(group.create_task(self._watchdog.run(), name="watchdog"))
            spine.append(group.create_task(self._watch_doors(), name="doors"))
            if self._settings.metrics is not None:
                spine.append(group.create_task(self._serve_metrics(self._settings.metrics), name="metrics"))
            await self._intake.accept(drafts)
            desk = group.create_task(self._desk.run(await self._outbox.interrupted()), name="commands")
            log.info("box started", extra={"edge": self._settings.edge, "channels": len(self._settings.channels)})
            uplink, *channels = [
                group.create_task(supervisor.run(), name=supervisor.health.name) for supervisor in supervisors
            ]
            self._notifier.ready()
            asyncio.get_running_loop().call_later(STARTED_S, give_back)
            await stop.wait()
            self._notifier.stopping()
            log.info("box stopping", extra={"edge": self._settings.edge})
            await _end([desk])
            await _end(channels)
            await _end(spine)
            await self._intake.finish()
            await self._say_goodbye()
            await _end([uplink])

    def _make_channels(self) -> dict[str, Channel]:
        parts = ChannelParts(
            edge=self._settings.edge,
            intake=self._intake,
            quarantine=self._outbox.quarantine,
            pseudonymiser=Pseudonymiser(self._secrets.campus_key),
            clock=self._clock,
            counters=self._counters,
            decide=self._doors.decide,
            tuning=self._tuning_of,
        )
        return {
            settings.name: make_channel(settings, self._devices[settings.name], parts, self._secrets)
            for settings in self._settings.channels
        }

    def _targets(self) -> Iterator[tuple[str, Target]]:
        """Every device by its id on the campus, as far as it can be commanded."""
        for name, channel in self._channels.items():
            for device in self._devices[name]:
                device_id = f"{self._settings.edge}/{device.name}"
                perform = self._watched(device_id, channel)
                yield device_id, Target(device.address_key, device.profile, perform, device.settings.address)

    def _watched(self, device: str, channel: Channel) -> Callable[[Order], Awaitable[Performed]]:
        def perform(order: Order) -> Awaitable[Performed]:
            return self._doors.watch(device, order.name, lambda: channel.perform(order))

        return perform

    async def _commanded(self, leaf: Down, frame: bytes) -> None:
        if leaf is Down.COMMAND:
            await self._desk.take(frame)
        elif leaf is Down.DOCUMENT:
            await self._cabinet.take(frame)

    def _tune(self, tuning: Tuning) -> None:
        self._tuning = tuning

    def _tuning_of(self, device: str) -> DeviceTuning:
        return self._tuning.devices.get(device.partition("/")[2], UNTUNED)

    def _supervise_channels(self) -> Sequence[Supervisor]:
        return [self._supervise(f"channel {name}", _runner(channel)) for name, channel in self._channels.items()]

    def _supervise_uplink(self) -> Supervisor:
        return self._supervise("uplink", self._serve_uplink)

    def _supervise(self, name: str, run: Callable[[Supervisor], Awaitable[None]]) -> Supervisor:
        return Supervisor(name, run, chance=self._chance)

    async def _serve_uplink(self, supervisor: Supervisor) -> None:
        uplink = self._settings.uplink
        address = uplink.address(self._secrets.uplink_password)
        self._uplink_up = supervisor.up
        try:
            carrier = await MqttCarrier.dial(address, campus=self._settings.campus, edge=self._settings.edge)
        except LinkRefused as refused:
            raise RefusedError(str(refused)) from refused
        try:
            await self._uplink.serve(carrier)
        except UplinkRefusedError as refused:
            raise RefusedError(str(refused)) from refused
        finally:
            await carrier.close()

    async def _maintain(self) -> None:
        path = self._settings.data_dir / HEALTH_FILE
        while True:
            step = await self._outbox.maintain()
            self._watchdog.moved("outbox")
            if step.more:
                # One small step at a time, with room for appends between them.
                await asyncio.sleep(0.02)
                continue
            stamp = self._clock.stamp()
            self._health.observe(await self._outbox.depths(), stamp.mono_ns)
            self._notifier.status(self._texts("edge.status", **asdict(self._health.summary())))
            self._health.write(path, stamp, assume_synced=self._settings.clock.assume_synced)
            await asyncio.sleep(MAINTAIN_S)

    async def _serve_metrics(self, choice: MetricsChoice) -> None:
        from edge_agent.metrics import MetricsPage, serve  # noqa: PLC0415  an HTTP server, for those who want one

        page = MetricsPage(self._health, self._clock, edge=self._settings.edge, version=version())
        await serve(choice.host, choice.port, page.render)

    async def _watch_clock(self) -> None:
        watch = ClockWatch()
        while True:
            self._watchdog.moved("loop")
            step_ms = watch.observe(self._clock.stamp())
            if step_ms is not None:
                mark = ClockMark(id=NO_ID, stamp=NO_STAMP, device=self._settings.edge, step_ms=step_ms)
                await self._intake.accept([Draft(mark)])
            await asyncio.sleep(CLOCK_WATCH_S)

    async def _watch_doors(self) -> None:
        while True:
            if drafts := self._doors.overdue():
                await self._intake.accept(drafts)
            await asyncio.sleep(DOORS_S)

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                while self._uplink.open and await self._owes():  # noqa: ASYNC110  acks set no event
                    await asyncio.sleep(GOODBYE_LOOK_S)

    async def _owes(self) -> bool:
        """Whether the campus has not committed something yet."""
        return any(depth.queued for depth in (await self._outbox.depths()).values())


def _runner(channel: Channel) -> Callable[[Supervisor], Awaitable[None]]:
    return lambda supervisor: channel.run(supervisor.up)


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
