"""Which requests bring a set of points: few, within every limit, and each point exactly once."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs.kinds.modbus import Layout, Point, Span, Table
from edge_agent.codecs.poll_plan import Request, plan, split
from wire.records import Value


def point(address: int, count: int = 1, table: Table = "holding_registers", *, alone: bool = False) -> Point:
    name = f"{table}-{address}-{count}"
    return Point(
        resource=name,
        table=table,
        address=address,
        count=count,
        alone=alone,
        decode=lambda words, at=0: Value(resource=name, value=" ".join(map(str, words[at : at + count]))),
    )


def shapes(requests: Sequence[Request]) -> list[tuple[str, int, int]]:
    return [(request.table, request.address, request.count) for request in requests]


def test_neighbours_of_different_length_share_a_request() -> None:
    assert shapes(plan([point(4, 4), point(0), point(1, 2)], gap_max=8)) == [("holding_registers", 0, 8)]


def test_a_gap_that_costs_more_than_a_request_is_not_read() -> None:
    assert shapes(plan([point(0), point(10)], gap_max=8)) == [("holding_registers", 0, 1), ("holding_registers", 10, 1)]
    assert shapes(plan([point(0), point(9)], gap_max=8)) == [("holding_registers", 0, 10)]


def test_a_gap_of_bits_costs_a_sixteenth() -> None:
    bits = [point(0, table="coils"), point(128, table="coils")]
    assert shapes(plan(bits, gap_max=8)) == [("coils", 0, 129)]


def test_no_request_is_longer_than_the_protocol_allows() -> None:
    registers = plan([point(address) for address in range(300)], gap_max=8)
    assert [request.count for request in registers] == [125, 125, 50]
    bits = plan([point(address, table="discrete_inputs") for address in range(2500)], gap_max=8)
    assert [request.count for request in bits] == [2000, 500]


def test_a_device_that_answers_no_more_at_once_is_asked_for_no_more() -> None:
    few = plan([point(address) for address in range(100)], gap_max=8, layout=Layout(registers_max=40))
    assert [request.count for request in few] == [40, 40, 20]


def test_what_must_not_be_read_in_vain_is_not() -> None:
    points = [point(0), point(4), point(8), point(4, table="input_registers"), point(8, table="input_registers")]
    forbidden = Layout(forbidden=(Span("holding_registers", 6, 6),))
    assert shapes(plan(points, gap_max=8, layout=forbidden)) == [
        ("holding_registers", 0, 5),
        ("holding_registers", 8, 1),
        ("input_registers", 4, 5),
    ]
    # Its ends belong to it; what lies beside it does not.
    for first, last, requests in ((1, 1, 2), (3, 3, 2), (5, 7, 2), (9, 20, 1), (0, 3, 2), (4, 4, 1)):
        layout = Layout(forbidden=(Span("holding_registers", first, last),))
        assert len(plan(points[:3], gap_max=8, layout=layout)) == requests, (first, last)


def test_a_point_that_wants_to_be_alone_is() -> None:
    assert [request.count for request in plan([point(0), point(1, alone=True), point(2)], gap_max=8)] == [1, 1, 1]


def test_a_refused_request_is_cut_where_nobody_asked() -> None:
    (request,) = plan([point(0), point(1), point(6), point(7)], gap_max=8)
    assert shapes(split(request)) == [("holding_registers", 0, 2), ("holding_registers", 6, 2)]
    assert split(plan([point(3)], gap_max=8)[0]) == []


points = st.lists(
    st.builds(
        point,
        st.integers(0, 400),
        st.sampled_from([1, 2, 4]),
        st.sampled_from(["holding_registers", "input_registers"]),
    ),
    max_size=60,
    unique_by=lambda one: one.resource,
)


layouts = st.builds(
    Layout,
    st.integers(4, 125),
    st.lists(
        st.builds(
            lambda table, first, width: Span(table, first, first + width),
            st.sampled_from(["holding_registers", "input_registers"]),
            st.integers(0, 400),
            st.integers(0, 30),
        ),
        max_size=5,
    ).map(tuple),
)


def in_vain(wanted: Sequence[Point]) -> list[tuple[str, int]]:
    """What one request for these reads that nobody wants."""
    (table,) = {one.table for one in wanted}
    read = set(range(min(one.address for one in wanted), max(one.end for one in wanted)))
    return [
        (table, address) for address in sorted(read - {spot for one in wanted for spot in range(one.address, one.end)})
    ]


def allowed(wanted: Sequence[Point], gap_max: int, layout: Layout) -> bool:
    """Whether one request may bring these."""
    if max(one.end for one in wanted) - min(one.address for one in wanted) > layout.registers_max:
        return False
    vain = in_vain(wanted)
    runs = {address - index for index, (_, address) in enumerate(vain)}
    if any(sum(address - index == run for index, (_, address) in enumerate(vain)) > gap_max for run in runs):
        return False
    return not any(
        span.table == table and span.first <= address <= span.last
        for table, address in vain
        for span in layout.forbidden
    )


def fewest(wanted: Sequence[Point], gap_max: int, layout: Layout) -> int:
    """The least number of requests for points of one table, by trying every cut."""
    ordered = sorted(wanted, key=lambda one: (one.address, one.count))
    best = [0] + [len(ordered)] * len(ordered)
    for last in range(1, len(ordered) + 1):
        for first in range(last, 0, -1):
            if allowed(ordered[first - 1 : last], gap_max, layout):
                best[last] = min(best[last], best[first - 1] + 1)
    return best[-1]


@given(points, st.integers(0, 20), layouts)
def test_every_point_is_brought_once_by_as_few_requests_as_possible(
    wanted: list[Point], gap_max: int, layout: Layout
) -> None:
    requests = plan(wanted, gap_max=gap_max, layout=layout)
    assert sorted(one.resource for request in requests for one in request.points) == sorted(
        one.resource for one in wanted
    )
    for request in requests:
        assert allowed(request.points, gap_max, layout)
        words = range(request.address, request.address + request.count)
        for one, value in zip(request.points, request.values(words), strict=True):
            assert value == Value(resource=one.resource, value=" ".join(map(str, range(one.address, one.end))))
    for table in ("holding_registers", "input_registers"):
        of_table = [one for one in wanted if one.table == table]
        assert len([one for one in requests if one.table == table]) == fewest(of_table, gap_max, layout)


@given(points.filter(bool), st.data())
def test_cutting_again_and_again_isolates_what_is_refused(wanted: list[Point], data: st.DataObject) -> None:
    bad = data.draw(st.sampled_from(wanted))
    forbidden = set(range(bad.address, bad.end))
    read: set[str] = set()
    waiting = plan(wanted, gap_max=8)
    asked = 0
    while waiting:
        request = waiting.pop()
        asked += 1
        touched = request.table == bad.table and forbidden & set(
            range(request.address, request.address + request.count)
        )
        if touched:
            waiting += split(request)
        else:
            read |= {one.resource for one in request.points}
    assert read == {
        one.resource for one in wanted if one.table != bad.table or not forbidden & set(range(one.address, one.end))
    }
    assert asked <= 4 * len(wanted)
