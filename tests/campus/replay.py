"""Run seeds by hand: `python -m tests.campus.replay 17 --trace`, or `--seeds 1000` for a long night.

Prints one line per seed; a broken one with its sentences, the last lines of its trace and the command that replays it.
Exit code 1 when any was broken.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.campus.scenario import plan_of, storm_of
from tests.campus.world import Outcome, run_world


def run_seed(seed: int, *, echo: bool = False) -> Outcome:
    """One seed as the tests run it."""
    plan = plan_of(seed)
    return run_world(seed, plan, storm_of(plan), echo=echo)


def report(outcome: Outcome) -> str:
    """What a person needs of a broken seed."""
    return (
        f"{outcome}\n\nthe last of what happened:\n{outcome.tail}\n\n"
        f"again with everything: python -m tests.campus.replay {outcome.seed} --trace"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campus.replay", description=__doc__.split("\n")[0])
    parser.add_argument("seed", type=int, nargs="*", help="seeds to run")
    parser.add_argument("--seeds", type=int, default=0, help="run so many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    asked = parser.parse_args()
    seeds = asked.seed or list(range(asked.first, asked.first + max(asked.seeds, 1)))
    started_s, broken = time.monotonic(), 0
    for outcome in run_all(seeds, asked.processes, asked.trace):
        facts = " ".join(f"{name}={value}" for name, value in outcome.facts.items())
        sys.stdout.write(f"{outcome} {facts} {outcome.digest[:12]}\n" if not outcome.broken else report(outcome) + "\n")
        sys.stdout.flush()
        broken += bool(outcome.broken)
    sys.stdout.write(f"{len(seeds)} seeds, {broken} broken, {time.monotonic() - started_s:.0f} s\n")
    return 1 if broken else 0


def run_all(seeds: list[int], processes: int, echo: bool):
    if processes == 1:
        for seed in seeds:
            yield run_seed(seed, echo=echo)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(run_seed, seeds)


if __name__ == "__main__":
    sys.exit(main())
