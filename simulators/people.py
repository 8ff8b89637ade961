"""Invented people and a seeded school day.

The same seed gives the same people and the same trace: who stands before which terminal at which second of the day,
shows what, and is let in or not. Nothing here reads a clock or a global random source.

Time compression scales the timetable, never the clocks: `Timetable.day_s` says how many real seconds a school day of
fourteen hours lasts. A lesson then lasts seconds, while record times, time-outs and leases stay real.

No number belongs to anybody: resident numbers carry a region that does not exist and a wrong check digit, phone
numbers a prefix that was never given out, card numbers lie in the range that ISO/IEC 14443-3 reserves for UIDs that
a chip draws by chance at every power-up.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import yaml

from simulators.chance import seeded

SCHOOL_DAY_MINUTES: Final = 14 * 60
_DAY_BEGINS_MINUTE: Final = 7 * 60

# ISO 7064 MOD 11-2 as GB 11643 uses it.
_CHECK_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS: Final = "10X98765432"


class Verdict(StrEnum):
    """What a terminal decides about whoever stands before it."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    UNREGISTERED = "unregistered"
    STRANGER = "stranger"


class Shown(StrEnum):
    """What was shown to the terminal."""

    FACE = "face"
    CARD = "card"
    QR = "qr"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist. enrolled_on_site: the site gave the person a number, so that devices know it;
    somebody enrolled at a terminal's own screen has none there. Prints without name and numbers.
    """

    index: int
    role: Literal["student", "staff"]
    site_id: str = field(repr=False)
    name: str = field(repr=False)
    resident_no: str = field(repr=False)
    phone: str = field(repr=False)
    card: str = field(repr=False)
    enrolled_on_site: bool = True


@dataclass(frozen=True, slots=True)
class Swipe:
    """Somebody before a terminal. at_s: seconds since the trace began; terminal: index; who: index of the person,
    absent for a stranger.
    """

    at_s: float
    terminal: int
    who: int | None
    verdict: Verdict
    shown: Shown
    direction: Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Flow:
    """A span of the day in which everybody passes once. Minutes since midnight; rush: the minute most people pass."""

    direction: Literal["in", "out"]
    begins: int
    rush: int
    ends: int
    share: float


@dataclass(frozen=True, slots=True)
class Timetable:
    """When people move, and when the bell rings: at the begin and the end of each lesson. day_s: real seconds of one
    school day, 07:00 to 21:00.
    """

    day_s: float = 60.0
    lessons: tuple[tuple[int, int], ...] = (
        (8 * 60 + 20, 9 * 60 + 40),
        (10 * 60 + 10, 11 * 60 + 50),
        (13 * 60 + 40, 15 * 60 + 10),
        (15 * 60 + 30, 17 * 60),
        (19 * 60 + 10, 20 * 60 + 30),  # evening study
    )
    lunch: tuple[int, int] = (11 * 60 + 50, 12 * 60 + 50)
    flows: tuple[Flow, ...] = (
        Flow("in", 7 * 60 + 5, 7 * 60 + 45, 8 * 60 + 20, 0.97),  # arrival
        Flow("out", 9 * 60 + 40, 9 * 60 + 45, 10 * 60, 0.10),  # long break
        Flow("in", 9 * 60 + 50, 9 * 60 + 58, 10 * 60 + 10, 0.10),
        Flow("out", 11 * 60 + 50, 11 * 60 + 55, 12 * 60 + 20, 0.90),  # lunch
        Flow("in", 13 * 60, 13 * 60 + 25, 13 * 60 + 40, 0.90),
        Flow("out", 17 * 60, 17 * 60 + 5, 17 * 60 + 40, 0.95),  # dismissal
        Flow("in", 18 * 60 + 30, 18 * 60 + 50, 19 * 60 + 10, 0.45),  # evening study
        Flow("out", 20 * 60 + 30, 20 * 60 + 35, 21 * 60, 0.45),
    )

    def real_s(self, minute: float) -> float:
        """Seconds after the day's begin at which a minute of the school day is reached."""
        return (minute - _DAY_BEGINS_MINUTE) * self.day_s / SCHOOL_DAY_MINUTES

    def bells(self) -> Iterator[float]:
        """Real seconds since the begin of day 0 at which the bell rings, for ever."""
        for day in itertools.count():
            for minute in (minute for lesson in self.lessons for minute in lesson):
                yield day * self.day_s + self.real_s(minute)

    def at_lunch(self, real_s: float) -> bool:
        """Whether the canteen is full so many real seconds after the begin of day 0."""
        begins, ends = self.lunch
        return self.real_s(begins) <= real_s % self.day_s < self.real_s(ends)


