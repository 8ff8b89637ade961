"""The time series: a projection of the ledger, for curves. It can be thrown away and made again, with equal counts.

    ledger rows -> points (pure) -> a store: embedded SQLite, or InfluxDB -> queries with downsampling

A point is known by measurement, tags and time. The ledger gave each record of a device a time of its own
(`series_time_ns`), so two records never share a point, and writing a record twice changes nothing. No person, no
credential and no pseudonym ever stands in a point: only devices, what they measured, and that something happened.
"""

from aggregator.series.embedded import EmbeddedSeries
from aggregator.series.points import Point, points_of
from aggregator.series.projector import Projector
from aggregator.series.store import Bucket, SeriesStore, SeriesUnavailable

__all__ = ["Bucket", "EmbeddedSeries", "Point", "Projector", "SeriesStore", "SeriesUnavailable", "points_of"]
