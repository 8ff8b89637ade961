"""What the demo asks of the aggregator, and how its answers are read."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Any, Final

from simulators.campus.http import ApiClient, ApiError, ApiUnreachableError
from simulators.compare import Stored

log = logging.getLogger(__name__)

PAGE: Final = 1000
RETRY_S: Final = 0.2
_DERIVED: Final = frozenset({"Device/State/Operating", "Device/State/Info", "Device/State/Clock"})


async def wait_until_healthy(client: ApiClient, *, within_s: float) -> None:
    """Return once the aggregator answers. Raises ApiUnreachableError."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while True:
        try:
            await client.get("/api/v1/health")
        except (ApiUnreachableError, ApiError) as error:
            if loop.time() > deadline_s:
                raise ApiUnreachableError(str(error)) from None
            await asyncio.sleep(RETRY_S / 4)
        else:
            return


async def wait_until_live(client: ApiClient, edges: Iterable[str], *, within_s: float) -> None:
    """Return once every box has said hello and was accepted. Raises TimeoutError with their names, ApiError."""
    wanted = set(edges)
    try:
        async with asyncio.timeout(within_s):
            while wanted:
                answer = await client.get("/api/v1/edges")
                wanted -= {item["edge"] for item in answer["items"] if item["state"] == "live"}
                if wanted:
                    await asyncio.sleep(RETRY_S / 2)
    except TimeoutError:
        raise TimeoutError(f"boxes that did not join: {', '.join(sorted(wanted))}") from None


async def all_stored(client: ApiClient) -> list[Stored]:
    """Every event in the ledger, oldest first. Raises ApiUnreachableError, ApiError."""
    stored: list[Stored] = []
    query: dict[str, str | int] = {"order": "asc", "kind": "event", "limit": PAGE}
    while True:
        page = await client.get("/api/v1/events", **query)
        stored.extend(stored_of(page["items"]))
        if page["next"] is None:
            return stored
        query["cursor"] = page["next"]


async def caught_up(client: ApiClient) -> bool:
    """Whether every reader of the ledger has taken its last row. Raises ApiUnreachableError, ApiError."""
    newest = (await client.get("/api/v1/events", order="desc", limit=1))["items"]
    readers = (await client.get("/api/v1/health"))["readers"]
    return all(reader["position"] >= row["position"] for row in newest for reader in readers.values())


async def follow(client: ApiClient, seen: Callable[[list[dict[str, Any]]], None]) -> None:
    """Follow the live stream for ever, from the ledger's beginning, through every outage without a hole. seen: told the
    rows as the API shows them.
    """
    last_id = "0"
    while True:
        try:
            async with aclosing(client.stream("/api/v1/stream", last_id)) as events:
                async for event in events:
                    last_id = event.id
                    if event.event == "message":
                        seen(json.loads(event.data)["items"])
        except (ApiUnreachableError, ApiError) as error:
            log.info("stream ended", extra={"cause": str(error), "position": last_id})
        await asyncio.sleep(RETRY_S)


def measured_in(items: Iterable[dict[str, Any]]) -> int:
    """How many measured values are among rows as the API shows them."""
    return sum(len(item.get("readings", ())) for item in items if item["kind"] == "reading")


def stored_of(items: Iterable[dict[str, Any]]) -> Iterator[Stored]:
    """The events among rows as the API shows them. What a box concludes, and states that it says again after a start,
    are nothing a device said.
    """
    for item in items:
        if item["kind"] == "event" and item["topic"] not in _DERIVED and not item.get("initialized"):
            source = item.get("source")
            yield Stored(
                event_id=item["event_id"],
                device_id=item["device"],
                device_time=(item.get("device_time") or {}).get("raw", ""),
                record_no=None if source is None else source["record_no"],
                topic=item["topic"],
                state=str((item.get("values") or {}).get("state", "")),
            )
