"""What could not be understood: kept small, kept masked, kept for a week."""

import hashlib

from edge_agent.outbox import OutboxLimits
from tests.outbox.making import Box

DAY_S = 86_400


def test_a_frame_is_kept_as_a_masked_head_with_hash_and_length(box: Box) -> None:
    raw = '{"operator":"RecPush","info":{"personName":"李雷","telnum":"13800138000"}'.encode() + b"A" * 5000
    box.store.quarantine("gate-1/face-1", "malformed", raw, frozenset({"operator"}))
    box.reopen()
    (kept,) = box.store.quarantined()
    assert (kept.device, kept.reason, kept.length) == ("gate-1/face-1", "malformed", len(raw))
    assert kept.sha256 == hashlib.sha256(raw).hexdigest()
    assert kept.wall_ns == box.clock.wall_ns()
    assert len(kept.head) <= 512
    assert b"RecPush" in kept.head
    for secret in ("李雷".encode(), b"13800138000", b"AAAA"):
        assert secret not in kept.head
    everything = b"".join(path.read_bytes() for path in box.path.parent.iterdir())
    assert b"13800138000" not in everything
    assert "李雷".encode() not in everything


def test_it_is_forgotten_after_seven_days(box: Box) -> None:
    box.store.quarantine("d", "malformed", b"one")
    box.clock.advance(6 * DAY_S)
    box.store.quarantine("d", "malformed", b"two")
    box.settle()
    assert len(box.store.quarantined()) == 2
    box.clock.advance(1.5 * DAY_S)
    assert sum(step.expired for step in box.settle()) == 1
    assert [kept.length for kept in box.store.quarantined()] == [3]
    assert box.store.quarantined()[0].sha256 == hashlib.sha256(b"two").hexdigest()


def test_when_it_is_full_the_oldest_gives_way(tmp_path) -> None:
    box = Box(tmp_path / "outbox.sqlite", limits=OutboxLimits(quarantine_rows_max=5))
    for number in range(12):
        box.store.quarantine("d", "malformed", b"x" * number)
    assert [kept.length for kept in box.store.quarantined()] == [7, 8, 9, 10, 11]
    box.store.close()


def test_it_counts_in_no_lane(box: Box) -> None:
    box.store.quarantine("d", "malformed", b"x")
    assert all(depth.accepted == 0 for depth in box.store.depths().values())
