"""Has the store forget what is older than it is kept, hour by hour."""

import asyncio
import logging
from typing import Final

from aggregator.series.store import SeriesStore, SeriesUnavailable
from wire.clock import Clock

log = logging.getLogger(__name__)

EACH_S: Final = 3600.0


async def keep(store: SeriesStore, clock: Clock, *, each_s: float = EACH_S) -> None:
    """For a TaskGroup; ends only by cancellation. A store that is away is asked again an hour later."""
    failing = False
    while True:
        try:
            await store.expire(clock.wall_ns())
        except SeriesUnavailable as error:
            if not failing:
                log.warning("old points cannot be dropped", extra={"cause": str(error)})
            failing = True
        else:
            if failing:
                log.info("old points are dropped again")
            failing = False
        await asyncio.sleep(each_s)
