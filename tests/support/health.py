"""What `/health` of a campus says, for campuses of tests that have neither broker nor readers running."""

from collections.abc import Mapping
from typing import Any


def health_of(campus: str, counters: Mapping[str, int], edges_live: int) -> dict[str, Any]:
    reader = {"position": 7, "lag": 0, "faults": 0, "failing": False}
    return {
        "status": "ok",
        "campus": campus,
        "version": "1.0",
        "broker": {"up": True, "outages": 1, "frames": 40, "full": 0},
        "ledger": {"failing": False},
        "admission": dict(counters),
        "readers": {"registry": reader, "series": {**reader, "lag": 3, "failing": True}},
        "edges_live": edges_live,
        "edges_silent": 0,
        "watchers": 2,
    }
