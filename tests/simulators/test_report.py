import json
import random
from pathlib import Path

import pytest

from simulators.campus.alarms import KINDS
from simulators.campus.latency import Latencies
from simulators.campus.report import Commands, Findings
from simulators.compare import Comparison, compare
from tests.simulators.test_compare import DEVICES, RECORDS, at_rest, journal_of


def findings(
    comparison: Comparison, *, drained: bool = True, late: int = 0, twice: int = 0, open_commands: int = 0
) -> Findings:
    return Findings(
        seed=7,
        versions={"campus-iot": "0"},
        comparison=comparison,
        latencies=Latencies(),
        quarantined=3,
        drained=drained,
        alarms={"door_forced": 2},
        series_points=41,
        commands=Commands(issued=3, succeeded=2, unknown=1),
        late=late,
        twice=twice,
        open_commands=open_commands,
    )


def exact() -> Comparison:
    return compare(journal_of(RECORDS), map(at_rest, RECORDS), DEVICES)


def test_the_report_has_the_agreed_keys_and_all_seven_systems(tmp_path: Path) -> None:
    findings(exact()).write(tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_text())
    assert list(report) == [
        "schema",
        "seed",
        "versions",
        "produced",
        "stored",
        "lost",
        "duplicated",
        "unheard",
        "quarantined",
        "by_device_class",
        "by_system",
        "latency_ms",
        "series_points",
        "alarms",
        "commands",
    ]
    systems = {"video", "access", "attendance", "broadcast", "payment", "biometrics", "one_card"}
    assert report["by_system"].keys() == systems
    unheard = {"produced": 0, "stored": 0}
    told = {"produced": 100, "stored": 100, "lost": 0, "duplicated": 0, "unheard": unheard}
    assert report["by_system"]["access"] == told
    assert report["by_device_class"]["biometric"]["unheard"] == unheard
    assert report["series_points"] == 41
    assert report["alarms"] == dict.fromkeys(KINDS, 0) | {"door_forced": 2}
    assert report["commands"]["unknown"] == 1
    assert report["commands"].keys() == {"issued", "succeeded", "rejected", "expired", "unreachable", "unknown"}
    assert (report["schema"], report["seed"], report["produced"], report["lost"]) == (1, 7, 100, 0)


def test_only_a_drained_and_exact_campus_is_good() -> None:
    assert findings(exact()).good
    assert not findings(exact(), drained=False).good
    for wrong in ("late", "twice", "open_commands"):
        assert not findings(exact(), **{wrong: 1}).good, wrong
    assert not findings(compare(journal_of(RECORDS), map(at_rest, RECORDS[1:]), DEVICES)).good


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0])
def test_quantiles_are_exact_to_two_per_cent(share: float) -> None:
    chance = random.Random(2)
    spans = [chance.lognormvariate(-3, 1.5) for _ in range(5000)]
    latencies = Latencies()
    for span in spans:
        latencies.add(span)
    true_ms = sorted(spans)[max(0, round(share * len(spans)) - 1)] * 1000
    assert latencies.quantile_ms(share) == pytest.approx(true_ms, rel=0.021)
    assert latencies.summary()["count"] == 5000


def test_no_spans_give_no_quantiles_and_extremes_do_not_break_it() -> None:
    assert Latencies().summary() == {"count": 0, "p50": None, "p99": None, "max": None}
    latencies = Latencies()
    latencies.add(-1.0)
    latencies.add(1e9)
    assert latencies.quantile_ms(0.5) == 0.05
    assert latencies.count == 2
