"""Times in queries."""

from typing import Final

from aggregator.api.problems import Problem
from wire.clock import parse_utc

INT64_MAX: Final = 2**63 - 1


def moment_ns(parameter: str, text: str) -> int:
    """RFC 3339 with offset, in nanoseconds since 1970. Raises Problem 422, naming the parameter."""
    try:
        # A plus sign that nobody escaped arrives as a blank.
        found_ns = parse_utc(text.replace(" ", "+"))
    except ValueError:
        raise Problem(422, "bad_time", {"parameter": parameter, "expected": "2026-09-01T07:55:10Z"}) from None
    # RFC 3339 reaches from year 1 to 9999, a column of nanoseconds from 1677 to 2262.
    return min(max(found_ns, -INT64_MAX), INT64_MAX)
