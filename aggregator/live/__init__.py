"""The way to a screen: ledger rows as JSON, the feed of those that are new, and the live page with its frames."""

from aggregator.live.feed import Feed
from aggregator.live.hub import LiveHub, Unreadable
from aggregator.live.view import encode_row, row_view

__all__ = ["Feed", "LiveHub", "Unreadable", "encode_row", "row_view"]
