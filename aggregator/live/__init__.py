"""The way to a screen: ledger rows as JSON, and the feed of those that are new."""

from aggregator.live.feed import Feed
from aggregator.live.view import encode_row, row_view

__all__ = ["Feed", "encode_row", "row_view"]
