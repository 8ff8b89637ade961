"""A school's terminals at work: a trace of swipes is played to state machines that speak on a broker.

`make_terminals` gives every tenth or so device a character of its own, because a fleet of equal and flawless devices
exists nowhere: a clock that is minutes wrong, an old firmware, one that sends twice, one that is hard of hearing, one
on QoS 0. All of it comes from the seed.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from simulators.chance import seeded
from simulators.device import DeviceClock, Memory, Time, Witness
from simulators.facesluice import Misbehaviour, Terminal
from simulators.facesluice_messages import TerminalConfig
from simulators.mqtt_device import DeviceRunner
from simulators.people import Person, Swipe
from wire.mqtt_link import BrokerAddress

# One in a hundred swipes comes with something the terminal says once: a code it cannot judge, a card, its own alarm.
_CHATTER: Final = 0.01


WELL_BEHAVED: Final = Misbehaviour()


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """What is particular about a device."""

    wrong_by_s: float = 0.0
    misbehaviour: Misbehaviour = WELL_BEHAVED
    old_firmware: bool = False
    qos: int = 1
    window: int = 1
    scene: bool = False


FLAWLESS: Final = Character()
# By place in a block of ten terminals; the places not named are flawless.
CHARACTERS: Final[Mapping[int, Character]] = {
    1: Character(wrong_by_s=-247.0),
    3: Character(old_firmware=True, misbehaviour=Misbehaviour(twice=0.10)),
    4: Character(window=4, scene=True),
    6: Character(misbehaviour=Misbehaviour(deaf=0.02)),
    7: Character(wrong_by_s=3_600.0, misbehaviour=Misbehaviour(garbage=0.05)),
    8: Character(qos=0),
}


def make_terminals(
    configs: Sequence[TerminalConfig],
    seed: int,
    witness: Witness,
    *,
    characters: Mapping[int, Character] | None = None,
    memory_capacity: int = 20_000,
    zone: str = "Asia/Shanghai",
    qos: int = 1,
) -> list[Terminal]:
    """One terminal per configuration. characters: by index modulo ten; absent: `CHARACTERS`. qos: at most this one."""
    characters = CHARACTERS if characters is None else characters
    terminals = []
    for index, config in enumerate(configs):
        character = characters.get(index % 10, FLAWLESS)
        terminals.append(
            Terminal(
                replace(
                    config,
                    old_firmware=character.old_firmware,
                    qos=min(qos, character.qos),
                    window=character.window,
                    scene=character.scene,
                ),
                clock=DeviceClock(zone, wrong_by_s=character.wrong_by_s),
                memory=Memory(capacity=memory_capacity),
                witness=witness,
                chance=seeded(seed, "terminal", config.device_id),
                misbehaviour=character.misbehaviour,
            )
        )
    return terminals


class School:
    """Terminals, the people before them, and the connections."""

    def __init__(
        self,
        terminals: Sequence[Terminal],
        address_of: Callable[[Terminal], BrokerAddress],
        people: Sequence[Person],
        trace: Iterator[Swipe],
        *,
        seed: int,
        clock: Time,
    ) -> None:
        """trace: what happens, in order of time; see `people.school_days` and `people.steady_flow`."""
        self.terminals = terminals
        self.runners = {
            terminal.client_id: DeviceRunner(
                terminal, address_of(terminal), clock=clock, chance=seeded(seed, "link", terminal.client_id).random
            )
            for terminal in terminals
        }
        self._people = people
        self._trace = trace
        self._chatter: random.Random = seeded(seed, "chatter")
        self._numbers = itertools.count(1)

    async def run_links(self) -> None:
        """Keep every device connected; ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            for runner in self.runners.values():
                group.create_task(runner.run())

    async def produce(self) -> None:
        """Play the trace in real time; ends only by cancellation."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for swipe in self._trace:
            # Also when late: a trace that has to be caught up with must not keep the devices from speaking.
            await asyncio.sleep(max(0.0, began_s + swipe.at_s - loop.time()))
            self.play(swipe)

    def play(self, swipe: Swipe) -> None:
        """One swipe happens now."""
        terminal = self.terminals[swipe.terminal]
        runner = self.runners[terminal.client_id]
        terminal.swipe(swipe, None if swipe.who is None else self._people[swipe.who], runner.now())
        if self._chatter.random() < _CHATTER:
            self._chat(terminal, runner)
        runner.nudge()

    def owed(self) -> int:
        """Records that the devices still hold."""
        return sum(terminal.memory.owed() for terminal in self.terminals)

    def _chat(self, terminal: Terminal, runner: DeviceRunner) -> None:
        number = next(self._numbers)
        match self._chatter.randrange(3):
            case 0:
                terminal.show_qr(f"DEMO-{number:08d}", runner.now())
            case 1:
                terminal.show_card(self._chatter.choice(self._people).card, runner.now())
            case _:
                terminal.alarm("tamper", runner.now())
