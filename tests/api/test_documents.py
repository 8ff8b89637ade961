from aggregator.accounts import Role
from tests.api.rig import Rig

TUNING = {"schema": 1, "devices": {"face-1": {"silent_after_s": 90}}}


async def test_a_document_is_put_shown_and_in_the_book(rig: Rig):
    edge = rig.box.edge
    async with await rig.ask(Role.OPS) as client:
        answer = await client.put(f"/api/v1/edges/{edge}/documents/tuning", json=TUNING)
        assert answer.status_code == 202
        assert (answer.json()["version"], answer.json()["in_force"], answer.json()["current"]) == (1, None, False)
        rig.campus.courier.heard(edge, {"tuning": "1"})
        (item,) = (await client.get(f"/api/v1/edges/{edge}/documents")).json()["items"]
        assert (item["name"], item["version"], item["author"], item["current"]) == ("tuning", 1, "desk", True)
        whole = (await client.get(f"/api/v1/edges/{edge}/documents/tuning")).json()
        assert whole["content"] == TUNING
    entries = await rig.office.audit(2**63 - 1, 10)
    assert [(entry["action"], entry["target"]) for entry in entries if entry["action"] == "document.put"] == [
        ("document.put", f"{edge}/tuning/1")
    ]


async def test_what_no_box_could_use_is_told_with_its_field(rig: Rig):
    async with await rig.ask(Role.OPS) as client:
        path = f"/api/v1/edges/{rig.box.edge}/documents"
        answer = await client.put(f"{path}/tuning", json={"schema": 1, "devices": {"d": {"held_open_s": "long"}}})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_document")
        assert "held_open_s" in answer.json()["params"]["cause"]
        assert (await client.put(f"{path}/bundle", json=TUNING)).json()["code"] == "unknown_document"
        assert (await client.get(f"{path}/tuning")).status_code == 404
        assert (await client.put("/api/v1/edges/gate-7/documents/tuning", json=TUNING)).json()["code"] == "unknown_edge"


async def test_who_only_watches_changes_nothing(rig: Rig):
    async with await rig.ask(Role.GUARD) as client:
        answer = await client.put(f"/api/v1/edges/{rig.box.edge}/documents/tuning", json=TUNING)
        assert answer.status_code == 403
