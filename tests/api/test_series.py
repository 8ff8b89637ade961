from aggregator.accounts import Role
from aggregator.series import SeriesUnavailable
from tests.api.rig import Rig
from tests.series.making import DEVICE, T0, measured
from wire.clock import NS_PER_S, utc_text

SPAN = {"since": utc_text(T0), "until": utc_text(T0 + 60 * NS_PER_S), "buckets": 6}


async def test_a_curve_has_its_gaps_and_its_spikes(rig: Rig):
    await rig.campus.series.write([measured(value, at) for at, value in ((0, 20), (1, 80), (2, 21), (55, 22))])
    async with await rig.ask(Role.OPS) as client:
        answer = (await client.get(f"/api/v1/series/{DEVICE}/temperature", params=SPAN)).json()
    assert [(one["start"], one["count"], one["maximum"]) for one in answer["items"]] == [
        (utc_text(T0), 3, 80),
        (utc_text(T0 + 50 * NS_PER_S), 1, 22),
    ]


async def test_the_last_day_is_shown_when_nothing_is_said(rig: Rig):
    async with await rig.ask(Role.WALL) as client:
        answer = await client.get(f"/api/v1/series/{DEVICE}/temperature")
        assert (answer.status_code, answer.json()["items"]) == (200, [])
        backwards = {"since": SPAN["until"], "until": SPAN["since"]}
        assert (await client.get(f"/api/v1/series/{DEVICE}/temperature", params=backwards)).status_code == 422
        odd = await client.get(f"/api/v1/series/{DEVICE}/temperature", params={"since": "yesterday"})
        assert odd.json()["params"]["parameter"] == "since"


async def test_a_store_that_is_away_is_told(rig: Rig, monkeypatch):
    async def away(*_args: object, **_span: object) -> None:
        raise SeriesUnavailable("no route")

    monkeypatch.setattr(rig.campus.series, "curve", away)
    async with await rig.ask(Role.OPS) as client:
        answer = await client.get(f"/api/v1/series/{DEVICE}/temperature")
    assert (answer.status_code, answer.json()["code"]) == (503, "series_unavailable")
