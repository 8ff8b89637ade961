"""`campus-aggregator series`: make the bucket, make the series anew."""

import typer

from aggregator.office_cli import EXIT_USAGE, with_parts
from aggregator.parts import Parts
from aggregator.series.influx import InfluxSeries
from aggregator.settings import AggregatorSettings, InfluxSeriesChoice
from wire.i18n import Texts


def rebuild_series(settings: AggregatorSettings, texts: Texts) -> int:
    """Write every point of the ledger anew; afterwards the counts are the ledger's, as far back as points are kept."""

    async def rebuild(parts: Parts) -> dict[str, int]:
        await parts.projector.rebuild()
        await parts.projector.store.expire(parts.clock.wall_ns())
        return await parts.projector.store.counts()

    def show(counts: dict[str, int]) -> None:
        typer.echo(texts("agg.series.rebuilt", count=sum(counts.values())))

    return with_parts(settings, rebuild, texts, show)


def set_up_series(settings: AggregatorSettings, texts: Texts) -> int:
    """Make database or bucket with its retention; harmless twice. 2 when the series needs none."""
    choice = settings.series
    if not isinstance(choice, InfluxSeriesChoice):
        typer.echo(texts("agg.series.embedded"), err=True)
        return EXIT_USAGE

    async def set_up(parts: Parts) -> None:
        if isinstance(parts.projector.store, InfluxSeries):
            await parts.projector.store.setup(retention_days=choice.retention_days)

    done = texts("agg.series.ready", database=choice.database, days=choice.retention_days)
    return with_parts(settings, set_up, texts, lambda _: typer.echo(done))
