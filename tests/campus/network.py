"""The broker and the lines to it: everything that can go wrong with a frame between a box and its campus.

A box dials and gets a `Line`, which is the production uplink's Carrier. Frames are real bytes. A line has a delay and,
if wanted, a bandwidth; frames on it may be lost, doubled, reordered, cut short, held back (a stalled connection:
`unsent` is true and nothing moves) or end with the connection. The broker routes by topic, as MQTT does: what the
campus says goes to whoever is subscribed for that box now, and a second client with the same id throws the first one
out. It keeps nothing: a restart forgets all that is under way.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.campus.chance import Chance
from tests.campus.trace import Trace
from wire.topics import Down, Lane, Up

# What a kernel takes from a program before it says "wait".
SOCKET_BYTES = 64 * 1024


@dataclass(frozen=True)
class Weather:
    """What a network does to frames. Probabilities per frame, bytes_per_s absent: no limit."""

    delay_s: tuple[float, float] = (0.01, 0.05)
    loss: float = 0.0
    duplication: float = 0.0
    reorder: float = 0.0
    cut_short: float = 0.0
    bytes_per_s: float | None = None


CALM = Weather()
ROUGH = Weather(delay_s=(0.02, 0.4), loss=0.05, duplication=0.05, reorder=0.05, cut_short=0.002)
WILD = Weather(delay_s=(0.02, 2.0), loss=0.15, duplication=0.1, reorder=0.15, cut_short=0.01)


class Line:
    """One connection of one box. Implements edge_agent.uplink.seams.Carrier."""

    def __init__(self, broker: "Broker", edge: str, chance: Chance) -> None:
        self.edge = edge
        self.closed = False
        self.stalled = False
        self._broker = broker
        self._chance = chance
        self._inbox: deque[tuple[Down, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._held: list[tuple[Up | Lane, bytes]] = []
        self._free_at_s = {"up": 0.0, "down": 0.0}
        self._last_at_s = {"up": 0.0, "down": 0.0}

    # --- the box's end

    def send(self, leaf: Up | Lane, frame: bytes) -> None:
        if self.closed:
            raise ConnectionResetError("the line is gone")
        if self.stalled:
            self._held.append((leaf, frame))
            return
        self._carry("up", frame, lambda bytes_: self._broker.arrived_up(self.edge, Up(leaf.value), bytes_), str(leaf))

    def unsent(self) -> bool:
        weather, now_s = self._broker.weather, asyncio.get_running_loop().time()
        if self._held or weather.bytes_per_s is None:
            return bool(self._held)
        return (self._free_at_s["up"] - now_s) * weather.bytes_per_s > SOCKET_BYTES

    async def receive(self) -> tuple[Down, bytes]:
        while not self._inbox:
            if self.closed:
                raise ConnectionResetError("the line is gone")
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    # --- what the world does to it

    def reset(self) -> None:
        """The connection ends; what was on its way is gone."""
        self.closed = True
        self._held.clear()
        self._arrived.set()

    def cut(self) -> None:
        """The box is dead: nobody will ever hear of this end again."""
        self.closed = True
        self._held.clear()
        self._inbox.clear()

    def stall(self) -> None:
        self.stalled = True

    def flow(self) -> None:
        """The stall is over; what was held back goes on its way."""
        self.stalled = False
        held, self._held = self._held, []
        for leaf, frame in held:
            if not self.closed:
                self.send(leaf, frame)

    def push(self, leaf: Down, frame: bytes) -> None:
        """The broker has a frame for this box."""
        if not self.stalled:
            self._carry("down", frame, lambda bytes_: self._deliver(leaf, bytes_), str(leaf))

    def _deliver(self, leaf: Down, frame: bytes) -> None:
        self._inbox.append((leaf, frame))
        self._arrived.set()

    def _carry(self, way: str, frame: bytes, arrive: Callable[[bytes], None], leaf: str) -> None:
        weather, chance, loop = self._broker.weather, self._chance, asyncio.get_running_loop()
        trace, who = self._broker.trace, self.edge
        if chance.happens(weather.loss):
            trace.say(who, "lost", way, leaf, len(frame))
            return
        if chance.happens(weather.cut_short):
            frame = frame[: chance.randrange(len(frame))]
            trace.say(who, "cut short", way, leaf, len(frame))
        for copy in range(2 if chance.happens(weather.duplication) else 1):
            sent_s = loop.time()
            if weather.bytes_per_s is not None:
                sent_s = self._free_at_s[way] = max(self._free_at_s[way], sent_s) + len(frame) / weather.bytes_per_s
            at_s = sent_s + chance.uniform(*weather.delay_s)
            if copy == 0 and not chance.happens(weather.reorder):
                at_s = self._last_at_s[way] = max(at_s, self._last_at_s[way])
            generation = self._broker.generation

            def land(generation: int = generation) -> None:
                if generation != self._broker.generation:
                    return
                # What had reached the broker arrives, however dead its sender is.
                if self.closed and (way == "down" or chance.happens(0.5)):
                    return
                trace.say(who, way, leaf, hashlib.sha256(frame).hexdigest()[:8], len(frame))
                arrive(frame)

            loop.call_at(at_s, land)


class Broker:
    """Where the lines meet. campus: takes frames of boxes; unset while the campus is away."""

    def __init__(self, chance: Chance, trace: Trace) -> None:
        self.trace = trace
        self.weather = CALM
        self.generation = 0
        self.up = True
        self.unreachable: set[str] = set()
        self.campus: Callable[[str, Up, bytes], None] | None = None
        self._chance = chance
        self._lines: dict[str, Line] = {}
        self._dialled = 0

    async def dial(self, edge: str, place: str) -> Line:
        """A line for a box. place: where it stands, for partitions; a clone stands elsewhere under the same name.
        Raises ConnectionRefusedError, TimeoutError.
        """
        await asyncio.sleep(self._chance.uniform(*self.weather.delay_s) * 3)
        if place in self.unreachable:
            await asyncio.sleep(5)
            raise TimeoutError("nobody answers")
        if not self.up:
            raise ConnectionRefusedError("no broker")
        self._dialled += 1
        line = Line(self, edge, self._chance.of(f"line {self._dialled}"))
        earlier = self._lines.get(edge)
        if earlier is not None and not earlier.closed:
            self.trace.say(edge, "thrown out by a second client")
            earlier.reset()
        self._lines[edge] = line
        self.trace.say(place, "connected")
        return line

    def arrived_up(self, edge: str, leaf: Up, frame: bytes) -> None:
        if self.campus is not None:
            self.campus(edge, leaf, frame)

    def send_down(self, edge: str, leaf: Down, frame: bytes) -> None:
        line = self._lines.get(edge)
        if line is not None and not line.closed:
            line.push(leaf, frame)

    def restart(self) -> None:
        """Forget everything under way, throw everyone out."""
        self.generation += 1
        for line in self._lines.values():
            line.reset()
        self._lines.clear()

    def lines(self) -> list[Line]:
        return [line for line in self._lines.values() if not line.closed]
