"""One account: holdings of one moment, histories without a gap, orders placed and found."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.errors import (
    NotAuthorised,
    OrderNotFound,
    OutcomeUnknown,
    PositionModeChanged,
    VenueError,
    VenueUnreachable,
)
from shared.domain.order import Intent, Leg, OrderState, OrderType, Side
from shared.domain.position import Direction
from shared.exchange.auth import TESTNET_CHAIN, ApiKey, Credentials
from tests.exchange.conftest import WALLET

ACCOUNT, RISK = "GET /fapi/v3/accountWithJoinMargin", "GET /fapi/v3/positionRisk"
MODE, PLACE = "GET /fapi/v3/positionSide/dual", "POST /fapi/v3/order"
ORDER, TRADES, INCOME = "GET /fapi/v3/order", "GET /fapi/v3/userTrades", "GET /fapi/v3/income"
NOW_MS = 1749988805000
WEEK_MS = 7 * 24 * 3600 * 1000

AN_ENTRY = Intent(
    account_id="main",
    tick=datetime(2025, 6, 15, 12, tzinfo=UTC),
    symbol="BTCUSDT",
    leg=Leg.ENTRY,
    attempt=0,
    side=Side.BUY,
    direction=Direction.LONG,
    type=OrderType.MARKET,
    quantity=Decimal("0.4"),
)


def moment(since_epoch: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=since_epoch)


def placed(samples: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """Answer a placement with the order under the id it was sent with."""
    return lambda received: samples["order"] | {"clientOrderId": received.params["newClientOrderId"]}


def with_sizes(samples: dict[str, Any], *sizes: tuple[str, str]) -> tuple[Any, Any]:
    """Return the answers of the account and of the position call with these (side, amount) rows in one symbol."""
    account = samples["accountWithJoinMargin"]
    (totals,), (risk,) = account["positions"], samples["positionRisk"]
    rows = [{"positionSide": side, "positionAmt": amount} for side, amount in sizes]
    return {**account, "positions": [totals | row for row in rows]}, [risk | row for row in rows]


async def test_holdings_join_the_balance_with_the_positions(venue: Any, samples: Any) -> None:
    account, risk = with_sizes(samples, ("BOTH", "-0.5"))
    venue.answer(ACCOUNT, account)
    venue.answer(RISK, risk)

    holdings = await venue.account().holdings()

    (position,) = holdings.positions
    assert (position.symbol, position.direction, position.quantity) == ("BTCUSDT", Direction.SHORT, Decimal("0.5"))
    assert holdings.balance.equity == Decimal("23.72469206")
    assert holdings.at == venue.clock.now()


async def test_what_is_not_realized_yet_is_the_sum_over_the_positions_that_are_told(venue: Any, samples: Any) -> None:
    account, risk = with_sizes(samples, ("BOTH", "-0.5"))
    venue.answer(ACCOUNT, account)
    venue.answer(RISK, [{**risk[0], "unRealizedProfit": "-20.46971900"}])  # the price has moved since

    holdings = await venue.account().holdings()

    assert holdings.balance.unrealized == holdings.positions[0].unrealized == Decimal("-20.46971900")


async def test_holdings_taken_while_a_trade_happened_are_taken_again(venue: Any, samples: Any) -> None:
    before, _ = with_sizes(samples, ("BOTH", "0.5"))
    after, risk = with_sizes(samples, ("BOTH", "0.7"))
    venue.answer(ACCOUNT, before, after)
    venue.answer(RISK, risk)

    holdings = await venue.account().holdings()

    assert holdings.positions[0].quantity == Decimal("0.7")
    assert len(venue.received) == 4


async def test_holdings_that_never_agree_are_refused(venue: Any, samples: Any) -> None:
    account, _ = with_sizes(samples, ("BOTH", "0.5"))
    venue.answer(ACCOUNT, account)
    venue.answer(RISK, with_sizes(samples, ("BOTH", "0.7"))[1])

    with pytest.raises(VenueUnreachable, match="kept changing"):
        await venue.account().holdings()


async def test_in_hedge_mode_a_symbol_has_two_positions(venue: Any, samples: Any) -> None:
    account, risk = with_sizes(samples, ("LONG", "0.2"), ("SHORT", "-0.5"))
    venue.answer(ACCOUNT, account)
    venue.answer(RISK, risk)

    holdings = await venue.account().holdings()

    assert holdings.hedged
    assert [(held.direction, held.quantity) for held in holdings.positions_in("BTCUSDT")] == [
        (Direction.SHORT, Decimal("0.5")),
        (Direction.LONG, Decimal("0.2")),
    ]


async def test_the_mode_is_told_by_flat_rows_too_and_costs_no_request(venue: Any, samples: Any) -> None:
    venue.answer(ACCOUNT, with_sizes(samples, ("LONG", "0"), ("SHORT", "0"))[0], samples["accountWithJoinMargin"])
    venue.answer(RISK, [])
    account = venue.account()

    assert (await account.holdings()).hedged
    assert not (await account.holdings()).hedged
    assert set(venue.calls()) == {ACCOUNT, RISK}


async def test_where_no_row_tells_the_mode_it_is_asked_for_once(venue: Any, samples: Any) -> None:
    venue.answer(ACCOUNT, samples["accountWithJoinMargin"] | {"positions": []})
    venue.answer(RISK, [])
    venue.answer(MODE, samples["positionSide/dual"])
    account = venue.account()

    assert [(await account.holdings()).hedged for _ in range(3)] == [True] * 3
    assert venue.calls().count(MODE) == 1


async def test_an_order_before_any_look_asks_for_the_mode_once(venue: Any, samples: Any) -> None:
    venue.answer(RISK, samples["positionRisk hedge"])
    venue.answer(PLACE, placed(samples))
    account = venue.account()

    await asyncio.gather(*(account.place(replace(AN_ENTRY, attempt=attempt)) for attempt in range(3)))

    assert venue.calls().count(RISK) == 1
    assert venue.received[0].params["symbol"] == "BTCUSDT"
    assert [sent.params["positionSide"] for sent in venue.received if sent.call == PLACE] == ["LONG"] * 3


@pytest.mark.parametrize("code", [-4061, -4062])
async def test_a_mode_that_was_changed_by_hand_is_noticed_and_the_order_is_not_sent_again(
    venue: Any, samples: Any, code: int
) -> None:
    venue.answer(RISK, samples["positionRisk"])
    venue.answer(MODE, samples["positionSide/dual"])
    venue.answer(PLACE, (400, {"code": code, "msg": "Order's position side does not match user's setting."}))
    account = venue.account()

    with pytest.raises(PositionModeChanged, match="written for one-way mode, the account is in hedge mode"):
        await account.place(AN_ENTRY)

    assert venue.calls() == [RISK, PLACE, MODE]
    venue.answer(PLACE, placed(samples))
    await account.place(AN_ENTRY)
    assert venue.received[-1].params["positionSide"] == "LONG"


async def test_a_mode_that_cannot_be_asked_for_again_is_unknown_until_it_can(venue: Any, samples: Any) -> None:
    venue.answer(RISK, samples["positionRisk"], samples["positionRisk hedge"])
    venue.answer(MODE, (418, ""))
    venue.answer(PLACE, (400, {"code": -4061, "msg": "Order's position side does not match user's setting."}))
    account = venue.account()

    with pytest.raises(PositionModeChanged, match="the account's mode is not known"):
        await account.place(AN_ENTRY)


async def test_a_key_of_the_older_generation_uses_the_older_paths(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v4/account", samples["accountWithJoinMargin"])
    venue.answer("GET /fapi/v2/positionRisk", samples["positionRisk"])

    holdings = await venue.account(ApiKey("k", "s")).holdings()

    assert holdings.positions == ()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}), "-2015"),
        ((401, {"code": -2014, "msg": "API-key format invalid."}), "-2014"),
        ((400, {"code": -1000, "msg": "No agent found"}), "No agent found"),
        ((400, {"code": -1000, "msg": "Signature check failed"}), "Signature check failed"),
        ((400, {"code": -1022, "msg": "Signature for this request is not valid."}), "-1022"),
        ((401, "<html>"), "HTTP 401"),
        ((404, "<html>"), "HTTP 404"),
    ],
)
@pytest.mark.parametrize("credentials", [WALLET, replace(WALLET, chain_id=TESTNET_CHAIN), ApiKey("the-key", "s")])
async def test_whom_the_exchange_does_not_know_is_told_what_to_check(
    venue: Any, credentials: Credentials, answer: Any, told: str
) -> None:
    venue.answer(ACCOUNT, answer)
    venue.answer("GET /fapi/v4/account", answer)

    with pytest.raises(NotAuthorised, match="check that the key is this account's") as refusal:
        await venue.account(credentials).verify_identity()

    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(venue.received) == 1


async def test_an_account_that_may_not_trade_is_refused_at_the_start(venue: Any, samples: Any) -> None:
    venue.answer(ACCOUNT, samples["accountWithJoinMargin"] | {"canTrade": False})

    with pytest.raises(NotAuthorised, match="its account may not trade"):
        await venue.account().verify_identity()


async def test_an_order_that_nobody_knows_is_none_and_no_error(venue: Any) -> None:
    venue.answer(ORDER, (400, {"code": -2013, "msg": "Order does not exist."}))

    assert await venue.account().find_order("BTCUSDT", "abc") is None


async def test_a_lost_look_up_is_not_mistaken_for_an_order_that_nobody_knows(venue: Any) -> None:
    venue.answer(ORDER, (503, ""))

    with pytest.raises(VenueUnreachable):
        await venue.account().find_order("BTCUSDT", "abc")


async def test_an_order_is_found_by_our_id(venue: Any, samples: Any) -> None:
    venue.answer(ORDER, samples["order"])

    order = await venue.account().find_order("BTCUSDT", "abc")

    assert order is not None
    assert order.state is OrderState.NEW
    assert venue.received[0].params["origClientOrderId"] == "abc"


async def test_an_answer_about_another_order_is_an_unknown_outcome(venue: Any, samples: Any) -> None:
    venue.answer(RISK, samples["positionRisk"])
    venue.answer(PLACE, samples["order"])

    with pytest.raises(OutcomeUnknown, match="tells of order 'abc'"):
        await venue.account().place(AN_ENTRY)


@pytest.mark.parametrize(
    "intent",
    [
        replace(
            AN_ENTRY,
            leg=Leg.STOP,
            side=Side.SELL,
            type=OrderType.STOP_MARKET,
            quantity=None,
            stop_price=Decimal(9),
        ),
        replace(AN_ENTRY, leg=Leg.EXIT, side=Side.SELL, reduce_only=True),
    ],
)
async def test_what_protects_money_goes_ahead_when_the_limit_runs_short(
    venue: Any, samples: Any, intent: Intent
) -> None:
    venue.answer(RISK, samples["positionRisk"])
    venue.answer(ORDER, (200, samples["order"], {"X-MBX-USED-WEIGHT-1M": "2000"}))
    venue.answer(PLACE, placed(samples))
    venue.answer("DELETE /fapi/v3/order", samples["cancelled order"])
    account = venue.account()
    await account.find_order("BTCUSDT", "abc")

    assert (await account.place(intent)).client_order_id == intent.client_order_id
    with pytest.raises(VenueError, match="request limit"):
        await account.place(AN_ENTRY)
    assert venue.slept == []
    assert (await account.cancel("BTCUSDT", "myOrder1")).state is OrderState.CANCELED


async def test_cancelling_what_no_longer_rests_says_so(venue: Any) -> None:
    venue.answer("DELETE /fapi/v3/order", (400, {"code": -2011, "msg": "Unknown order sent."}))

    with pytest.raises(OrderNotFound):
        await venue.account().cancel("BTCUSDT", "abc")


def history(rows: list[dict[str, Any]], *, from_the_end: bool = False) -> Callable[[Any], list[dict[str, Any]]]:
    """A venue that answers for at most a week and a limited number of rows, from the start of the span or its end."""

    def serve(received: Any) -> Any:
        params, limit = received.params, int(received.params["limit"])
        if "fromId" in params:
            return [row for row in rows if row["id"] >= int(params["fromId"])][:limit]
        start, end = int(params["startTime"]), int(params["endTime"])
        if end - start >= WEEK_MS:
            return 400, {"code": -4165, "msg": "Invalid time interval."}
        found = [row for row in rows if start <= row["time"] <= end]
        return found[-limit:] if from_the_end else found[:limit]

    return serve


def a_trade(samples: Any, number: int, time: int) -> dict[str, Any]:
    return {**samples["userTrades"][0], "id": number, "time": time}


def an_income(samples: Any, number: int, time: int) -> dict[str, Any]:
    return {**samples["income"][0], "tranId": str(number), "time": time}


async def test_fills_after_a_known_one_come_page_by_page_to_the_last(venue: Any, samples: Any) -> None:
    venue.answer(TRADES, history([a_trade(samples, number, NOW_MS) for number in range(1, 2502)]))

    fills = await venue.account().fills("BTCUSDT", after_trade_id=1, since=moment(0))

    assert [fill.trade_id for fill in fills] == list(range(2, 2502))
    assert len(venue.received) == 3


@pytest.mark.parametrize("from_the_end", [False, True])
async def test_fills_since_a_time_come_week_by_week_and_none_is_lost(
    venue: Any, samples: Any, from_the_end: bool
) -> None:
    since = NOW_MS - 3 * WEEK_MS
    times = [since - 1, since, since, *range(since + WEEK_MS - 1100, since + WEEK_MS + 100), NOW_MS, NOW_MS + 500]
    rows = [a_trade(samples, number, time) for number, time in enumerate(times)]
    venue.answer(TRADES, history(rows, from_the_end=from_the_end))

    fills = await venue.account().fills("BTCUSDT", after_trade_id=None, since=moment(since))

    assert [fill.trade_id for fill in fills] == list(range(1, len(times)))


@pytest.mark.parametrize("from_the_end", [False, True])
async def test_incomes_that_share_a_millisecond_are_all_read(venue: Any, samples: Any, from_the_end: bool) -> None:
    since = NOW_MS - WEEK_MS
    rows = [an_income(samples, number, since + number // 600) for number in range(1500)]
    venue.answer(INCOME, history(rows, from_the_end=from_the_end))

    incomes = await venue.account().incomes(since=moment(since))

    assert [row.transaction_id for row in incomes] == [f"TRANSFER:{number}" for number in range(1500)]


async def test_a_millisecond_too_full_to_be_read_is_not_passed_over(venue: Any, samples: Any) -> None:
    venue.answer(INCOME, history([an_income(samples, number, NOW_MS) for number in range(1000)]))

    with pytest.raises(VenueError, match="1000 rows or more in one millisecond"):
        await venue.account().incomes(since=moment(NOW_MS - 1000))


async def test_every_resting_order_is_listed(venue: Any, samples: Any) -> None:
    venue.answer("GET /fapi/v3/openOrders", [samples["order"], samples["order"] | {"clientOrderId": "somebody's"}])

    assert [order.client_order_id for order in await venue.account().open_orders(["BTCUSDT"])] == ["abc", "somebody's"]
