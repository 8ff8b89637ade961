import itertools

from simulators.people import Timetable, Verdict, make_people, school_day, school_days, steady_flow

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def test_same_seed_same_people_and_another_seed_others() -> None:
    assert make_people(7) == make_people(7)
    assert make_people(7) != make_people(8)


def test_same_seed_same_trace_in_content_and_order() -> None:
    people = make_people(7)
    once, again = (list(itertools.islice(school_days(7, people, 20), 4000)) for _ in range(2))
    assert once == again
    assert once != list(itertools.islice(school_days(8, people, 20), 4000))


def test_times_never_go_back_and_days_follow_each_other() -> None:
    trace = list(itertools.islice(school_days(7, make_people(7), 20, Timetable(day_s=30)), 5000))
    assert all(earlier.at_s <= later.at_s for earlier, later in itertools.pairwise(trace))
    assert trace[-1].at_s > 30


def test_compression_scales_the_timetable_and_nothing_else() -> None:
    people = make_people(7)
    day, tenth = (school_day(7, 0, people, 20, Timetable(day_s=day_s)) for day_s in (600, 60))
    # Sorting by time may swap neighbours: the impatient second swipe stays in its second however short the day is.
    assert sorted((one.who or 0, one.direction, one.verdict) for one in day) == sorted(
        (one.who or 0, one.direction, one.verdict) for one in tenth
    )
    assert max(one.at_s for one in day) > 9 * max(one.at_s for one in tenth)


def test_a_day_has_an_arrival_peak_and_a_quiet_night() -> None:
    people = make_people(7, students=500, staff=20)
    timetable = Timetable(day_s=840)  # one second a minute
    minutes = [int(swipe.at_s) + 7 * 60 for swipe in school_day(7, 0, people, 20, timetable)]
    arrival = sum(7 * 60 + 5 <= minute < 8 * 60 + 20 for minute in minutes)
    lesson = sum(14 * 60 <= minute < 15 * 60 + 15 for minute in minutes)
    assert arrival > 450
    assert lesson < arrival / 20


def test_some_are_refused_some_unknown_and_some_swipe_twice_in_one_second() -> None:
    trace = school_day(7, 0, make_people(7), 20, Timetable())
    assert {swipe.verdict for swipe in trace} == set(Verdict)
    assert all((swipe.who is None) == (swipe.verdict in {Verdict.STRANGER, Verdict.UNREGISTERED}) for swipe in trace)
    by_person: dict[tuple[int, int], list[float]] = {}
    for swipe in trace:
        if swipe.who is not None:
            by_person.setdefault((swipe.who, swipe.terminal), []).append(swipe.at_s)
    gaps = [later - earlier for times in by_person.values() for earlier, later in itertools.pairwise(times)]
    assert any(gap < 1 for gap in gaps)


def test_a_steady_flow_repeats_with_its_seed_and_has_its_mean() -> None:
    people = make_people(7)
    once, again = (list(itertools.islice(steady_flow(7, people, 4, per_minute=600), 3000)) for _ in range(2))
    assert once == again
    assert 270 < once[-1].at_s < 330
    assert {swipe.terminal for swipe in once} == {0, 1, 2, 3}


def test_no_number_can_belong_to_anybody() -> None:
    for person in make_people(3):
        digits = person.resident_no
        assert len(digits) == 18
        assert digits.startswith("000000")
        remainder = sum(int(d) * w for d, w in zip(digits, WEIGHTS, strict=False)) % 11
        assert "10X98765432"[remainder] != digits[-1]
        assert person.phone.startswith("000")
        # ISO/IEC 14443-3: a UID whose first byte is 08 is drawn by chance.
        assert int(person.card).to_bytes(4)[0] == 0x08


def test_people_print_without_name_and_numbers() -> None:
    person = make_people(3)[0]
    for secret in (person.name, person.resident_no, person.phone, person.card, person.site_id):
        assert secret not in repr(person)


def test_the_bell_rings_at_the_begin_and_the_end_of_each_lesson_day_after_day() -> None:
    timetable = Timetable(day_s=840.0)
    a_day = 2 * len(timetable.lessons)
    rung = list(itertools.islice(timetable.bells(), 2 * a_day))
    # A second is a minute here, and the day begins at seven.
    assert rung[:3] == [80.0, 160.0, 190.0]
    assert rung[a_day:] == [at_s + 840.0 for at_s in rung[:a_day]]
    assert rung == sorted(rung)


def test_lunch_is_between_lessons_every_day() -> None:
    timetable = Timetable(day_s=840.0)
    hungry = [second for second in range(1680) if timetable.at_lunch(second)]
    assert hungry == [*range(290, 350), *range(1130, 1190)]
    assert not any(begins < 420 + second % 840 < ends for second in hungry for begins, ends in timetable.lessons)
