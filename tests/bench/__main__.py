"""`python -m tests.bench [PART…] [--json FILE]`: measure and print. See the package."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, as_json, table
from tests.bench.parts import NAMES, Scale, parts
from tests.bench.site import campus


def _processor() -> str:
    for said in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if said.startswith("model name"):
            return said.partition(":")[2].strip()
    return platform.machine()


def _turn_ns() -> float:
    """Nanoseconds of one turn of an empty loop that adds: how quick this machine's Python is."""
    best = 1e9
    for _ in range(3):
        began_s, total = time.process_time(), 0
        for number in range(500_000):
            total += number * number
        best = min(best, (time.process_time() - began_s) / 500_000 * 1e9)
    return best


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "date": date.today().isoformat(),  # noqa: DTZ011  of whoever measures
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "loop_ns": round(_turn_ns()),
    }


def run(names: Sequence[str], scale: Scale) -> list[Figure]:
    """Measure the named parts, and print each when it is done."""
    figures: list[Figure] = []
    with campus() as shared:
        for name, measure in parts(tuple(names)).items():
            began_s = time.monotonic()
            sys.stdout.write(f"\n{name}\n")
            for figure in measure(scale, shared):
                figures.append(figure)
                sys.stdout.write(table([figure]) + "\n")
                sys.stdout.flush()
            sys.stdout.write(f"({time.monotonic() - began_s:.0f} s)\n")
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what the chain costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(NAMES)}; all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--tiny", action="store_true", help="only to see that it works; the figures mean nothing")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.parts) - set(NAMES):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    measured_on = machine()
    sys.stdout.write("  ".join(f"{name} {value}" for name, value in measured_on.items()) + "\n")
    figures = run(asked.parts or NAMES, Scale(tiny=asked.tiny))
    missed = [figure for figure in figures if figure.met is False]
    aimed = sum(figure.met is not None for figure in figures)
    sys.stdout.write(f"\n{aimed - len(missed)} of {aimed} aims met\n")
    if asked.json is not None:
        asked.json.write_text(as_json(figures, measured_on) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
