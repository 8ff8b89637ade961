"""What ZKTeco's push devices share: they say hello, fetch options, upload what they owe, poll for commands.

    hello -- options --> serving -- no answer, or one that is not OK --> wait ErrorDelay -- hello again
                           |  owed rows first, oldest first, in batches; then results; then a poll every Delay seconds

A batch stays in memory until the answer begins with OK; an answer that got lost makes the device send the same rows
again, byte for byte. What the device is told to do, it fetches with its poll as `C:<id>:<command>` and reports with
`ID=<id>&Return=<code>&CMD=<word>`. Commands of the operating system (SHELL, PutFile, …) are refused here, as everything
unknown is, with -1002.

Written from ZKTeco's documents of its push protocols, not from the codec of the edge agent.
"""

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulators.device import DeviceClock, Kept, Memory, Moment, Witness
from simulators.http_device import Ask, Reply

NOT_SUPPORTED: Final = -1002
BAD_PARAMETER: Final = -1
_RESULTS_MAX: Final = 32
_UPLOADS_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class IclockConfig:
    """serial: `SN`. batch: rows in one upload. waits_max_s: no wait that the options ask for lasts longer, so that a
    test need not last as long as a school day; None: as the options say.
    """

    serial: str
    batch: int = 50
    waits_max_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IclockFaults:
    """How often, 0 to 1: an answer is lost (deaf), the line dies within a request (cut), an upload is nothing but
    garbage.
    """

    deaf: float = 0.0
    cut: float = 0.0
    garbage: float = 0.0


