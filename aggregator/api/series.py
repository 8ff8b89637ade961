"""Curves: what a device measured, in as many stretches as a screen has room for."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from aggregator.accounts import Principal
from aggregator.api.devices import WATCHERS
from aggregator.api.guard import CampusOf, require
from aggregator.api.moments import moment_ns
from aggregator.api.problems import Problem
from aggregator.series import Bucket, SeriesUnavailable
from wire.clock import NS_PER_S, utc_text

router = APIRouter(tags=["series"])

BUCKETS_MAX: Final = 2000
DAY_NS: Final = 86_400 * NS_PER_S


@router.get("/series/{edge}/{name}/{resource}")
async def curve(  # noqa: PLR0917  query parameters are given by name
    edge: str,
    name: str,
    resource: str,
    campus: CampusOf,
    _who: Annotated[Principal, require(*WATCHERS)],
    since: Annotated[str | None, Query(max_length=64)] = None,
    until: Annotated[str | None, Query(max_length=64)] = None,
    buckets: Annotated[int, Query(ge=1, le=BUCKETS_MAX)] = 300,
) -> dict[str, Any]:
    """A device resource between two times, by default the last 24 hours.

    Stretches without a value are left out: that is a gap, not a line. minimum and maximum keep a spike that lasted a
    second visible, however long the stretch.
    """
    until_ns = campus.clock.wall_ns() if until is None else moment_ns("until", until)
    from_ns = until_ns - DAY_NS if since is None else moment_ns("since", since)
    if from_ns >= until_ns:
        raise Problem(422, "invalid", {"findings": [{"at": ["query", "until"], "kind": "not_after_since"}]})
    try:
        found = await campus.series.curve(
            f"{edge}/{name}", resource, from_ns=from_ns, until_ns=until_ns, buckets=buckets
        )
    except SeriesUnavailable:
        raise Problem(503, "series_unavailable", headers={"Retry-After": "5"}) from None
    return {
        "device": f"{edge}/{name}"[:128],
        "resource": resource[:64],
        "items": [_shown(one) for one in found],
        "next": None,
    }


def _shown(bucket: Bucket) -> dict[str, Any]:
    return {
        "start": utc_text(bucket.start_ns),
        "count": bucket.count,
        "minimum": bucket.minimum,
        "maximum": bucket.maximum,
        "mean": bucket.mean,
        "first": bucket.first,
        "last": bucket.last,
    }