def make_people(seed: int, *, students: int = 220, staff: int = 30) -> tuple[Person, ...]:
    """The people of one school."""
    chance = seeded(seed, "people")
    return tuple(
        _person(chance, index, "student" if index < students else "staff") for index in range(students + staff)
    )


def school_days(
    seed: int, people: Sequence[Person], terminals: int, timetable: Timetable | None = None
) -> Iterator[Swipe]:
    """Swipes for ever, day after day, in order of time."""
    timetable = timetable or Timetable()
    for day in itertools.count():
        yield from school_day(seed, day, people, terminals, timetable)


def school_day(seed: int, day: int, people: Sequence[Person], terminals: int, timetable: Timetable) -> list[Swipe]:
    """The swipes of one day in order of time; at_s counts from the begin of day 0."""
    chance = seeded(seed, "day", day)
    swipes: list[Swipe] = []
    for person in people:
        home = chance.randrange(terminals)
        for flow in timetable.flows:
            if chance.random() < flow.share:
                swipes.extend(_passage(chance, person, flow, home=home, terminals=terminals, timetable=timetable))
    swipes.extend(_strangers(chance, max(1, len(people) // 40), terminals, timetable))
    begins_s = day * timetable.day_s
    ordered = sorted(swipes, key=lambda swipe: (swipe.at_s, swipe.terminal, swipe.who is None, swipe.who or 0))
    return [Swipe(begins_s + one.at_s, one.terminal, one.who, one.verdict, one.shown, one.direction) for one in ordered]


def steady_flow(seed: int, people: Sequence[Person], terminals: int, *, per_minute: float) -> Iterator[Swipe]:
    """Swipes for ever without a timetable. per_minute: mean over all terminals together, greater than 0."""
    chance = seeded(seed, "steady")
    at_s = 0.0
    while True:
        at_s += chance.expovariate(per_minute / 60)
        person = chance.choice(people)
        shown, verdict = _showing(chance)
        who = person.index if verdict in {Verdict.ALLOWED, Verdict.REFUSED} else None
        yield Swipe(at_s, chance.randrange(terminals), who, verdict, shown, chance.choice(("in", "out")))


def _showing(chance: random.Random) -> tuple[Shown, Verdict]:
    shown = chance.choices((Shown.FACE, Shown.CARD, Shown.QR), (90, 8, 2))[0]
    return shown, chance.choices((Verdict.ALLOWED, Verdict.REFUSED, Verdict.UNREGISTERED), (96, 3, 1))[0]


def _passage(
    chance: random.Random, person: Person, flow: Flow, *, home: int, terminals: int, timetable: Timetable
) -> Iterator[Swipe]:
    at_s = timetable.real_s(chance.triangular(flow.begins, flow.ends, flow.rush))
    terminal = home if chance.random() < 0.8 else chance.randrange(terminals)
    shown, verdict = _showing(chance)
    who = None if verdict is Verdict.UNREGISTERED else person.index
    yield Swipe(at_s, terminal, who, verdict, shown, flow.direction)
    # The impatient show themselves again at once: two records of one person in one second.
    if chance.random() < 0.03:
        yield Swipe(at_s + chance.uniform(0.05, 0.6), terminal, who, verdict, shown, flow.direction)


def _strangers(chance: random.Random, count: int, terminals: int, timetable: Timetable) -> Iterator[Swipe]:
    for _ in range(count):
        at_s = timetable.real_s(_DAY_BEGINS_MINUTE + chance.uniform(0, SCHOOL_DAY_MINUTES - 1))
        yield Swipe(at_s, chance.randrange(terminals), None, Verdict.STRANGER, Shown.FACE, "in")


def _person(chance: random.Random, index: int, role: Literal["student", "staff"]) -> Person:
    family, given = _syllables()
    name = chance.choice(family) + "".join(chance.choice(given) for _ in range(chance.choice((1, 2))))
    year = chance.randint(2007, 2010) if role == "student" else chance.randint(1965, 1999)
    body = f"000000{year}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}{chance.randrange(1000):03d}"
    return Person(
        index=index,
        role=role,
        site_id=f"{'S' if role == 'student' else 'T'}{year}{index:05d}",
        name=name,
        resident_no=body + _wrong_check_digit(body),
        phone=f"000{chance.randrange(10**8):08d}",
        card=f"{0x08000000 + chance.randrange(1 << 24):010d}",
        enrolled_on_site=chance.random() < 0.97,
    )


def _wrong_check_digit(body: str) -> str:
    right = sum(int(digit) * weight for digit, weight in zip(body, _CHECK_WEIGHTS, strict=True)) % 11
    return _CHECK_DIGITS[(right + 1) % 11]


@cache
def _syllables() -> tuple[list[str], list[str]]:
    tables = yaml.safe_load(files("simulators").joinpath("names.yaml").read_text(encoding="utf-8"))
    return tables["family"], tables["given"]
