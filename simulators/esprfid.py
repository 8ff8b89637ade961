"""An esp-rfid door board: the device's side of `<prefix>/send` and `<prefix>/cmd`, without socket and clock.

    connected ── boot ──> heartbeat every so often
    card held to it ── access ──> known and allowed: the relay holds the lock for relay_s, then lets go by itself
    button, opendoor ── access without a card ──> the same
    door opened ── Door Open; with the relay at rest also "tampered" ──> closed ── Door Closed
                └─ open for max_open_s ── "wasn't closed"

Everything is said once, at QoS 0, while there is a connection; nothing is kept. The contact, the bell and other lines
of the log are said only with `log` on. An order must carry the board's own IP address; it names nothing by which it
could be told from another order, and the answer is said before the relay moves.

Sources: the firmware's sources, 2.0.0 (mqtt, rfid, door, main), and its manual.
Is not: derived from the codec of the edge agent, which it is there to test. No keypad, one relay.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.device import Moment, Publish, Witness

_SAY_MAX: Final = 64
COOLDOWN_S: Final = 2.0
DISABLED, GRANTED, ADMIN = 0, 1, 99
# What an order is called to the witness: it has no name of its own.
NAMELESS: Final = ""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody the board knows. access: 0, 1 or 99; valid_until_s: seconds since 1970."""

    name: str
    access: int = GRANTED
    valid_until_s: float = 4_000_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardConfig:
    """What an installer would set. users: by the number of their card, as the reader writes it. max_open_s: 0 is
    never.
    """

    hostname: str
    ip: str
    prefix: str = "rfid"
    door_name: str = "Door"
    users: Mapping[str, User] = field(default_factory=dict)
    log: bool = True
    relay_s: float = 0.4
    max_open_s: float = 0.0
    heartbeat_s: float = 180.0


