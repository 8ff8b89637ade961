"""One-card readers on serial lines: a 125 kHz reader at the library, a code scanner at the counter."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

from simulators.campus.naming import named
from simulators.campus.stations import Known, LateWitness, Life, Place, Station
from simulators.chance import seeded
from simulators.serial_readers import Kind, SerialReader
from wire.clock import SystemTime

READERS: Final[Mapping[str, Kind]] = {"library-1": "rdm6300", "scanner-1": "qr-line"}
# What each is, and where.
WHERE: Final[Mapping[str, tuple[str, str]]] = {
    "library-1": ("reader", "reading_room"),
    "scanner-1": ("scanner", "counter"),
}
# Two tags at one reader within less than a second count as one; people are slower.
EVERY_S: Final = (1.5, 4.0)


class ReaderStation(Station):
    """See the module."""

    name = "readers"

    def __init__(self) -> None:
        self._folder = Path()
        self._seed = 0
        self._witness = LateWitness()
        self._readers: list[SerialReader] = []

    async def open(self, place: Place) -> None:
        """See Station: the ports must be there before a box looks for them."""
        self._folder, self._seed = place.folder, place.seed
        place.folder.mkdir(mode=0o700)
        for name, kind in READERS.items():
            reader = SerialReader(name, kind, place.folder / name, witness=self._witness, clock=SystemTime())
            reader.replug()
            self._readers.append(reader)

    def channels(self) -> Sequence[Mapping[str, Any]]:
        """See Station."""
        return [
            {
                "name": name,
                "protocol": kind,
                "transport": {"kind": "serial", "port": str(self._folder / name)},
                "devices": [{"name": name, "profile": kind, "address": {}, **named(*WHERE[name])}],
            }
            for name, kind in READERS.items()
        ]

    def known(self) -> Mapping[str, Known]:
        """See Station."""
        return {name: Known(device=name) for name in READERS}

    async def run(self, life: Life) -> None:
        """See Station."""
        del life
        await asyncio.Event().wait()

    async def produce(self, life: Life) -> None:
        """See Station."""
        self._witness.told = life.witness
        async with asyncio.TaskGroup() as group:
            for reader in self._readers:
                group.create_task(self._use(life, reader))

    async def close(self) -> None:
        """See Station."""
        for reader in self._readers:
            reader.unplug()

    async def _use(self, life: Life, reader: SerialReader) -> None:
        chance = seeded(self._seed, "reader", reader.name)
        for number in count(1):
            await asyncio.sleep(chance.uniform(*EVERY_S))
            person = chance.choice(life.people)
            # What has begun is shown to its end, so that the last one of a day is whole, too.
            text = person.card if reader.kind == "rdm6300" else f"LOAN-{number:06d}"
            await asyncio.shield(asyncio.ensure_future(reader.show(text, held_s=chance.uniform(0.1, 0.5))))


STATION: Final = ReaderStation
