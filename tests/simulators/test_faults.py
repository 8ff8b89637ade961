import itertools
from collections import Counter

from simulators.faults import QUIET_S, FaultRates, Harm, fault_schedule

PROCESSES = ("broker", "gate-1", "gate-2", "aggregator")
LINES = ("gate-1", "gate-2")
DEVICES = tuple(f"face-{n}" for n in range(20))


def schedule(seed: int, for_s: float = 600.0, **rates: float | None):
    return fault_schedule(seed, for_s, processes=PROCESSES, devices=DEVICES, lines=LINES, rates=FaultRates(**rates))


def test_same_seed_same_faults() -> None:
    assert schedule(3) == schedule(3)
    assert schedule(3) != schedule(4)


def test_faults_are_in_order_of_time_within_the_run_and_after_a_quiet_begin() -> None:
    faults = schedule(3)
    assert all(one.at_s <= two.at_s for one, two in itertools.pairwise(faults))
    assert faults[0].at_s >= QUIET_S
    assert faults[-1].at_s < 600


def test_every_process_gets_its_turn() -> None:
    kills = Counter(fault.target for fault in schedule(3) if fault.harm is Harm.KILL)
    assert set(kills) == set(PROCESSES)
    assert max(kills.values()) - min(kills.values()) <= 1


def test_a_rate_of_none_means_never_and_does_not_move_the_others() -> None:
    without = schedule(3, kill_every_s=None)
    assert {fault.harm for fault in without} == set(Harm) - {Harm.KILL}
    assert without == [fault for fault in schedule(3) if fault.harm is not Harm.KILL]


def test_means_are_near_what_was_asked_for() -> None:
    kills = [fault for fault in schedule(3, for_s=5000, kill_every_s=5.0) if fault.harm is Harm.KILL]
    assert 800 < len(kills) < 1200


def test_each_harm_has_its_kind_of_target() -> None:
    targets = {Harm.KILL: PROCESSES, Harm.LINE_CUT: LINES, Harm.LINE_FREEZE: LINES}
    assert all(fault.target in targets.get(fault.harm, DEVICES) for fault in schedule(3))
    assert all((fault.lasts_s == 0) == (fault.harm is Harm.KILL) for fault in schedule(3))
