"""A campus on a busy morning, for pictures: passages, refusals, trouble of every kind, a day of measurements."""

import math
import random
from typing import Final

from tests.console.site import DENIED, DOOR_ALARM, DOORS, GRANTED, Site
from wire.records import Credential, CredentialKind, Event, Reading, Record, Value

PASSAGES: Final = 900
BATCH: Final = 250
METHODS: Final = (
    CredentialKind.CARD,
    CredentialKind.FACE,
    CredentialKind.FACE,
    CredentialKind.FINGERPRINT,
    CredentialKind.QR,
)
REASONS: Final = ("CredentialExpired", "NotPermittedAtThisTime", "InvalidPIN", "Unauthorized", "")


def set_scene(site: Site) -> None:
    """Deliver it all; what is to look new is delivered last."""
    chance = random.Random(7)
    records = [*_morning(site, chance), *_climate(site, chance), *_power(site, chance)]
    records.sort(key=lambda record: record.stamp.wall_ns)
    for at in range(0, len(records), BATCH):
        site.deliver(*records[at : at + BATCH])
    site.deliver(site.event("Device/State/Operating", "camera-01", values={"state": "DOWN"}))
    site.deliver(site.event("Device/State/Operating", "door-04", values={"state": "DOWN"}))
    for ago, topic, device, values in (
        (24, DOOR_ALARM, "door-03", {"state": "DoorOpenTooLong"}),
        (22, "AccessControl/Duress", "face-01", {}),
        (16, "AccessControl/WrongTries", "face-02", {}),
        (14, "AccessControl/WrongTries", "face-02", {}),
        (9, DOOR_ALARM, "door-01", {"state": "DoorForcedOpen"}),
    ):
        site.deliver(site.earlier(site.event(topic, device, values=values), ago))
    site.deliver(site.event("Door/State/DoorPhysicalState", "door-01", values={"state": "Open"}))
    for ago in (27, 21, 13, 6, 2):
        site.deliver(site.earlier(_passage(site, chance, DENIED), ago))
    site.acknowledge("duress face-01", "zhao")


def _passage(site: Site, chance: random.Random, topic: str) -> Event:
    shown = Credential(
        kind=chance.choice(METHODS), ref=chance.randbytes(16).hex(), tail=f"{chance.randrange(10_000):04d}"
    )
    reason = chance.choice(REASONS) if topic == DENIED else ""
    return site.event(topic, chance.choice(DOORS)[0], credential=shown, reason=reason)


def _morning(site: Site, chance: random.Random) -> list[Record]:
    """More and more people until a quarter of an hour ago."""
    times = sorted(90 + abs(chance.gauss(0, 1500)) for _ in range(PASSAGES))
    return [site.earlier(_passage(site, chance, GRANTED), seconds) for seconds in times]


def _climate(site: Site, chance: random.Random) -> list[Record]:
    """A day, a value a minute, with a gap of an hour and a quarter and one door left open for five minutes."""
    readings: list[Record] = []
    for minute in range(1440):
        if 600 <= minute < 675:
            continue
        warm = 6.5 if 1000 <= minute < 1005 else 0.0
        said = {
            "temperature": ("Cel", 22 + 3 * math.sin(minute / 230) + chance.gauss(0, 0.15) + warm),
            "humidity": ("%", 52 + 6 * math.cos(minute / 260) + chance.gauss(0, 0.4)),
        }
        readings.append(site.earlier(_reading(site, "climate-01", said), (1440 - minute) * 60))
    return readings


def _power(site: Site, chance: random.Random) -> list[Record]:
    readings: list[Record] = []
    for number in range(288):
        hour = number / 12
        load = 1800 + 5200 * max(0.0, math.sin((hour - 4) / 24 * 2 * math.pi)) + chance.gauss(0, 150)
        said = {"active_power": ("W", load), "voltage": ("V", 231 + chance.gauss(0, 1.1)), "current": ("A", load / 231)}
        readings.append(site.earlier(_reading(site, "meter-01", said), (288 - number) * 300))
    return readings


def _reading(site: Site, device: str, said: dict[str, tuple[str, float]]) -> Reading:
    values = tuple(Value(resource=name, value=round(value, 1), unit=unit) for name, (unit, value) in said.items())
    stamp = site.rig.box.clock.stamp()
    return Reading(id=site.rig.box.new_id(), device=f"gate-1/{device}", stamp=stamp, readings=values)
