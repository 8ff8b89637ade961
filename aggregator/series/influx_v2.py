"""InfluxDB 2 and 3 through influxdb-client: ready lines to the write API, buckets, deleting. All of it blocks."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from influxdb_client import BucketRetentionRules, InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.dbrp_create import DBRPCreate
from influxdb_client.rest import ApiException
from influxdb_client.service.dbr_ps_service import DBRPsService
from urllib3.exceptions import HTTPError

from aggregator.series.address import REFUSED, InfluxAddress, PointsRefused
from aggregator.series.store import SeriesUnavailable

POLICY: Final = "campus"
_EVER: Final = ("1970-01-01T00:00:00Z", "2262-01-01T00:00:00Z")
# From a server without the API to delete: 3 is one.
_NO_DELETE: Final = frozenset({404, 405, 501})


class V2Writer:
    """Implements Writer. It blocks, so it has a thread; retries are the projector's."""

    def __init__(self, address: InfluxAddress, *, timeout_s: float) -> None:
        self._address = address
        self._client = InfluxDBClient(
            address.url, address.secret, org=address.org, enable_gzip=True, timeout=int(timeout_s * 1000)
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="influx")

    async def write(self, text: str) -> None:
        """See Writer."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, text)

    def _write(self, text: str) -> None:
        with _failures_of(self._address):
            try:
                self._api.write(bucket=self._address.database, org=self._address.org, record=text, write_precision="ns")
            except ApiException as error:
                if error.status in REFUSED:
                    raise PointsRefused(str(error.body)) from None
                raise

    async def close(self) -> None:
        """See Writer."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._client.close)
        self._thread.shutdown(wait=False)


def make_bucket(address: InfluxAddress, retention_days: int) -> None:
    """The bucket with its retention, and the mapping by which InfluxQL reads it. Raises SeriesUnavailable."""
    rules = [BucketRetentionRules(type="expire", every_seconds=retention_days * 86_400)]
    with _client(address) as client:
        buckets = client.buckets_api()
        bucket = buckets.find_bucket_by_name(address.database)
        if bucket is None:
            bucket = buckets.create_bucket(bucket_name=address.database, org=address.org, retention_rules=rules)
        else:
            bucket.retention_rules = rules
            buckets.update_bucket(bucket)
        mappings = DBRPsService(client.api_client)
        if not mappings.get_dbr_ps(org=address.org, db=address.database, rp=POLICY).content:
            mappings.post_dbrp(
                DBRPCreate(
                    org=address.org,
                    bucket_id=bucket.id,
                    database=address.database,
                    retention_policy=POLICY,
                    default=True,
                )
            )


def delete_points(address: InfluxAddress, campus: str) -> None:
    """Everything of a campus, where the server can delete. Raises SeriesUnavailable."""
    with _client(address) as client:
        try:
            client.delete_api().delete(*_EVER, f'campus="{campus}"', bucket=address.database, org=address.org)
        except ApiException as error:
            if error.status not in _NO_DELETE:
                raise


@contextmanager
def _client(address: InfluxAddress) -> Iterator[InfluxDBClient]:
    with _failures_of(address), InfluxDBClient(address.url, address.secret, org=address.org) as client:
        yield client


@contextmanager
def _failures_of(address: InfluxAddress) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise SeriesUnavailable(f"{address.url}: HTTP {error.status}") from error
    except (HTTPError, OSError) as error:
        raise SeriesUnavailable(f"{address.url}: {error}") from error
