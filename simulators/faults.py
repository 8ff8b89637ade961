"""When what goes wrong: a schedule of faults from a seed.

The same seed gives the same faults at the same times after the begin. Who carries them out (children, devices) is not
known here; targets are names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simulators.chance import seeded


class Harm(StrEnum):
    """What is done to a target."""

    KILL = "kill"  # SIGKILL to a process
    POWER_CUT = "power_cut"  # a device loses power
    NETWORK_CUT = "network_cut"  # a device loses its connection, keeps power and goes on recording
    LINE_CUT = "line_cut"  # a box' line to the campus resets what is open and refuses what is new
    LINE_FREEZE = "line_freeze"  # a box' line to the campus swallows everything and says nothing


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. at_s: seconds after the begin; lasts_s: how long it lasts, 0 for a kill."""

    at_s: float
    harm: Harm
    target: str
    lasts_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """Mean seconds between two faults of a kind, over all targets of that kind; None: never. cut_s: the shortest and
    the longest cut.
    """

    kill_every_s: float | None = 5.0
    power_cut_every_s: float | None = 10.0
    network_cut_every_s: float | None = 5.0
    line_cut_every_s: float | None = 15.0
    line_freeze_every_s: float | None = 15.0
    cut_s: tuple[float, float] = (0.5, 4.0)


# Something must have happened before it can be interrupted.
QUIET_S: Final = 2.0


def fault_schedule(
    seed: int,
    for_s: float,
    *,
    processes: Sequence[str],
    devices: Sequence[str],
    lines: Sequence[str] = (),
    rates: FaultRates | None = None,
) -> list[Fault]:
    """All faults of a run of for_s seconds, in order of time. Kills go round all processes before one comes again."""
    rates = rates or FaultRates()
    faults = [
        Fault(at_s, Harm.KILL, target)
        for at_s, target in zip(_times(seed, "kill", for_s, rates.kill_every_s), _rounds(seed, processes), strict=False)
    ]
    for harm, every_s, targets in (
        (Harm.POWER_CUT, rates.power_cut_every_s, devices),
        (Harm.NETWORK_CUT, rates.network_cut_every_s, devices),
        (Harm.LINE_CUT, rates.line_cut_every_s, lines),
        (Harm.LINE_FREEZE, rates.line_freeze_every_s, lines),
    ):
        chance = seeded(seed, "faults", harm, "what")
        faults += [
            Fault(at_s, harm, chance.choice(targets), chance.uniform(*rates.cut_s))
            for at_s in _times(seed, harm, for_s, every_s)
            if targets
        ]
    return sorted(faults, key=lambda fault: (fault.at_s, fault.harm, fault.target))


def _times(seed: int, name: str, for_s: float, every_s: float | None) -> Iterator[float]:
    if every_s is None:
        return
    chance = seeded(seed, "faults", name, "when")
    at_s = QUIET_S
    while (at_s := at_s + chance.expovariate(1 / every_s)) < for_s:
        yield at_s


def _rounds(seed: int, names: Sequence[str]) -> Iterator[str]:
    chance = seeded(seed, "faults", "kill", "what")
    while names:
        yield from chance.sample(names, len(names))
