"""Broadcast: two amplifiers on the campus broker, in the corridors and on the sports ground.

The bell and the music are played by the office, by command. By themselves the amplifiers say what they measure at their
outputs, one of which has a bad line and one an amplifier that fails now and then, and when somebody at the rack touches
a key.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aggregator.broker import BrokerUser, Grant, Role
from simulators.campus.naming import named
from simulators.campus.operator import Order
from simulators.campus.stations import Known, Life, Place, Station
from simulators.chance import seeded
from simulators.mqtt_device import DeviceRunner
from simulators.nxt_pa import Amplifier, AmplifierConfig, Key

TREE: Final = "channels/school"
PROFILE: Final = "nxt-pa"
PLACES: Final = ("corridor", "ground")
OUTPUTS: Final = 4
SONGS: Final[Mapping[str, float]] = {"bell.mp3": 4.0, "music.mp3": 30.0}
# A box that was killed knows of a device again once it has heard of it.
INFO_EVERY_S: Final = 3.0
HAPPENS_EVERY_S: Final = (1.0, 3.0)
# One thing that happens in so many is a key; the others are self-tests.
KEY_ONE_IN: Final = 4
BAD_OUTPUT: Final = 4
FAILING_OUTPUT: Final = 2


class BroadcastStation(Station):
    """See the module."""

    name = "broadcast"

    def __init__(self) -> None:
        self._place: Place | None = None
        self._amplifiers: list[tuple[Amplifier, DeviceRunner]] = []

    async def open(self, place: Place) -> None:
        """See Station: nothing is bound, the broker is the campus'."""
        self._place = place

    def channels(self) -> Sequence[Mapping[str, Any]]:
        """See Station."""
        return [
            {
                "name": "broadcast",
                "protocol": PROFILE,
                "transport": {"kind": "mqtt", "topic_prefix": TREE},
                "devices": [
                    {
                        "name": name,
                        "profile": PROFILE,
                        "address": {"device_id": identity},
                        **named("amplifier", place),
                    }
                    for (name, identity), place in zip(_names(), PLACES, strict=True)
                ],
            }
        ]

    def known(self) -> Mapping[str, Known]:
        """See Station."""
        return {identity: Known(device=name) for name, identity in _names()}

    def accounts(self, password_hash: Mapping[str, str]) -> Sequence[BrokerUser]:
        """See Station. The real ones share an account; each of ours has its own and hears nobody else."""
        return [
            BrokerUser(
                name=identity,
                role=Role.TERMINALS,
                password_hash=password_hash[identity],
                grants=tuple(Grant(access, f"{TREE}/messages/{identity}") for access in ("write", "read")),
            )
            for _, identity in _names()
        ]

    def account_names(self) -> Sequence[str]:
        """See Station."""
        return [identity for _, identity in _names()]

    def topic_prefixes(self) -> Sequence[str]:
        """See Station."""
        return [f"{TREE}/messages"]

    def orders(self) -> Sequence[Order]:
        """See Station: the bell everywhere; music in one zone, a file that is not there, silence, another volume."""
        assert self._place is not None  # noqa: S101  opened before anything is asked
        devices = tuple(f"{self._place.edge}/{name}" for name, _ in _names())
        bell = {"song": "bell.mp3", "zones": "1,2,3,4", "volume": 15}
        return [Order(devices, "Play", bell, bell=True)] + [
            Order((device,), name, arguments)
            for device in devices
            for name, arguments in (
                ("Play", {"song": "music.mp3", "zones": "3", "volume": 6}),
                ("Play", {"song": "missing.mp3", "zones": "1", "volume": 6}),
                ("Stop", {"zones": "3"}),
                ("SetVolume", {"zone": 2, "volume": 9}),
            )
        ]

    async def run(self, life: Life) -> None:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before it runs
        for index, (_, identity) in enumerate(_names()):
            config = AmplifierConfig(
                device_id=identity, tree=TREE, outputs=OUTPUTS, songs=SONGS, info_interval_s=INFO_EVERY_S
            )
            amplifier = Amplifier(config, witness=life.witness)
            chance = seeded(self._place.seed, "amplifier", index)
            runner = DeviceRunner(amplifier, life.broker[identity], clock=life.clock, chance=chance.random)
            self._amplifiers.append((amplifier, runner))
        async with asyncio.TaskGroup() as group:
            for _, runner in self._amplifiers:
                group.create_task(runner.run())

    async def produce(self, life: Life) -> None:
        """See Station."""
        del life
        async with asyncio.TaskGroup() as group:
            for index, (amplifier, runner) in enumerate(self._amplifiers):
                group.create_task(self._use(index, amplifier, runner))

    async def _use(self, index: int, amplifier: Amplifier, runner: DeviceRunner) -> None:
        assert self._place is not None  # noqa: S101  opened before it runs
        chance = seeded(self._place.seed, "rack", index)
        while True:
            await asyncio.sleep(chance.uniform(*HAPPENS_EVERY_S))
            if chance.randrange(KEY_ONE_IN) == 0:
                amplifier.press(chance.choice((Key.MUTE, Key.VOLUME_UP, Key.VOLUME_DOWN)), runner.now())
                failing = amplifier.outputs[FAILING_OUTPUT]
                failing.broken = failing.spare = not failing.broken
            else:
                output = chance.randint(1, OUTPUTS)
                amplifier.self_test(output, runner.now(), sound=output != BAD_OUTPUT)
            runner.nudge()


def _names() -> Iterator[tuple[str, str]]:
    """Name on the box, identity of the device."""
    yield from ((f"amplifier-{number}", f"NXT2204-{number:06d}") for number in range(1, len(PLACES) + 1))


STATION: Final = BroadcastStation
