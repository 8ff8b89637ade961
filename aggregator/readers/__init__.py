"""Readers of the ledger: each makes one picture of it, with a position of its own, and can be rebuilt at any time."""

from aggregator.readers.base import Reader, ReaderHealth
from aggregator.readers.doors import Doors
from aggregator.readers.registry import Registry
from aggregator.readers.together import Together

__all__ = ["Doors", "Reader", "ReaderHealth", "Registry", "Together"]
