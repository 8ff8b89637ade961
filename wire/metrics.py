"""Numbers for Prometheus, in its text format 0.0.4.

By hand: our numbers are counted already, so all that a client library would add is this page of format and a registry
beside ours. Tests hold what comes out against the reference parser.

Names are `<room>_<what>_<unit>`, counters end in `_total`, units are base units. Labels hold names that an operator
wrote (box, device, channel, lane, part) or words of a closed list, never a word of a device's or a person's.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """One number and what it is of."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Sequence[Sample]


def single(name: str, kind: Literal["counter", "gauge"], told: str, value: float, **labels: str) -> Family:
    """A family of one."""
    return Family(name, kind, told, [Sample(value, labels)])


def render(families: Iterable[Family]) -> bytes:
    """The page. A family without samples is left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += [f"# HELP {family.name} {_escaped(family.help)}", f"# TYPE {family.name} {family.kind}"]
            lines += [f"{family.name}{_labels(sample.labels)} {_number(sample.value)}" for sample in family.samples]
    return ("\n".join(lines) + "\n").encode()


def process_families(started_ns: int) -> list[Family]:
    """What every exporter says of its process. started_ns: UTC."""
    times = os.times()
    return [
        single("process_cpu_seconds_total", "counter", "Processor time used.", times.user + times.system),
        single("process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes()),
        single("process_start_time_seconds", "gauge", "Start, in seconds since 1970 UTC.", started_ns / 1e9),
    ]


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the kernel does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  a name of the kernel's, not a path of ours
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGESIZE")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    inner = ",".join(f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items())
    return f"{{{inner}}}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
