"""A metrics page, read by the reference parser and held to the conventions of names."""

import re
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

NAME = re.compile(r"(campus_(edge|aggregator|device)|process)_[a-z0-9_]+")
UNITS = ("_seconds", "_bytes", "_records", "_info")


def samples(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels in order of their names) -> value. Fails on anything that breaks the format or the conventions."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(page):
        assert family.documentation, family.name
        assert family.type in {"counter", "gauge"}, family.name
        for sample in family.samples:
            assert NAME.fullmatch(sample.name), sample.name
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    assert len(found) == len([line for line in page.splitlines() if line and not line.startswith("#")])
    return found


def value(found: Mapping[tuple[str, tuple[tuple[str, str], ...]], float], name: str, **labels: str) -> float:
    """The one sample of a name with these labels among its own."""
    (only,) = [number for (its, own), number in found.items() if its == name and set(labels.items()) <= set(own)]
    return only