class IclockDevice(ABC):
    """One device. Clock and memory survive power cuts; everything else in here does not."""

    def __init__(
        self,
        config: IclockConfig,
        *,
        clock: DeviceClock,
        memory: Memory,
        witness: Witness,
        chance: random.Random,
        faults: IclockFaults | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.memory = memory
        self.powered = True
        self.refused: list[str] = []
        self.done: list[str] = []
        self._witness = witness
        self._chance = chance
        self._faults = faults or IclockFaults()
        self._reset()

    def _reset(self) -> None:
        self._greeted = False
        self._options: dict[str, str] = {}
        self._not_before_s = 0.0
        self._next_poll_s = 0.0
        self._results: deque[str] = deque(maxlen=_RESULTS_MAX)
        self._again: deque[Kept] = deque()
        self._sent: list[Kept] = []
        # What is said beside the records, and forgotten with the power.
        self._uploads: deque[Ask] = deque(maxlen=_UPLOADS_MAX)

    # --- the world --------------------------------------------------------------------------------------

    def owed(self) -> int:
        """Records that have not been acknowledged."""
        return self.memory.owed()

    def power_off(self) -> None:
        """Power cut: only clock and memory stay."""
        self.powered = False
        self._reset()

    def power_on(self) -> None:
        """Power is back."""
        self.powered = True

    # --- the wire ---------------------------------------------------------------------------------------

    def next_request(self, now: Moment) -> Ask | None:
        """See HttpMachine."""
        if not self.powered or now.mono_s < self._not_before_s:
            return None
        ask = self._wanted(now)
        if ask is not None and ask.body and self._chance.random() < self._faults.cut:
            return ask._replace(cut=self._chance.randrange(1, 100 + len(ask.body)))
        return ask

    def wake_at(self) -> float | None:
        """See HttpMachine."""
        if not self.powered:
            return None
        return max(self._not_before_s, self._next_poll_s)

    def answered(self, ask: Ask, reply: Reply, now: Moment) -> None:
        """See HttpMachine."""
        if self._chance.random() < self._faults.deaf:
            self.failed(ask, now)
            return
        text = reply.body.decode("ascii", "replace")
        if reply.status != 200:
            self.failed(ask, now)
            return
        match ask.purpose:
            case "hello":
                self._hello(text, now)
            case "poll":
                self._next_poll_s = now.mono_s + self._wait_s("Delay", 30.0)
                for line in text.splitlines():
                    self._command(line)
            case "results" if text.startswith("OK"):
                self._results.clear()
            case "rows" if text.startswith("OK"):
                self._released(text, now)
            case "other" if text.startswith("OK"):
                self._uploads.popleft()
            case _:
                self.failed(ask, now)

    def failed(self, ask: Ask, now: Moment) -> None:
        """See HttpMachine."""
        del ask
        self._greeted = False
        self._sent = []
        self._not_before_s = now.mono_s + self._wait_s("ErrorDelay", 60.0)

    def _wanted(self, now: Moment) -> Ask | None:
        if not self._greeted:
            return Ask("GET", self._hello_target(), "hello")
        if self._results:
            return Ask("POST", self._target("result"), "results", "".join(self._results).encode())
        if self.memory.owed() or self._again:
            if self._chance.random() < self._faults.garbage:
                self._witness.garbled(self.config.serial, now)
                # No tab in it, so that nobody can take it for a row.
                noise = self._chance.randbytes(self._chance.randrange(1, 80)).replace(b"\t", b"?").replace(b"\n", b"?")
                return Ask("POST", self._rows_target([]), "garbage", b"\xff" + noise)
            self._sent = self._batch()
            if self._sent:
                body = "\n".join(self._row(record) for record in self._sent) + "\n"
                for record in self._sent:
                    record.sent = True
                return Ask("POST", self._rows_target(self._sent), "rows", body.encode())
        if self._uploads:
            return self._uploads[0]
        return Ask("GET", self._poll_target(), "poll") if now.mono_s >= self._next_poll_s else None

    def _batch(self) -> list[Kept]:
        """What was asked for again, else the oldest records that are owed, of one table."""
        chosen: list[Kept] = []
        source = list(self._again) or [record for record in self.memory.unacked() if self._sends(record)]
        for record in source:
            if len(chosen) >= self.config.batch or (chosen and record.key.series != chosen[0].key.series):
                break
            chosen.append(record)
        return chosen

    def _released(self, text: str, now: Moment) -> None:
        count = self._acknowledged(text, len(self._sent))
        for record in self._sent[:count]:
            if self._again and self._again[0] is record:
                self._again.popleft()
            if self.memory.owes(record.key):
                # Told before, forgotten after: a journal may know too much, never too little.
                self._witness.released(self.config.serial, record, now)
                self.memory.acknowledge(record.key.series, record.key.number)
        self._sent = []

    def _acknowledged(self, text: str, sent: int) -> int:
        del text
        return sent

    def _hello(self, text: str, now: Moment) -> None:
        lines = text.splitlines()
        if not lines or lines[0] != f"GET OPTION FROM: {self.config.serial}":
            self.failed(Ask("GET", "", "hello"), now)
            return
        self._options = {name: value for name, _, value in (line.partition("=") for line in lines[1:])}
        self._greeted = True
        self._next_poll_s = now.mono_s
        self._heard_options()

    def _wait_s(self, option: str, otherwise_s: float) -> float:
        try:
            wait_s = float(self._options.get(option, otherwise_s))
        except ValueError:
            wait_s = otherwise_s
        return wait_s if self.config.waits_max_s is None else min(wait_s, self.config.waits_max_s)

    def _command(self, line: str) -> None:
        parts = line.split(":", 2)
        if len(parts) != 3 or parts[0] != "C":
            return
        _, command_id, text = parts
        code = self._carry_out(text)
        if code is None:
            self.refused.append(text)
            code = NOT_SUPPORTED
        elif code >= 0:
            self.done.append(text)
        self._results.append(f"ID={command_id}&Return={code}&CMD={text.split()[0] if text.split() else ''}\n")

    def _replay(self, records: Sequence[Kept]) -> int:
        coming = {record.key for record in self._again}
        self._again.extend(record for record in records if record.key not in coming)
        return 0

    # --- what the kinds differ in -------------------------------------------------------------------------

    @abstractmethod
    def _hello_target(self) -> str: ...

    @abstractmethod
    def _poll_target(self) -> str: ...

    @abstractmethod
    def _rows_target(self, records: Sequence[Kept]) -> str: ...

    @abstractmethod
    def _target(self, what: str) -> str: ...

    @abstractmethod
    def _row(self, record: Kept) -> str: ...

    @abstractmethod
    def _carry_out(self, text: str) -> int | None:
        """The code of a command; None when the device does not know it."""

    @abstractmethod
    def _heard_options(self) -> None: ...

    def _sends(self, record: Kept) -> bool:
        """Whether the device sends this record by itself."""
        del record
        return True

    def _keep(self, series: str, who: int | None, status: str, fields: dict[str, object], now: Moment) -> Kept:
        device_s = self.clock.seconds(now)
        record = Kept(
            key=self.memory.next_key(series),
            device_time=self.clock.text_of(device_s),
            device_s=device_s,
            who=who,
            status=status,
            fields=fields,
        )
        self._witness.produced(self.config.serial, record, now)
        overwritten = self.memory.add(record)
        if overwritten is not None:
            self._witness.destroyed(self.config.serial, overwritten, "overwritten", now)
        return record
