"""A campus of real processes for the bench: the acceptance tests' site, whose processes end when the bench does.

It is set up once, by the first part that needs it, and shared: each part says which channels hang on the one box
`gate-1` and whether the aggregator runs, and gets a box that begins with an empty outbox. How far outbox and ledger
have come is asked of their own files, which costs nobody who is measured anything.
"""

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from edge_agent import OUTBOX_FILE
from edge_agent.outbox import OutboxError, survey
from tests.acceptance.site import CAMPUS, Process, Site, eventually
from tests.bench.processes import Helper, helper
from tests.bench.terminals import device_ids
from wire.system_clock import SystemClock
from wire.topics import Lane

TERMINALS: Final = 100
UP_TOPIC: Final = f"campus/v1/{CAMPUS}/gate-1/up"


class BenchSite(Site):
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self.password_file = folder / "terminals.password"
        super().__init__(folder, device_ids(TERMINALS), {}, {})
        self._faces: list[dict[str, Any]] = self._settings()["channels"]

    def process(self, argv: list[str], log: Path) -> Process:
        return Process([sys.executable, "-m", "simulators.child", str(os.getpid()), *argv], log)

    def start(self) -> None:
        super().start()
        self.password_file.write_text(self.terminal_password())

    @property
    def profiles(self) -> Path:
        """Where the box looks for profiles of its own."""
        return self.edge_file.parent / "profiles"

    def box_alone(self, channels: list[dict[str, Any]] | None = None) -> None:
        """Neither the aggregator nor the box runs; the box will have these channels, else its terminals."""
        self.edge.stop()
        self.aggregator.stop()
        self._prepare(channels)

    def all_up(self, channels: list[dict[str, Any]] | None = None) -> None:
        """Aggregator and box run and know each other."""
        self.edge.stop()
        self._prepare(channels)
        if not self.aggregator.running:
            self.aggregator.start()
        self.edge.start()
        eventually(self._delivering)

    def _delivering(self) -> bool:
        return self.depth().get(Lane.S, 1) == 0 and self.get("/edges/gate-1").get("state") == "live"

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = yaml.safe_load(self.edge_file.read_text(encoding="utf-8"))
        return settings

    def _prepare(self, channels: list[dict[str, Any]] | None) -> None:
        self.profiles.mkdir(exist_ok=True)
        shutil.rmtree(self.edge_file.parent / "data", ignore_errors=True)
        settings = self._settings() | {"profile_folders": ["profiles"], "channels": channels or self._faces}
        self.edge_file.write_text(yaml.safe_dump(settings), encoding="utf-8")

    @property
    def pids(self) -> dict[str, int]:
        """Of what runs."""
        return {"edge": self.edge.pid, "broker": self.broker.pid, "aggregator": self.aggregator.pid}

    @contextmanager
    def terminals(self) -> Iterator[Helper]:
        """The helper that plays the terminals."""
        with helper("terminals", self.broker_port, "faces", self.password_file, TERMINALS) as playing:
            yield playing

    def watch_batches(self) -> dict[str, Any]:
        """How to hear what leaves the box."""
        password = (self.campus_file.parent / "keys" / "broker.password").read_text().strip()
        return {"port": self.broker_port, "user": "aggregator", "password": password, "topic": f"{UP_TOPIC}/D"}

    def stored(self, lane: Lane) -> int:
        """The highest number of a lane that stands in the outbox; 0 while there is none."""
        try:
            return survey(self._outbox, SystemClock().stamp()).states[lane].last
        except (OutboxError, OSError):
            return 0

    def depth(self) -> dict[Lane, int]:
        """How much of each lane waits in the outbox; {} while there is none."""
        try:
            return {lane: depth.queued for lane, depth in survey(self._outbox, SystemClock().stamp()).depths.items()}
        except (OutboxError, OSError):
            return {}

    @property
    def _outbox(self) -> Path:
        return self.edge_file.parent / "data" / OUTBOX_FILE

    def committed(self) -> int:
        """How many numbers of lane D, of all epochs, stand in the ledger."""
        path = self.campus_file.parent / "data" / "ledger.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as ledger:
            row = ledger.execute("SELECT sum(through) FROM watermarks WHERE edge = 'gate-1' AND lane = 'D'").fetchone()
        return int(row[0] or 0)

    def settled(self, *, delivering: bool = True, within_s: float = 60.0) -> int:
        """Wait until nothing new has been stored for a second, and it is delivered. Gives what is committed then.

        What a broker dropped under too much load never comes, so nobody may wait for a number.
        """
        last, deadline_s = -1, time.monotonic() + within_s
        while (now := self.stored(Lane.D)) != last or (delivering and self.depth().get(Lane.D)):
            assert time.monotonic() < deadline_s, f"still {self.depth()} after {within_s} s"
            last = now
            time.sleep(1.0)
        return self.committed()


class Campus:
    """The one site of a run, set up by whoever asks first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._site: BenchSite | None = None

    @property
    def site(self) -> BenchSite:
        """Running, or to be brought to run with `all_up`."""
        if self._site is None:
            self._site = BenchSite(self._folder)
            self._site.start()
        return self._site

    def close(self) -> None:
        """Nothing of it runs."""
        if self._site is not None:
            self._site.stop()


@contextmanager
def campus() -> Iterator[Campus]:
    """A campus inside the block; nothing of it is left behind it."""
    with tempfile.TemporaryDirectory(prefix="campus-bench-") as folder:
        shared = Campus(Path(folder))
        try:
            yield shared
        finally:
            shared.close()
