"""What a box counts, by name. Heartbeats carry these up, `health.json` and both metrics pages show them.

A closed list, so that a name that a box makes up becomes nobody's label. None of them holds anything of a person.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from wire.delivery import LaneDepth
from wire.metrics import Family, Sample
from wire.topics import LANES, Lane

COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "messages_total": "Messages from devices, of every kind.",
        "events_total": "Records accepted by the outbox.",
        "repeats_total": "Device records that were already stored.",
        "conflicts_total": "Device numbers used twice with different content.",
        "refused_total": "Records not accepted because a lane was full; the device keeps them.",
        "discarded_total": "Messages that made no sense, quarantined on the box.",
        "unmapped_total": "Messages that the profile gives no meaning, quarantined on the box.",
        "unknown_device_total": "Messages from devices that no setting names.",
        "commands_forged_total": "Command frames that the campus has not signed.",
        "commands_dropped_total": "Commands under a lease that is void or told as settled; the campus ends them.",
        "outcomes_total": "Ends of commands written.",
        "polls_total": "Requests to devices that are asked.",
        "polls_unanswered_total": "Requests to devices that had no answer in time.",
        "polls_overrun_total": "Turns of a device that were left out because its line was busy.",
        "device_errors_total": "Exceptions in our own code while handling one device.",
    }
)

# Counted elsewhere and read when somebody asks.
READ_COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "commits_total": "Group commits of the outbox.",
        "resent_batches_total": "Batches sent once more because no acknowledgement came.",
        "forks_total": "New epochs begun since the start.",
    }
)

# Present values.
GAUGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "intake_waiting": "Records that wait for their commit.",
        "parts_down": "Channels, and the uplink, that do not work now.",
    }
)


def box_families(
    numbers: Mapping[str, Mapping[str, float]], lanes: Mapping[str, Mapping[Lane, LaneDepth]]
) -> Iterator[Family]:
    """The same names for a box that speaks of itself and for a campus that tells what its boxes said.

    numbers, lanes: by box, as a heartbeat carries them. What stands in no list here is passed over.
    """
    for name, told in {**COUNTERS, **READ_COUNTERS, **GAUGES}.items():
        samples = [Sample(said[name], {"edge": edge}) for edge, said in numbers.items() if name in said]
        yield Family(f"campus_edge_{name}", "gauge" if name in GAUGES else "counter", told, samples)
    known = [
        ({"edge": edge, "lane": lane.value}, depths[lane])
        for edge, depths in lanes.items()
        for lane in LANES
        if lane in depths
    ]
    yield Family(
        "campus_edge_lane_queued_records",
        "gauge",
        "Records that the campus does not have yet.",
        [Sample(depth.queued, labels) for labels, depth in known],
    )
    yield Family(
        "campus_edge_lane_oldest_age_seconds",
        "gauge",
        "Age of the oldest record that the campus does not have yet.",
        [Sample(depth.oldest_age_s, labels) for labels, depth in known],
    )
    counted: dict[str, tuple[str, Callable[[LaneDepth], int]]] = {
        "accepted": ("Records that the outbox took, in the present epoch.", lambda depth: depth.accepted),
        "acknowledged": ("Records that the campus has, of the present epoch.", lambda depth: depth.acknowledged),
        "dropped": ("Records dropped because the outbox was full.", lambda depth: sum(depth.dropped.values())),
        "quarantined": ("Records set aside as damaged.", lambda depth: depth.quarantined),
    }
    for name, (told, read) in counted.items():
        samples = [Sample(read(depth), labels) for labels, depth in known]
        yield Family(f"campus_edge_lane_{name}_records_total", "counter", told, samples)
