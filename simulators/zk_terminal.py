"""A ZKTeco attendance terminal: the device's side of `/iclock/cdata`, as a state machine without socket and clock.

ATTLOG rows are who, when, in or out, and how. They have no number. The terminal keeps each until `OK: <n>` has come for
its upload, and a row sent again is the same to the byte. It takes no second punch of one person within the same second
(terminals have a guard against that, usually of a minute). Stamp 0 in the options makes it send everything it holds;
`DATA QUERY ATTLOG StartTime= EndTime=` a span of it; both without regard to what was acknowledged.

OPERLOG rows: OPLOG for what happens at the terminal itself (kept like punches), and USER rows with the name of a person
in GB2312 and the password, because firmware sends them when somebody is enrolled. ATTPHOTO when it has a camera and the
options do not forbid it.

Source: ZKTeco "考勤 PUSH 通讯协议", PUSH 2.4.2.
"""

import re
from collections.abc import Sequence
from typing import Final

from simulators.device import Kept, Moment
from simulators.http_device import Ask
from simulators.iclock_device import BAD_PARAMETER, IclockDevice
from simulators.people import Person, Shown, Swipe, Verdict

ATT: Final = "att"
OP: Final = "op"
VERIFY: Final = {Shown.FACE: 15, Shown.CARD: 4, Shown.QR: 200}
_TABLES: Final = {ATT: "ATTLOG", OP: "OPERLOG"}
_QUERY: Final = re.compile(r"DATA QUERY ATTLOG StartTime=(.{19})\tEndTime=(.{19})\Z")


class ZkTerminal(IclockDevice):
    """One terminal. Feed it with what happens in front of it."""

    unlocked = 0
    _second = ""
    _in_second: list[dict[str, object]]

    # --- the world --------------------------------------------------------------------------------------

    def swipe(self, swipe: Swipe, person: Person | None, now: Moment) -> Kept | None:
        """Somebody stands before the terminal. None when there is no power, or no row comes of it."""
        if not self.powered:
            return None
        if swipe.verdict is not Verdict.ALLOWED or person is None:
            return self.operation(2, now)
        return self.punch(person.site_id, swipe.who, now, out=swipe.direction == "out", verify=VERIFY[swipe.shown])

    def punch(self, pin: str, who: int | None, now: Moment, *, out: bool = False, verify: int = 1) -> Kept | None:
        """A person that the terminal knows. None when the same was there this very second."""
        status = int(out)
        fields: dict[str, object] = {"pin": pin, "status": status, "verify": verify}
        if self._is_repeated(now, fields):
            return None
        return self._keep(ATT, who, str(status), fields, now)

    def operation(self, number: int, now: Moment, *, first: int = 0) -> Kept | None:
        """Something happens at the terminal itself: the type of an OPLOG row and its first value."""
        fields: dict[str, object] = {"operation": number, "first": first}
        if self._is_repeated(now, fields):
            return None
        return self._keep(OP, None, str(number), fields, now)

    def enrol(self, person: Person) -> None:
        """A person is entered at the terminal, which tells everything it knows of them."""
        row = (
            f"USER PIN={person.site_id}\tName={person.name}\tPri=0\tPasswd=135790\tCard=[{int(person.card):08X}]\tGrp=1"
        )
        target = f"{self._base('cdata')}&table=OPERLOG&Stamp=9999"
        self._uploads.append(Ask("POST", target, "other", row.encode("gb2312", "replace") + b"\n"))

    def photograph(self, picture: bytes) -> None:
        """The terminal took a picture."""
        target = f"{self._base('cdata')}&table=ATTPHOTO&Stamp=9999"
        head = f"PIN=20260901075510-1.jpg\nSN={self.config.serial}\nsize={len(picture)}\nCMD=uploadphoto\0"
        self._uploads.append(Ask("POST", target, "other", head.encode() + picture))

    def _is_repeated(self, now: Moment, fields: dict[str, object]) -> bool:
        """Whether the same happened within this very second of the clock."""
        second = self.clock.text(now)
        if second != self._second:
            self._second, self._in_second = second, []
        if fields in self._in_second:
            return True
        self._in_second.append(fields)
        return False

    # --- the wire ---------------------------------------------------------------------------------------

    def _base(self, endpoint: str) -> str:
        return f"/iclock/{endpoint}?SN={self.config.serial}"

    def _hello_target(self) -> str:
        return f"{self._base('cdata')}&options=all&pushver=2.4.1&DeviceType=att&language=83&pushcommkey=0"

    def _poll_target(self) -> str:
        return self._base("getrequest")

    def _rows_target(self, records: Sequence[Kept]) -> str:
        series = records[0].key.series if records else ATT
        return f"{self._base('cdata')}&table={_TABLES[series]}&Stamp=9999"

    def _target(self, what: str) -> str:
        del what
        return self._base("devicecmd")

    def _row(self, record: Kept) -> str:
        fields = record.fields
        if record.key.series == OP:
            return f"OPLOG {fields['operation']}\t0\t{record.device_time}\t{fields['first']}\t0\t0\t0"
        return f"{fields['pin']}\t{record.device_time}\t{fields['status']}\t{fields['verify']}\t0\t0\t0"

    def _acknowledged(self, text: str, sent: int) -> int:
        count = text.partition(":")[2].strip()
        return min(sent, int(count)) if count.isdigit() else 0

    def _heard_options(self) -> None:
        if self._options.get("ATTLOGStamp") == "0":
            self._replay(self.memory.between(0, float("inf")))

    def _carry_out(self, text: str) -> int | None:
        match text:
            case "AC_UNLOCK":
                self.unlocked += 1
                return 0
            case "LOG" | "INFO":
                return 0
            case "CHECK" | "RELOAD OPTIONS":
                self._greeted = False
                return 0
        query = _QUERY.match(text)
        if query is None:
            return None
        try:
            start_s, end_s = self.clock.read(query[1]), self.clock.read(query[2])
        except ValueError:
            return BAD_PARAMETER
        return self._replay([one for one in self.memory.between(start_s, end_s + 1) if one.key.series == ATT])
