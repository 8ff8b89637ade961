"""What is told of polled values: changes once, states first as known before, old values never as good."""

from edge_agent.channels.told import Told
from wire.clock import NS_PER_S
from wire.records import Value

LIMIT = {"door": 10 * NS_PER_S, "heat": 10 * NS_PER_S}


def heat(degrees: float | None, quality: str = "good") -> Value:
    return Value(resource="heat", value=degrees, unit="Cel", quality=quality)


def told() -> Told:
    return Told({"door": True, "heat": False}, LIMIT)


def states(one: Told, value: object, now_s: float = 0) -> list[tuple[object, bool]]:
    brought = Value(resource="door", value=value)
    messages, measured = one.news([brought], int(now_s * NS_PER_S))
    assert measured == []
    return [(message.fields["door"], message.initialized) for message in messages]


def test_a_state_is_told_when_it_changes_and_first_as_known_before() -> None:
    one = told()
    assert states(one, True) == [(True, True)]
    assert states(one, True) == []
    assert states(one, False) == [(False, False)]
    assert states(one, True) == [(True, False)]


def test_a_state_that_is_not_known_for_a_while_is_no_change() -> None:
    one = told()
    assert states(one, None) == []
    assert states(one, True) == [(True, True)]
    assert states(one, None) == []
    assert states(one, True) == []


def test_a_first_state_that_could_not_be_kept_is_still_the_first() -> None:
    one = told()
    states(one, False)
    one.forget(["door"])
    assert states(one, False) == [(False, True)]
    states(one, True)
    one.forget(["door"])
    assert states(one, True) == [(True, False)]


def test_a_measured_value_is_told_when_it_changes_or_always() -> None:
    one = told()
    assert one.news([heat(20.0)], 0)[1] == [heat(20.0)]
    assert one.news([heat(20.0)], 0)[1] == []
    assert one.news([heat(20.0)], 0, always={"heat"})[1] == [heat(20.0)]
    assert one.news([heat(20.0, "out_of_range")], 0)[1] == [heat(20.0, "out_of_range")]
    assert one.news([heat(None, "unknown")], 0)[1] == [heat(None, "unknown")]


def test_what_is_not_brought_any_more_is_told_once_as_stale_and_again_when_it_comes_back() -> None:
    one = told()
    one.news([heat(20.0)], 0)
    assert list(one.grown_old(10 * NS_PER_S - 1)) == []
    assert list(one.grown_old(10 * NS_PER_S)) == [heat(20.0, "stale")]
    assert list(one.grown_old(90 * NS_PER_S)) == []
    # The same value as before it was lost, and yet news.
    assert one.news([heat(20.0)], 91 * NS_PER_S)[1] == [heat(20.0)]
    assert list(one.grown_old(102 * NS_PER_S)) == [heat(20.0, "stale")]


def test_each_value_grows_old_by_itself_whenever_one_looks() -> None:
    one = Told({"door": False, "heat": False}, LIMIT)
    door = Value(resource="door", value=1)
    one.news([heat(20.0)], 0)
    assert list(one.grown_old(5 * NS_PER_S)) == []
    one.news([door], 6 * NS_PER_S)
    one.news([heat(20.0)], 7 * NS_PER_S)
    assert list(one.grown_old(16 * NS_PER_S - 1)) == []
    assert [value.resource for value in one.grown_old(16 * NS_PER_S)] == ["door"]
    assert list(one.grown_old(17 * NS_PER_S)) == [heat(20.0, "stale")]


def test_a_new_limit_holds_at_once() -> None:
    one = told()
    one.news([heat(20.0)], 0)
    assert list(one.grown_old(3 * NS_PER_S)) == []
    one.limit({"door": NS_PER_S, "heat": NS_PER_S})
    assert list(one.grown_old(3 * NS_PER_S)) == [heat(20.0, "stale")]


def test_nothing_that_was_never_brought_grows_old() -> None:
    assert list(told().grown_old(10**15)) == []