class DoorBoard:
    """One board and its door. Feed it with what happens; `poll` gives what it wants to send now. Implements Machine."""

    def __init__(self, config: BoardConfig, *, witness: Witness) -> None:
        self.config = config
        self.powered = True
        self.reboot_wanted = False
        self.online = False
        self.open = False
        # Times that an order made the lock let go.
        self.done = 0
        self._users = dict(config.users)
        self._witness = witness
        self._released_until_s = 0.0
        self._ready_s = 0.0
        self._opened_s: float | None = None
        self._booted_s: float | None = None
        self._next_beat_s = 0.0
        # A board keeps nothing; when the socket is slow the oldest is forgotten.
        self._say: deque[Publish] = deque(maxlen=_SAY_MAX)

    # --- what stands in the broker session ------------------------------------------------------------

    @property
    def client_id(self) -> str:
        """MQTT client id."""
        return self.config.hostname

    @property
    def subscription(self) -> str:
        """Where all boards of a topic are told something."""
        return f"{self.config.prefix}/cmd"

    def will(self, now: Moment) -> None:
        """It has none."""
        del now

    # --- the world --------------------------------------------------------------------------------------

    def connected(self, now: Moment) -> None:
        """The broker has accepted us and granted the subscription."""
        self.online = True
        self._booted_s = now.mono_s if self._booted_s is None else self._booted_s
        self._publish({"type": "boot", "time": int(now.wall_s), "uptime": "0", **self._names()})

    def disconnected(self) -> None:
        """The connection is gone; the door goes on working."""
        self.online = False
        self._say.clear()

    def power_off(self) -> None:
        """Power cut: silence, and the lock at rest."""
        self.disconnected()
        self._released_until_s = 0.0
        self._booted_s = None
        self._next_beat_s = 0.0
        self.powered = False
        self.reboot_wanted = False

    def power_on(self) -> None:
        """Power is back; the board has no connection yet."""
        self.powered = True

    def released(self, now: Moment) -> bool:
        """Whether the lock lets the door be opened."""
        return now.mono_s < self._released_until_s

    def swipe(self, uid: str, now: Moment) -> bool:
        """A card is held to it. True when it was read: for a while after one the reader looks at no other."""
        if not self.powered or now.mono_s < self._ready_s:
            return False
        self._ready_s = now.mono_s + COOLDOWN_S
        user = self._users.get(uid)
        if user is None:
            self._log("WARN", "rfid", "Unknown rfid tag is scanned", now, data=f"{uid} MIFARE 1KB")
            self._access(uid, "Unknown", "Denied", now, known="false")
            return True
        if user.access == ADMIN:
            word = "Admin"
        elif user.access != GRANTED:
            word = "Disabled"
        else:
            word = "Always" if now.wall_s <= user.valid_until_s else "Expired"
        if word in {"Admin", "Always"}:
            self._release(now)
        self._access(uid, user.name, word, now)
        return True

    def press(self, now: Moment) -> None:
        """Somebody presses the button beside the door."""
        if self.powered:
            self._access(" ", "Button", "Always", now)
            self._release(now)

    def ring(self, now: Moment) -> None:
        """Somebody rings."""
        self._log("INFO", "doorbell", "Doorbell ringing", now)

    def pull(self, now: Moment) -> None:
        """The door is opened, released or not."""
        if self.open:
            return
        self.open = True
        self._log("INFO", "door", "Door Open", now)
        if self.released(now):
            self._opened_s = now.mono_s
        else:
            self._log("WARN", "tamper", "Door was tampered!", now)

    def shut(self, now: Moment) -> None:
        """The door is closed."""
        if self.open:
            self.open = False
            self._opened_s = None
            self._log("INFO", "door", "Door Closed", now)

    # --- the wire ---------------------------------------------------------------------------------------

    def received(self, payload: bytes, now: Moment) -> None:
        """Something arrived on the topic of all boards. What is not for this one, or cannot be read, is ignored."""
        try:
            told: Any = json.loads(payload)
        except ValueError:
            return
        if not self.online or not isinstance(told, dict) or told.get("doorip") != self.config.ip:
            return
        match told:
            case {"cmd": "opendoor"}:
                self._access(" ", "MQTT", "Always", now)
                self._release(now)
                self.done += 1
                self._witness.executed(self.config.hostname, NAMELESS, now)
            case {"cmd": "getuserlist"}:
                for uid, user in self._users.items():
                    self._publish({"command": "userfile", "uid": uid, "user": user.name, "acctype": user.access})
            case {"cmd": "adduser", "uid": str(uid), "user": str(name)}:
                self._users[uid] = User(name, int(told.get("acctype", DISABLED)))
                self._publish({"type": "adduser", **self._names()})
            case {"cmd": "deletuid", "uid": str(uid)}:
                self._users.pop(uid, None)
                self._publish({"type": "deletuid", **self._names()})

    def poll(self, now: Moment) -> list[Publish]:
        """What to send now."""
        if self._held_open(now):
            self._opened_s = None
            self._log("WARN", "tamper", "Door wasn't closed within max open time!", now)
        if self.online and now.mono_s >= self._next_beat_s:
            self._next_beat_s = now.mono_s + self.config.heartbeat_s
            uptime = int(now.mono_s - (self._booted_s or 0.0))
            self._publish({"type": "heartbeat", "time": int(now.wall_s), "uptime": uptime, **self._names()})
        out = list(self._say)
        self._say.clear()
        return out

    def wake_at(self) -> float | None:
        """When `poll` has something to say even if nothing happens."""
        times = [self._next_beat_s] if self.online else []
        if self._opened_s is not None and self.config.max_open_s:
            times.append(self._opened_s + self.config.max_open_s)
        return min(times, default=None)

    # --- inside -----------------------------------------------------------------------------------------

    def _release(self, now: Moment) -> None:
        self._released_until_s = now.mono_s + self.config.relay_s

    def _held_open(self, now: Moment) -> bool:
        limit_s = self.config.max_open_s
        return bool(limit_s) and self._opened_s is not None and now.mono_s - self._opened_s >= limit_s

    def _access(self, uid: str, name: str, word: str, now: Moment, *, known: str = "true") -> None:
        line = {"cmd": "log"} if self.config.log else {}
        line |= {"uid": uid, "username": name, "access": word}
        self._say_once(
            "access",
            {
                **line,
                "time": int(now.wall_s),
                "doorName": self.config.door_name,
                "type": "access",
                "isKnown": known,
                "hostname": self.config.hostname,
            },
            now,
        )

    def _log(self, severity: str, source: str, text: str, now: Moment, *, data: str = "") -> None:
        if not self.config.log or not self.powered:
            return
        line = {"type": severity, "src": source, "desc": text, "data": data, "time": int(now.wall_s), "cmd": "event"}
        self._say_once(source, {**line, "hostname": self.config.hostname}, now)

    def _say_once(self, kind: str, line: Mapping[str, object], now: Moment) -> None:
        if self.online:
            self._witness.said(self.config.hostname, kind, str(int(now.wall_s)), now)
            self._publish(line)

    def _publish(self, line: Mapping[str, object]) -> None:
        payload = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()
        self._say.append(Publish(f"{self.config.prefix}/send", payload, 0))

    def _names(self) -> dict[str, str]:
        return {"ip": self.config.ip, "hostname": self.config.hostname}
