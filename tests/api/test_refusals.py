"""What anybody on the network can cause must not fill the disk."""

from aggregator.accounts.office import REFUSALS_PER_MINUTE
from tests.api.rig import Rig


async def tries(rig: Rig, count: int, path: str, body: dict[str, object], **headers: str) -> set[int]:
    async with rig.client(**headers) as client:
        return {(await client.post(f"/api/v1/{path}", json=body)).status_code for _ in range(count)}


async def written(rig: Rig, action: str) -> list[str]:
    return [entry["result"] for entry in await rig.office.audit(2**63 - 1, 1000) if entry["action"] == action]


async def test_refused_set_ups_are_counted_and_no_longer_written(rig: Rig):
    body = {"name": "chen", "password": "long enough to be one"}
    assert await tries(rig, 100, "setup", body, Authorization="Bearer wrong") == {403}
    assert len(await written(rig, "setup")) == REFUSALS_PER_MINUTE
    rig.clock.advance(60)
    await tries(rig, 1, "setup", body, Authorization="Bearer wrong")
    assert (await written(rig, "setup"))[0] == f"refused (+{100 - REFUSALS_PER_MINUTE})"


async def test_a_wrong_set_up_code_costs_no_hash(rig: Rig, monkeypatch):
    def never(_password: str) -> str:
        raise AssertionError

    monkeypatch.setattr(rig.office._hasher, "hash", never)
    body = {"name": "chen", "password": "long enough to be one"}
    assert await tries(rig, 1, "setup", body, Authorization="Bearer wrong") == {403}


async def test_refused_boxes_are_bounded_too(rig: Rig):
    body = {"edge": "gate-1", "public_key": "ab" * 32}
    assert await tries(rig, 50, "enrol", body, Authorization="Bearer wrong") == {403}
    assert len(await written(rig, "edge.enrol")) == REFUSALS_PER_MINUTE
