"""The briefing: what the model is told, and what it is never told."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.domain.account import Account
from shared.domain.briefing import briefing
from shared.domain.decision import Comparison, Condition, ExitPlan, Expiry, IndicatorRule, Invalidation
from shared.domain.expenses import Expenses, Paid
from shared.domain.market import Timeframe
from shared.domain.order import OrderType
from shared.domain.risk import Review, ReviewedDecision, Verdict
from shared.domain.snapshot import Snapshot
from tests.builders import (
    LONG,
    SELL,
    SHORT,
    TICK,
    a_decision,
    a_fill,
    a_position,
    a_quote,
    a_snapshot,
    a_venue_order,
    an_account,
    an_instrument,
    some_expenses,
    some_holdings,
    some_marks,
)

ONE_SYMBOL = an_account(symbols=("BTCUSDT",))


def briefed(snapshot: Snapshot | None = None, account: Account = ONE_SYMBOL, **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "plans": {},
        "recent_decisions": [],
        "recent_fills": [],
        "marks": some_marks(),
        "expenses": some_expenses(),
    }
    return briefing(account, snapshot or a_snapshot(), **{**usual, **changes})


def test_a_briefing_is_json_as_it_stands() -> None:
    document = briefed(a_snapshot(holdings=some_holdings(a_position()), open_orders=(a_venue_order(),)))

    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_market_is_told_by_symbol_and_timeframe() -> None:
    assert briefed()["market"] == {
        "BTCUSDT": {
            "mark_price": "100",
            "index_price": "100",
            "funding_rate": "0.0001",
            "next_funding_at": "2026-03-02T16:00:00+00:00",
            "open_interest": "5000",
            "spread": "0.000100",
            "change_24h": "-0.0123",
            "timeframes": {
                "5m": {
                    "candles": 300,
                    "series": {"ema_20": [None, 99.5]},
                    "latest": {"ema_20": 99.5, "atr_14": None},
                }
            },
        }
    }


def test_a_symbol_whose_data_has_a_defect_is_shown_to_nobody() -> None:
    account = an_account(symbols=("BTCUSDT", "ETHUSDT"))

    assert list(briefed(a_snapshot(defects={"ETHUSDT": "no quote"}), account)["market"]) == ["BTCUSDT"]


def test_what_the_exchange_does_not_tell_is_null() -> None:
    quoted = a_snapshot(quotes={"BTCUSDT": a_quote(open_interest=None, bid=None, change_24h=None)})

    told = briefed(quoted)["market"]["BTCUSDT"]
    assert (told["open_interest"], told["spread"], told["change_24h"]) == (None, None, None)


def test_money_is_told_in_cents_and_never_rounded_up() -> None:
    holdings = some_holdings(equity="1000.999", available="0.009")

    assert briefed(a_snapshot(holdings=holdings))["account"] == {
        "equity": "1000.99",
        "wallet": "1000.99",
        "unrealized": "0.00",
        "available": "0.00",
    }


def test_the_limits_are_told_as_the_review_will_hold_them() -> None:
    limits = briefed(
        a_snapshot(instruments={"BTCUSDT": an_instrument(), "ETHUSDT": an_instrument(min_notional=Decimal(20))})
    )["limits"]

    assert limits == {
        "max_leverage": 5,
        "preferred_leverage": 3,
        "max_position_usd": "500.00",
        "max_total_exposure_usd": "1500.00",
        "max_positions": 3,
        "min_notional_usd": "20",  # the strictest of the symbols
        "risk_per_trade": "0.02",
        "min_reward_to_risk": "1.2",
        "min_stop_distance": "0.002",
        "max_stop_distance": "0.10",
        "min_confidence": "0.5",
        "taker_fee": "0.0004",
    }


def test_what_was_paid_is_told_for_today_and_in_all_and_never_smaller_than_it_is() -> None:
    today = Paid(fees=Decimal("1.50001"), funding=Decimal("-0.25"), models=Decimal("0.0012"))
    in_all = Paid(fees=Decimal(20), funding=Decimal("3.1"), models=Decimal("4.5"))

    assert briefed(expenses=Expenses(today=today, in_all=in_all))["paid"] == {
        "today": {"fees_usd": "1.5001", "funding_usd": "-0.2500", "models_usd": "0.0012"},
        "in_all": {"fees_usd": "20.0000", "funding_usd": "3.1000", "models_usd": "4.5000"},
    }


def test_performance_is_told_against_what_was_paid_in_the_day_and_the_peak() -> None:
    holdings = some_holdings(equity="1100")

    assert briefed(a_snapshot(holdings=holdings), marks=some_marks("1000", "1250", "800"))["performance"] == {
        "profit_usd": "300.00",
        "total_return": "0.3750",
        "today": "0.1000",
        "drawdown": "0.1200",
    }


def test_a_share_of_nothing_is_null() -> None:
    assert briefed(marks=some_marks("0", "0", "0"))["performance"] == {
        "profit_usd": "1000.00",
        "total_return": None,
        "today": None,
        "drawdown": None,
    }


def test_a_position_is_told_with_its_plan_and_the_orders_that_end_it() -> None:
    position = a_position(quantity="1.50", entry_price=Decimal("98.10"), liquidation_price=Decimal("52.3"))
    target = a_venue_order(type=OrderType.TAKE_PROFIT_MARKET, stop_price=Decimal("110.0"))
    plan = ExitPlan(
        text="until the trend breaks",
        invalidation=Invalidation(timeframe=Timeframe.H4, condition=Condition.CLOSE_BELOW, price=Decimal("94.50")),
        indicator=IndicatorRule(
            timeframe=Timeframe.M5, name="rsi_14", comparison=Comparison.ABOVE, value=Decimal("70.0")
        ),
        expiry=Expiry(candles=12, timeframe=Timeframe.H4),
        unenforced=("the moon is full",),
    )
    snapshot = a_snapshot(holdings=some_holdings(position), open_orders=(a_venue_order(), target))

    [told] = briefed(snapshot, plans={("BTCUSDT", LONG): (TICK, plan, Review(verdict=Verdict.APPROVED))})["positions"]

    assert told == {
        "asset": "BTCUSDT",
        "side": "LONG",
        "quantity": "1.5",
        "entry_price": "98.1",
        "mark_price": "100",
        "notional_usd": "150.00",
        "unrealized_usd": "0.00",
        "leverage": 2,
        "liquidation_price": "52.3",
        "stop_loss": "95",
        "take_profit": "110",
        "opened_at": "2026-03-02T12:00:00+00:00",
        "exit_plan": {
            "text": "until the trend breaks",
            "invalidation": {"timeframe": "4h", "condition": "close_below", "price": "94.5"},
            "indicator": {
                "timeframe": "5m",
                "name": "rsi_14",
                "comparison": "above",
                "value": "70",
                "than": None,
            },
            "expiry": {"after_candles": 12, "timeframe": "4h", "at": None},
            "not_enforced": ["the moon is full"],
        },
    }


def test_a_position_that_came_without_a_plan_is_told_all_the_same() -> None:
    holdings = some_holdings(a_position("DOGEUSDT", SHORT, "20000"))

    [told] = briefed(a_snapshot(holdings=holdings, defects={"BTCUSDT": "gap"}))["positions"]

    assert (told["asset"], told["side"], told["quantity"]) == ("DOGEUSDT", "SHORT", "20000")
    assert (told["stop_loss"], told["take_profit"], told["opened_at"], told["exit_plan"]) == (None, None, None, None)


def test_a_plan_in_words_only_has_no_condition_to_check() -> None:
    plans = {("BTCUSDT", LONG): (TICK, ExitPlan(text="by feel"), Review(verdict=Verdict.APPROVED))}

    [told] = briefed(a_snapshot(holdings=some_holdings(a_position())), plans=plans)["positions"]

    assert told["exit_plan"] == {
        "text": "by feel",
        "invalidation": None,
        "indicator": None,
        "expiry": None,
        "not_enforced": [],
    }


def test_resting_orders_are_told_with_the_price_they_wait_for() -> None:
    limit = a_venue_order(
        type=OrderType.LIMIT, closes_position=False, quantity=Decimal(3), price=Decimal(90), stop_price=Decimal(0)
    )

    assert briefed(a_snapshot(open_orders=(a_venue_order(), limit)))["open_orders"] == [
        {"asset": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "whole position", "price": "95"},
        {"asset": "BTCUSDT", "side": "SELL", "type": "LIMIT", "quantity": "3", "price": "90"},
    ]


def test_recent_trades_and_decisions_are_told_with_what_came_of_them() -> None:
    refused = ReviewedDecision(
        decision=a_decision(), review=Review(verdict=Verdict.REFUSED, code="cooldown", reason="wait")
    )
    fill = a_fill(SELL, "2", realized_pnl=Decimal("3.456"), commission=Decimal("0.08"))

    document = briefed(recent_fills=[fill], recent_decisions=[(TICK, refused)])

    assert document["recent_fills"] == [
        {
            "time": "2026-03-02T12:00:00+00:00",
            "asset": "BTCUSDT",
            "side": "SELL",
            "quantity": "2",
            "price": "100",
            "realized_usd": "3.45",
            "fee_usd": "0.08",
        }
    ]
    assert document["recent_decisions"] == [
        {
            "time": "2026-03-02T12:00:00+00:00",
            "asset": "BTCUSDT",
            "action": "buy",
            "by": "model",
            "verdict": "refused",
            "reason": "wait",
        }
    ]


def test_the_time_told_is_the_time_of_looking_and_the_tick_that_of_the_cycle() -> None:
    document = briefed(replace(a_snapshot(), taken_at=TICK + timedelta(seconds=7, milliseconds=250)))

    assert (document["time"], document["tick"]) == ("2026-03-02T12:00:07+00:00", "2026-03-02T12:00:00+00:00")
