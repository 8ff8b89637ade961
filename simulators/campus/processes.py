"""A campus as running processes: broker, aggregator, two boxes, and the lines between them.

    terminals ──MQTT 3.1.1──> broker <──MQTT 5── box <── (its channel)
                                ^  <──relay──── box     (its line to the campus, can be cut)
                                └──MQTT 5────── aggregator ──HTTP──> the office

Each box joins as a real one does: it makes its key, shows the one-time token and is given what it needs.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aggregator.parts import SERIES_FILE
from aggregator.series import EmbeddedSeries
from aggregator.storage import Database
from edge_agent import OUTBOX_FILE, version
from edge_agent.enrol import EnrolFiles, enrol
from edge_agent.outbox import OutboxError, survey
from edge_agent.settings import Device
from simulators.broker import Flavour
from simulators.campus.http import ApiClient
from simulators.campus.layout import ZONE, Box, Layout, read_devices, write_box, write_broker
from simulators.campus.ledger_client import wait_until_healthy, wait_until_live
from simulators.campus.office import OfficeSecrets, prepare_office, write_aggregator
from simulators.campus.stations import Place, Station
from simulators.campus.tuning import tune
from simulators.children import Program, Supervisor, wait_for_port
from simulators.relay import Relay
from wire.system_clock import SystemClock

START_WITHIN_S: Final = 30.0


class RunningCampus:
    """Start it with `start`, end it with `close`; whatever had been started by then ends."""

    def __init__(self, layout: Layout, *, seed: int = 1) -> None:
        """seed: of what the stations do."""
        self.layout = layout
        self._seed = seed
        self._open: list[Station] = []
        self.children = Supervisor(layout.log_folder)
        self.lines: dict[str, Relay] = {}
        self.secrets: OfficeSecrets | None = None
        self.devices: Mapping[str, Sequence[Device]] = {}
        self.client = ApiClient(layout.ports.api)

    async def start(self) -> OfficeSecrets:
        """Bring everything up, in order. Raises ChildFailedError, ApiUnreachableError, TimeoutError, OSError."""
        layout = self.layout
        layout.log_folder.mkdir(mode=0o700, exist_ok=True)
        for box, station in layout.stations():
            self._open.append(station)
            await station.open(
                Place(folder=layout.folder / f"{box.edge}-{station.name}", edge=box.edge, seed=self._seed, zone=ZONE)
            )
        embedded = write_broker(layout)
        broker = self.children.start(embedded.program)
        write_aggregator(layout)
        secrets = await prepare_office(layout)
        self.client.token = secrets.api_token
        for port in {embedded.device_port, embedded.uplink_port}:
            await wait_for_port(broker, port)
        self._start("aggregator", layout.aggregator_folder, "aggregator.cli", layout.aggregator_config)
        await wait_until_healthy(self.client, within_s=START_WITHIN_S)
        for box in layout.boxes:
            self.lines[box.edge] = await Relay.open(layout.ports.uplink)
            await asyncio.to_thread(self._enrol, box, secrets.enrolment_tokens[box.edge])
        self.devices = await asyncio.to_thread(read_devices, layout)
        await tune(self.client, self.devices)
        for box in layout.boxes:
            self._start(box.edge, box.folder, "edge_agent.cli", box.config_file)
        await wait_until_live(self.client, self.lines, within_s=START_WITHIN_S)
        self.secrets = secrets
        return secrets

    async def close(self) -> None:
        """End all processes and lines, within two seconds."""
        await self.children.close()
        for station in self._open:
            await station.close()
        for line in self.lines.values():
            await line.close()

    def queued(self) -> int | None:
        """Records that the boxes have not yet delivered; None when a box cannot be looked into just now."""
        try:
            return sum(
                depth.queued
                for box in self.layout.boxes
                for depth in survey(box.data_folder / OUTBOX_FILE, SystemClock().stamp()).depths.values()
            )
        except (OutboxError, OSError):
            return None

    async def series_points(self) -> int:
        """Points in the time-series store. Raises StorageError, OSError."""
        series = await Database.open(self.layout.aggregator_folder / "data" / SERIES_FILE, "aggregator.series")
        try:
            return sum((await EmbeddedSeries(series).counts()).values())
        finally:
            await series.close()

    def quarantined(self) -> int:
        """Messages that the boxes keep aside because they could not be read."""
        return sum(
            len(survey(box.data_folder / OUTBOX_FILE, SystemClock().stamp()).quarantined) for box in self.layout.boxes
        )

    def _start(self, name: str, folder: Path, module: str, config: Path) -> None:
        argv = (sys.executable, "-m", module, "run", "-c", str(config))
        self.children.start(Program(name=name, argv=argv, folder=folder))

    def _enrol(self, box: Box, token: str) -> None:
        write_box(self.layout, box, uplink_port=self.lines[box.edge].port)
        files = EnrolFiles(
            identity_key=box.folder / "edge.key",
            campus_key=box.folder / "campus.key",
            campus_public_key=box.folder / "campus.pub",
            broker_password=box.folder / "broker.password",
        )
        enrol(f"http://127.0.0.1:{self.layout.ports.api}", token, edge=box.edge, software=version(), files=files)
        if self.layout.flavour is Flavour.IOTCORE:
            # Its accounts cannot be changed while it runs, so the aggregator could not give the box one.
            files.broker_password.write_text(self.layout.passwords[box.edge] + "\n", encoding="utf-8")


def process_names(layout: Layout) -> tuple[str, ...]:
    """All processes, in the order in which they start."""
    return ("broker", "aggregator", *(box.edge for box in layout.boxes))
