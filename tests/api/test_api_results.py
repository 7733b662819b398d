"""Results over real HTTP: protection, closed positions, the record and its benchmarks, the curve, costs and limits."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus, Breaker
from shared.domain.breakers import Trip
from shared.domain.market import Series, Timeframe
from shared.domain.order import Side
from tests.db.samples import CYCLE, TICK, a_call, a_candle, a_fill, a_point, a_position, a_reviewed, an_account

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def books(client: httpx.AsyncClient, database: Database) -> None:
    """An account of four days with twelve round trips, and another that never traded. BTCUSDT doubles meanwhile."""
    trades = []
    for number in range(12):
        at = TICK + number * 7 * HOUR
        opening = a_fill(2 * number + 1, commission=Decimal("0.1"), at=at)
        closing = a_fill(
            2 * number + 2,
            side=Side.SELL,
            realized_pnl=Decimal(3 if number % 3 else -4),
            commission=Decimal("0.1"),
            at=at + HOUR,
        )
        trades += [opening, closing]
    async with database.open_work() as work:
        await work.accounts.configure([an_account(), an_account("other")])
        for day, worth in enumerate(("1000", "1100", "990", "1045")):
            await work.holds.add_equity("main", a_point(TICK + day * DAY, worth))
        await work.fills.save("main", trades)
        candles = [a_candle(TICK - HOUR + n * timedelta(minutes=5), str(100 + n / 8)) for n in range(12 * 80)]
        await work.candles.save({Series("BTCUSDT", Timeframe.M5): candles})
        await work.model_calls.save(CYCLE, [a_call()])
        await work.model_spending.reserve("main", TICK.date(), Decimal(1), None)
        await work.model_spending.settle("main", TICK.date(), Decimal(1), Decimal("0.00123"))


async def told(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("books")
async def test_a_record_stands_beside_its_benchmarks_and_says_what_its_trades_prove(client: httpx.AsyncClient) -> None:
    [mine] = (await told(client, "/performance", account="main"))["items"]

    assert (mine["total_return"], mine["max_drawdown"], mine["profit"]) == ("0.045", "0.1", "45")
    assert (mine["round_trips"], mine["trades"], mine["fees"]) == (12, 24, "2.4")
    assert mine["win_rate"] == pytest.approx(8 / 12)
    assert mine["profit_factor"] == pytest.approx(8 * 2.8 / (4 * 4.2))
    assert (mine["model_cost"], mine["sample"]["trips"], mine["sample"]["enough"]) == ("0.00123", 12, False)
    assert mine["caution"] == mine["sample"]["word"]
    assert mine["sample"]["word"].startswith("12 closed trades with a mean return of 0.07% ± ")
    hold, dice, nothing = mine["benchmarks"]
    assert (hold["name"], hold["symbols"], hold["without"]) == ("buy_and_hold", ["BTCUSDT"], ["ETHUSDT"])
    assert float(hold["total_return"]) == pytest.approx((100 + 875 / 8) / (100 + 11 / 8) - 1, abs=1e-6)
    assert (dice["name"], dice["trips"], dice["draws"]) == ("random_entry", 12, 200)
    assert 0 <= dice["beaten"] <= 1
    assert float(dice["quantiles"]["0.05"]) < float(dice["quantiles"]["0.95"])
    assert (nothing["name"], nothing["total_return"], nothing["max_drawdown"]) == ("no_model", "0", "0")
    assert [(row["value"], row["round_trips"]) for row in mine["models"]] == [("", 12)]


@pytest.mark.usefixtures("books")
async def test_the_same_record_is_told_the_same_twice(client: httpx.AsyncClient) -> None:
    assert await told(client, "/performance") == await told(client, "/performance")


@pytest.mark.usefixtures("books")
async def test_an_account_that_never_traded_has_neither_a_record_nor_benchmarks(client: httpx.AsyncClient) -> None:
    [other] = (await told(client, "/performance", account="other"))["items"]

    assert (other["equity"], other["total_return"], other["benchmarks"], other["models"]) == (None, None, [], [])
    assert (await client.get("/performance", params={"account": "nobody"})).status_code == 404


@pytest.mark.usefixtures("books")
async def test_the_curve_is_drawn_with_its_falls_and_with_buying_and_holding(client: httpx.AsyncClient) -> None:
    curve = await told(client, "/equity/curve", account="main", points=10)

    assert [point["growth"] for point in curve["points"]] == pytest.approx([1.0, 1.1, 0.99, 1.045])
    assert [point["drawdown"] for point in curve["points"]] == pytest.approx([0.0, 0.0, 0.1, 0.05])
    assert [point["equity"] for point in curve["points"]] == ["1000", "1100", "990", "1045"]
    held = [point["buy_and_hold"] for point in curve["points"]]
    assert held[0] == 1.0
    assert held == sorted(held)
    assert curve["without"] == ["ETHUSDT"]
    empty = await told(client, "/equity/curve", account="other")
    assert empty["points"] == []


@pytest.mark.usefixtures("books")
async def test_a_stretch_without_points_is_an_empty_curve_and_too_few_are_refused(client: httpx.AsyncClient) -> None:
    later = (TICK + 30 * DAY).isoformat()
    assert (await told(client, "/equity/curve", account="main", since=later))["points"] == []
    assert (await client.get("/equity/curve", params={"account": "main", "points": 4})).status_code == 400
    assert (await client.get("/equity/curve")).status_code == 400


@pytest.mark.usefixtures("books")
async def test_returns_come_by_the_day_the_week_and_the_month(client: httpx.AsyncClient) -> None:
    days = (await told(client, "/performance/returns", account="main", period="day"))["items"]
    months = (await told(client, "/performance/returns", account="main", period="month"))["items"]

    assert [row["total_return"] for row in days] == ["0.05555556", "-0.1", "0.1", "0"]
    assert [(row["start"], row["total_return"], row["profit"]) for row in months] == [
        ("2026-04-01T00:00:00+00:00", "0.045", "45"),
        ("2026-03-01T00:00:00+00:00", "0", "0"),
    ]
    page = await told(client, "/performance/returns", limit=2)
    rest = await told(client, "/performance/returns", limit=2, before=page["next"])
    assert page["items"] + rest["items"] == days


@pytest.mark.usefixtures("books")
async def test_closed_positions_are_paged_filtered_and_downloaded(client: httpx.AsyncClient) -> None:
    whole = (await told(client, "/positions/closed", account="main"))["items"]
    page = await told(client, "/positions/closed", limit=7)
    rest = await told(client, "/positions/closed", limit=7, before=page["next"])

    assert page["items"] + rest["items"] == whole
    assert (len(whole), rest["next"]) == (12, None)
    assert [row["profit"] for row in whole[-2:]] == ["2.8", "-4.2"]
    assert (await told(client, "/positions/closed", direction="SHORT"))["items"] == []
    assert len((await told(client, "/positions/closed", exit="external"))["items"]) == 12
    lines = (await client.get("/positions/closed", params={"format": "csv"})).text.splitlines()
    assert len(lines) == 13
    assert "net_return" in lines[0].split(",")


@pytest.mark.usefixtures("books")
async def test_the_edge_adds_up_whichever_way_it_is_taken_apart(client: httpx.AsyncClient) -> None:
    edge = await told(client, "/edge", account="main")

    assert (edge["total"]["round_trips"], edge["total"]["profit"], edge["whole"]) == (12, "5.6", True)
    assert edge["caution"].startswith("12 closed trades with a mean return of 0.07% ± ")
    assert set(edge["groups"]) == {"holding_time", "direction", "symbol", "hour", "weekday", "model", "exit"}
    for rows in edge["groups"].values():
        assert sum(row["round_trips"] for row in rows) == 12
    [held] = edge["groups"]["holding_time"]
    assert (held["value"], held["win_rate"]) == ("1h to 4h", pytest.approx(8 / 12))
    assert (await told(client, "/edge", since=(TICK + 30 * DAY).isoformat()))["total"]["round_trips"] == 0


@pytest.mark.usefixtures("books")
async def test_costs_come_by_the_day_newest_first(client: httpx.AsyncClient) -> None:
    page = await told(client, "/costs", account="main", limit=2)
    rest = await told(client, "/costs", account="main", before=page["next"])
    rows = page["items"] + rest["items"]

    assert [row["day"][:10] for row in rows] == sorted((row["day"][:10] for row in rows), reverse=True)
    assert sum(row["trades"] for row in rows) == 24
    assert (rows[-1]["calls"], rows[-1]["cost"], rows[-1]["fees_per_trade"]) == (1, "0.00123", "0.1")


@pytest.mark.usefixtures("books")
async def test_positions_show_that_nothing_protects_them(client: httpx.AsyncClient, database: Database) -> None:
    async with database.open_work() as work:
        await work.holds.replace_positions("main", [a_position(liquidation_price=Decimal(32050))], TICK)

    [held] = (await told(client, "/positions", account="main"))["items"]

    confirmed = TICK.isoformat()
    assert held["protection"] == {"naked": True, "confirmed_at": confirmed, "stop": None, "target": None}
    assert (held["liquidation_distance"], held["opened_at"]) == ("0.5", None)


@pytest.mark.usefixtures("books")
async def test_limits_tell_how_much_of_each_is_used_and_which_stand(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.ACTIVE, "")
        await work.decisions.save(CYCLE, [a_reviewed()], None)
        held = a_position(quantity=Decimal("0.010"), mark_price=Decimal(52250), leverage=3)
        await work.holds.replace_positions("main", [held, replace(held, symbol="ETHUSDT")], TICK)
        trip = Trip(breaker=Breaker.DRAWDOWN, at=TICK, lifts_at=None, flatten=False, reason="5.00% from its peak")
        await work.breakers.trip("main", [trip])

    answer = await told(client, "/limits", account="main")
    [mine] = answer["items"]
    used = {row["limit"]: row for row in mine["limits"]}

    assert mine["at"] == (TICK + 3 * DAY).isoformat()
    assert (used["max_leverage"]["used"], used["max_leverage"]["allowed"]) == ("3", "7")
    assert (used["max_positions"]["used"], used["max_position_fraction"]["used"]) == ("2", "0.5")
    assert (used["max_exposure_fraction"]["used"], used["max_exposure_fraction"]["share"]) == ("1", "0.66666667")
    assert (used["drawdown"]["used"], used["drawdown"]["share"]) == ("0.05", "0.25")
    assert used["drawdown"]["standing"] == "5.00% from its peak"
    assert (used["daily_loss"]["standing"], used["daily_budget"]["allowed"]) == (None, None)
    assert used["losing_streak"]["effect"] == "breaker"
    assert (used["requests"]["effect"], used["requests"]["unit"]) == ("requests", "count")
    assert Decimal(used["requests"]["allowed"]) > 0
    [other] = (await told(client, "/limits", account="other"))["items"]
    assert (other["at"], [row["limit"] for row in other["limits"]]) == (None, ["requests"])
