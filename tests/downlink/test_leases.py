from hypothesis import given
from hypothesis import strategies as st

from edge_agent.downlink import LeaseBook, Refusal
from edge_agent.downlink.leases import TOLD_AGAIN_S
from tests.support.clock import seeded
from wire.clock import NS_PER_S
from wire.commands import LEASE_VALID_S, LeaseUse

VALID_NS = LEASE_VALID_S * NS_PER_S


def test_a_use_gives_the_right_once() -> None:
    book = LeaseBook(seeded(1))
    use = LeaseUse(lease=book.issue(0).id, use=3)
    assert book.take(use, "one", 1) is None
    assert book.take(use, "two", 2) is Refusal.USED
    assert book.take(use, "one", 3) is Refusal.DROPPED
    assert book.deadline_ns(use) == VALID_NS


def test_a_lease_runs_out_on_the_clock_of_the_box() -> None:
    book = LeaseBook(seeded(1))
    lease = book.issue(0).id
    assert book.take(LeaseUse(lease=lease, use=0), "one", VALID_NS - 1) is None
    assert book.take(LeaseUse(lease=lease, use=1), "two", VALID_NS) is Refusal.EXPIRED


def test_a_void_or_unknown_lease_is_not_obeyed_and_not_answered() -> None:
    book = LeaseBook(seeded(1))
    use = LeaseUse(lease=book.issue(0).id, use=0)
    book.void()
    assert book.take(use, "one", 1) is Refusal.DROPPED
    assert book.take(LeaseUse(lease="f" * 32, use=0), "one", 1) is Refusal.DROPPED
    assert book.deadline_ns(use) is None


def test_a_lease_is_settled_when_it_has_run_out_and_all_that_was_taken_has_ended() -> None:
    book = LeaseBook(seeded(1))
    use = LeaseUse(lease=book.issue(0).id, use=0)
    book.take(use, "one", 1)
    assert book.settled(VALID_NS - 1) == ()
    assert book.settled(VALID_NS) == ()
    book.ended(use)
    assert book.settled(VALID_NS) == (use.lease,)


def test_nothing_is_taken_nor_answered_under_a_lease_that_was_told_as_settled() -> None:
    book = LeaseBook(seeded(1))
    lease = book.issue(0).id
    assert book.settled(VALID_NS) == (lease,)
    assert book.take(LeaseUse(lease=lease, use=0), "late", VALID_NS) is Refusal.DROPPED


def test_a_settled_lease_is_told_for_a_minute_and_then_forgotten() -> None:
    book = LeaseBook(seeded(1))
    lease = book.issue(0).id
    assert book.settled(VALID_NS) == (lease,)
    end_ns = VALID_NS + TOLD_AGAIN_S * NS_PER_S
    assert book.settled(end_ns - 1) == (lease,)
    assert book.settled(end_ns) == ()


@given(
    st.lists(st.tuples(st.sampled_from(["issue", "take", "end", "settle", "void"]), st.integers(0, 70)), max_size=80)
)
def test_whatever_happens_a_settled_lease_has_no_use_under_way_and_each_use_acts_once(
    steps: list[tuple[str, int]],
) -> None:
    book, now_ns, leases, under_way = LeaseBook(seeded(1)), 0, [], list[LeaseUse]()
    granted: set[tuple[str, int]] = set()
    told: set[str] = set()
    for number, (step, value) in enumerate(steps):
        now_ns += value * NS_PER_S // 10
        match step:
            case "issue":
                leases.append(book.issue(now_ns).id)
            case "take" if leases:
                use = LeaseUse(lease=leases[value % len(leases)], use=value % 64)
                refusal = book.take(use, f"c{number}", now_ns)
                assert use.lease not in told or refusal is Refusal.DROPPED
                if refusal is None:
                    assert (use.lease, use.use) not in granted
                    granted.add((use.lease, use.use))
                if refusal is not Refusal.DROPPED:
                    under_way.append(use)
            case "end" if under_way:
                book.ended(under_way.pop(value % len(under_way)))
            case "settle":
                settled = book.settled(now_ns)
                assert len(settled) <= 64
                told |= set(settled)
                assert told.isdisjoint(use.lease for use in under_way)
            case "void":
                book.void()
                under_way.clear()
                leases.clear()
