"""One lane's window: go-back-N with patience, and when a lane has something to say."""

import pytest

from edge_agent.uplink.window import BATCHES, RESEND_S_MAX, RESEND_S_MIN, SPACING_S, Flight, LaneWindow
from wire.topics import LANES, Lane


def flight(first: int, through: int, sent_s: float = 0.0) -> Flight:
    return Flight(first, through, 100 * (through - first + 1), bytes([through]) * 16, sent_s)


@pytest.fixture
def window() -> LaneWindow:
    window = LaneWindow(Lane.D)
    window.start(10, now=0.0)
    return window


def send(window: LaneWindow, *flights: Flight) -> None:
    for one in flights:
        window.reading()
        window.sent(one)


def test_a_lane_that_was_just_welcomed_may_speak_at_once(window: LaneWindow) -> None:
    assert (window.acked, window.cursor, window.ready_at()) == (10, 10, 0.0)


def test_a_lane_that_has_read_everything_waits_for_news(window: LaneWindow) -> None:
    window.reading()
    assert window.ready_at() is None


@pytest.mark.parametrize("lane", LANES)
def test_news_that_comes_by_itself_waits_for_nothing(lane: Lane) -> None:
    window = LaneWindow(lane)
    window.start(0, now=0.0)
    send(window, flight(1, 1, sent_s=5.0))
    window.grew(now=7.0)
    window.grew(now=7.5)
    assert window.ready_at() == 7.0


@pytest.mark.parametrize("lane", LANES)
def test_news_soon_after_a_batch_waits_for_company_as_long_as_its_lane_allows(lane: Lane) -> None:
    window = LaneWindow(lane)
    window.start(0, now=0.0)
    send(window, flight(1, 1, sent_s=7.0))
    window.grew(now=7.0)
    assert window.ready_at() == 7.0 + SPACING_S[lane]
    assert SPACING_S[Lane.A] == 0


def test_what_is_left_behind_by_a_full_batch_need_not_wait(window: LaneWindow) -> None:
    send(window, flight(11, 12, sent_s=7.0))
    window.more(now=7.0)
    assert window.ready_at() == 7.0


def test_news_during_a_read_counts_for_the_time_after_it(window: LaneWindow) -> None:
    window.reading()
    window.grew(now=3.0)
    window.sent(flight(11, 12, 3.0))
    assert window.ready_at() == 3.0 + SPACING_S[Lane.D]


@pytest.mark.parametrize("lane", LANES)
def test_a_full_window_is_not_ready_until_an_ack_makes_room(lane: Lane) -> None:
    window = LaneWindow(lane)
    window.start(0, now=0.0)
    for number in range(1, BATCHES[lane] + 1):
        window.more(now=1.0)
        send(window, flight(number, number))
    window.more(now=1.0)
    assert window.ready_at() is None
    window.acknowledge(1, now=2.0)
    assert window.ready_at() == 1.0


def test_an_ack_ends_every_flight_it_covers_and_only_those(window: LaneWindow) -> None:
    one, two = flight(11, 15), flight(16, 20)
    send(window, one, two)
    assert window.bytes_in_flight == 1000
    assert window.acknowledge(17, now=1.0) == [one]
    assert window.bytes_in_flight == 500
    assert window.acknowledge(20, now=1.0) == [two]
    assert (window.acked, window.cursor, window.bytes_in_flight) == (20, 20, 0)


def test_an_old_ack_changes_nothing(window: LaneWindow) -> None:
    send(window, flight(11, 15))
    window.acknowledge(15, now=1.0)
    assert window.acknowledge(12, now=2.0) == []
    assert window.acked == 15


def test_patience_ends_after_five_seconds_without_progress_and_an_ack_renews_it(window: LaneWindow) -> None:
    assert window.due_at() is None
    send(window, flight(11, 15, 2.0), flight(16, 20, 4.0))
    assert window.due_at() == 2.0 + RESEND_S_MIN
    window.acknowledge(15, now=6.0)
    assert window.due_at() == 6.0 + RESEND_S_MIN
    window.acknowledge(20, now=7.0)
    assert window.due_at() is None


def test_patience_doubles_up_to_a_minute_and_falls_back_with_progress(window: LaneWindow) -> None:
    waits = []
    for _ in range(6):
        send(window, flight(11, 15, 0.0))
        waits.append(window.due_at())
        window.rewind(now=0.0)
    assert waits == [5, 10, 20, 40, RESEND_S_MAX, RESEND_S_MAX]
    window.acknowledge(15, now=0.0)
    send(window, flight(16, 20, 0.0))
    assert window.due_at() == RESEND_S_MIN


def test_going_back_means_everything_above_acked_again(window: LaneWindow) -> None:
    send(window, flight(11, 15), flight(16, 20))
    window.rewind(now=9.0)
    assert (window.cursor, window.bytes_in_flight, window.ready_at()) == (10, 0, 9.0)


def test_bytes_that_still_wait_for_the_socket_postpone_the_resend(window: LaneWindow) -> None:
    send(window, flight(11, 15, 0.0))
    window.postpone(now=5.0)
    assert window.due_at() == 10.0
    assert window.cursor == 15


def test_an_ack_for_a_batch_that_was_given_up_moves_on_behind_it(window: LaneWindow) -> None:
    send(window, flight(11, 15), flight(16, 20))
    window.rewind(now=5.0)
    window.reading()  # of 11 and what follows; the ack comes during this read
    window.acknowledge(20, now=5.1)
    assert (window.acked, window.cursor) == (20, 20)
    assert window.ready_at() == 5.1, "the read under way is void, so the lane must read again"


def test_the_chain_is_known_where_a_flight_ends(window: LaneWindow) -> None:
    send(window, flight(11, 15), flight(16, 20))
    assert window.chain_at(15) == bytes([15]) * 16
    assert window.chain_at(17) is None


def test_a_new_session_forgets_the_old_ones_flights_and_impatience(window: LaneWindow) -> None:
    send(window, flight(11, 15))
    window.rewind(now=5.0)
    send(window, flight(11, 15, 5.0))
    window.start(12, now=6.0)
    assert (window.acked, window.cursor, window.bytes_in_flight, window.due_at()) == (12, 12, 0, None)
    send(window, flight(13, 15, 6.0))
    assert window.due_at() == 6.0 + RESEND_S_MIN
