import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.support.prometheus import samples, value
from wire.counters import COUNTERS, GAUGES, READ_COUNTERS, box_families
from wire.delivery import LaneDepth
from wire.metrics import Family, Sample, process_families, render, single
from wire.topics import Lane

# What stands in a label is the operator's, who may write anything.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)


@given(TEXT, TEXT, st.floats(allow_nan=True) | st.integers(-(2**60), 2**60))
def test_the_reference_parser_reads_back_what_was_said(label: str, told: str, number: float) -> None:
    page = render([Family("campus_edge_x", "gauge", f"x{told}", [Sample(number, {"device": label, "edge": "a"})])])
    # Lines of the format end with a line feed alone; the parser's own split would cut at others, too.
    (family,) = text_string_to_metric_families(page.decode())
    (sample,) = family.samples
    assert sample.labels == {"device": label, "edge": "a"}
    assert sample.value == number or (math.isnan(number) and math.isnan(sample.value))


def test_a_family_without_samples_is_left_out() -> None:
    assert render([Family("campus_edge_x", "gauge", "x", [])]) == b"\n"
    assert render([single("campus_edge_x_total", "counter", "x", 3)]).decode() == (
        "# HELP campus_edge_x_total x\n# TYPE campus_edge_x_total counter\ncampus_edge_x_total 3\n"
    )


def test_a_box_tells_what_is_on_the_list_and_nothing_else() -> None:
    numbers = {**dict.fromkeys((*COUNTERS, *READ_COUNTERS, *GAUGES), 2), "made_up_total": 5, "parts_total": 3}
    depth = LaneDepth(accepted=9, acknowledged=4, queued=3, dropped={"thinned": 1, "evicted": 1}, oldest_age_s=12)
    found = samples(render(box_families({"gate-1": numbers}, {"gate-1": {Lane.D: depth}})).decode())
    assert value(found, "campus_edge_events_total", edge="gate-1") == 2
    assert value(found, "campus_edge_lane_queued_records", lane="D") == 3
    assert value(found, "campus_edge_lane_dropped_records_total", lane="D") == 2
    assert value(found, "campus_edge_lane_oldest_age_seconds", lane="D") == 12
    assert not any("made_up" in name or "parts_total" in name for name, _ in found)


def test_a_process_says_what_it_uses() -> None:
    found = samples(render(process_families(1_788_220_800_500_000_000)).decode())
    assert value(found, "process_start_time_seconds") == 1_788_220_800.5
    assert value(found, "process_resident_memory_bytes") > 1_000_000
    assert value(found, "process_cpu_seconds_total") > 0


@pytest.mark.parametrize("names", [COUNTERS, READ_COUNTERS])
def test_counters_end_in_total(names: dict[str, str]) -> None:
    assert all(name.endswith("_total") for name in names)
    assert not any(name.endswith("_total") for name in GAUGES)
