"""What the well-behaved models decide, and when they keep their hands still."""

import copy
from decimal import Decimal

import numpy as np
import pytest
import talib

IDLE = {"allocation_usd": 0, "leverage": 1, "stop_loss": None, "take_profit": None}
COST = Decimal("0.001")


def reward_to_risk(decision, mark=Decimal(95500)) -> Decimal:
    reward, risk = (abs(decision[leg] - mark) / mark for leg in ("take_profit", "stop_loss"))
    return (reward - COST) / (risk + COST)


async def test_the_rule_follower_buys_a_pullback_in_an_uptrend(decisions, prompt) -> None:
    bought = (await decisions("rule-follower", prompt()))["BTCUSDT"]

    assert bought["action"] == "buy"
    assert bought["stop_loss"] < 95500 < bought["take_profit"]
    assert bought["stop_loss"] < bought["exit_plan"]["invalidation"]["price"] < 95500
    assert bought["exit_plan"]["invalidation"]["condition"] == "close_below"
    assert list(bought) == [
        "rationale",
        "asset",
        "action",
        "allocation_usd",
        "leverage",
        "stop_loss",
        "take_profit",
        "confidence",
        "exit_plan",
    ]


async def test_the_rule_follower_sells_a_rally_in_a_downtrend(decisions, prompt, falling) -> None:
    sold = (await decisions("rule-follower", prompt(market={"BTCUSDT": falling})))["BTCUSDT"]

    assert sold["action"] == "sell"
    assert sold["take_profit"] < 95500 < sold["stop_loss"]
    assert sold["exit_plan"]["invalidation"]["condition"] == "close_above"


async def test_a_stop_is_never_nearer_than_costs_allow_and_the_reward_is_worth_the_risk(decisions, prompt) -> None:
    bought = (await decisions("rule-follower", prompt()))["BTCUSDT"]

    assert (95500 - bought["stop_loss"]) / 95500 >= Decimal("0.00399")
    assert Decimal("1.5") <= reward_to_risk(bought) <= Decimal("2.5")


async def test_a_stop_lies_two_atr_away_when_the_market_is_wide(decisions, prompt, rising) -> None:
    rising["timeframes"]["5m"]["latest"]["atr_14"] = "500"

    bought = (await decisions("rule-follower", prompt(market={"BTCUSDT": rising})))["BTCUSDT"]

    assert abs(bought["stop_loss"] - 94500) <= 1


async def test_the_reward_asked_for_in_the_prompt_is_kept_with_room_to_spare(decisions, prompt) -> None:
    document = prompt()
    document["limits"]["min_reward_to_risk"] = "3"

    assert reward_to_risk((await decisions("rule-follower", document))["BTCUSDT"]) > 3


@pytest.mark.parametrize(
    ("limits", "largest"),
    [
        ({}, 2000),  # max_position_usd
        ({"max_position_usd": "300.5"}, Decimal("300.5")),
        ({"max_position_usd": "50000", "max_total_exposure_usd": "1234"}, 1234),
        ({"max_position_usd": "50000", "max_total_exposure_usd": "50000", "risk_per_trade": "0.001"}, 2000),
    ],
)
async def test_a_position_is_no_larger_than_the_tightest_limit(decisions, prompt, limits, largest) -> None:
    document = prompt()
    document["limits"] |= limits

    bought = (await decisions("rule-follower", document))["BTCUSDT"]

    assert bought["action"] == "buy"
    assert largest - 1 <= bought["allocation_usd"] <= largest
    assert 1 <= bought["leverage"] <= 5


async def test_a_stop_never_costs_more_than_the_risk_allowed_per_trade(decisions, prompt) -> None:
    document = prompt()
    document["limits"] |= {"max_position_usd": "90000", "max_total_exposure_usd": "90000", "max_leverage": 50}

    bought = (await decisions("rule-follower", document))["BTCUSDT"]

    lost = bought["allocation_usd"] * (95500 - bought["stop_loss"]) / 95500
    assert 75 < lost <= 100


async def test_the_opens_of_one_answer_share_the_room_that_is_left(decisions, prompt, rising) -> None:
    market = {asset: copy.deepcopy(rising) for asset in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")}
    document = prompt(market=market)
    document["limits"] |= {"max_total_exposure_usd": "3500", "max_positions": 3}

    made = await decisions("rule-follower", document)

    assert [decision["action"] for decision in made.values()] == ["buy", "buy", "hold", "hold"]
    assert sum(decision["allocation_usd"] for decision in made.values()) <= 3500


async def test_nothing_opens_when_all_places_are_taken(decisions, prompt, position) -> None:
    held = [position(asset=asset) for asset in ("ETHUSDT", "SOLUSDT", "BNBUSDT")]

    assert (await decisions("rule-follower", prompt(positions=held)))["BTCUSDT"]["action"] == "hold"


@pytest.mark.parametrize(
    "limits",
    [
        {"min_confidence": "0.9"},
        {"max_stop_distance": "0.003"},
        {"min_notional_usd": "2500"},
        {"max_total_exposure_usd": "0"},
    ],
)
async def test_a_limit_that_leaves_no_sound_trade_means_hold(decisions, prompt, limits) -> None:
    document = prompt()
    document["limits"] |= limits

    held = (await decisions("rule-follower", document))["BTCUSDT"]

    assert held["action"] == "hold"
    assert IDLE.items() <= held.items()


async def test_a_position_whose_plan_stands_is_held_and_not_added_to(decisions, prompt, position) -> None:
    assert (await decisions("rule-follower", prompt(positions=[position()])))["BTCUSDT"]["action"] == "hold"


async def test_a_position_is_closed_when_its_invalidation_is_breached(decisions, prompt, position) -> None:
    plan = {"text": "", "invalidation": {"timeframe": "5m", "condition": "close_below", "price": "95501"}}

    closed = (await decisions("rule-follower", prompt(positions=[position(exit_plan=plan)])))["BTCUSDT"]

    assert closed["action"] == "close"
    assert IDLE.items() <= closed.items()
    assert "Invalidated" in closed["rationale"]


async def test_a_position_is_closed_when_the_trend_turns(decisions, prompt, position) -> None:
    plan = {"text": "", "invalidation": None}
    short = position(side="SHORT", exit_plan=plan)

    assert (await decisions("rule-follower", prompt(positions=[short])))["BTCUSDT"]["action"] == "close"


@pytest.mark.parametrize("missing", ["account", "limits", "market", "mark_price", "timeframes", "atr_14", "series"])
async def test_whatever_is_missing_from_the_prompt_means_hold(decisions, prompt, missing) -> None:
    document = prompt()
    market = document["market"]["BTCUSDT"]
    for holder in (document, market, market["timeframes"]["5m"], market["timeframes"]["5m"]["latest"]):
        holder.pop(missing, None)

    made = await decisions("rule-follower", document)

    assert {decision["action"] for decision in made.values()} <= {"hold"}


@pytest.mark.parametrize("junk", [None, "soon", True, "NaN", [], {"a": 1}])
async def test_a_value_that_is_no_number_counts_as_missing(decisions, prompt, junk) -> None:
    document = prompt()
    document["market"]["BTCUSDT"]["timeframes"]["5m"]["latest"]["adx_14"] = junk

    assert (await decisions("rule-follower", document))["BTCUSDT"]["action"] == "hold"


async def test_a_position_that_cannot_be_read_keeps_everything_else_shut(decisions, prompt) -> None:
    assert (await decisions("rule-follower", prompt(positions=[{"asset": "ETHUSDT"}])))["BTCUSDT"]["action"] == "hold"


async def test_decimal_strings_and_numbers_read_the_same(ask, prompt) -> None:
    def quoted(value):
        if isinstance(value, dict):
            return {key: quoted(item) for key, item in value.items()}
        return [quoted(item) for item in value] if isinstance(value, list) else str(value)

    document = prompt()
    answers = [await ask("rule-follower", version) for version in (document, quoted(document))]

    assert answers[0]["choices"] == answers[1]["choices"]


async def test_the_slower_timeframe_costs_confidence_when_it_disagrees(decisions, prompt, rising) -> None:
    agreeing = copy.deepcopy(rising)
    agreeing["timeframes"]["4h"] = {"latest": {"close": "95500", "ema_20": "90000", "ema_50": None}, "series": {}}
    opposed = copy.deepcopy(rising)
    opposed["timeframes"]["4h"] = {"latest": {"close": "95500", "ema_20": "99000", "ema_50": None}, "series": {}}

    made = await decisions("rule-follower", prompt(market={"AUSDT": agreeing, "BUSDT": opposed}))

    assert made["AUSDT"]["confidence"] - made["BUSDT"]["confidence"] == Decimal("0.1")


async def test_the_coward_always_holds(decisions, prompt, position) -> None:
    plan = {"text": "", "invalidation": {"timeframe": "5m", "condition": "close_below", "price": "99999"}}

    assert (await decisions("coward", prompt()))["BTCUSDT"]["action"] == "hold"
    held = prompt(positions=[position(exit_plan=plan)])
    assert (await decisions("coward", held))["BTCUSDT"]["action"] == "hold"


async def test_the_trend_follower_and_the_contrarian_disagree_at_the_extreme(decisions, prompt, rising) -> None:
    rising["timeframes"]["5m"]["latest"] |= {"close": 96500, "rsi_14": 80, "macd_hist": 9}
    document = prompt(market={"BTCUSDT": rising})

    assert (await decisions("trend-follower", document))["BTCUSDT"]["action"] == "buy"
    assert (await decisions("contrarian", document))["BTCUSDT"]["action"] == "sell"


async def test_the_contrarian_takes_its_profit_at_the_middle_band(decisions, prompt, position) -> None:
    held = prompt(positions=[position(exit_plan={})])

    assert (await decisions("contrarian", held))["BTCUSDT"]["action"] == "close"


async def test_the_over_trader_flips_with_every_candle(decisions, prompt, position, falling) -> None:
    assert (await decisions("over-trader", prompt()))["BTCUSDT"]["action"] == "buy"
    turned = prompt(market={"BTCUSDT": falling}, positions=[position()])
    assert (await decisions("over-trader", turned))["BTCUSDT"]["action"] == "close"
    assert (await decisions("over-trader", turned | {"positions": []}))["BTCUSDT"]["action"] == "sell"


async def test_the_rule_follower_enters_a_handful_of_times_a_day_in_a_wandering_market(
    decisions, prompt, position
) -> None:
    days, warm_up = 5, 300
    steps = np.random.default_rng(11).normal(0, 0.0015, days * 288 + warm_up)
    close = 95000 * np.exp(np.cumsum(steps))
    high, low = close * 1.0008, close * 0.9992
    columns = {
        "close": close,
        "ema_20": talib.EMA(close, 20),
        "ema_50": talib.EMA(close, 50),
        "rsi_14": talib.RSI(close, 14),
        "macd_hist": talib.MACD(close)[2],
        "atr_14": talib.ATR(high, low, close, 14),
        "adx_14": talib.ADX(high, low, close, 14),
    }
    entries, held, stop, target = 0, None, None, None
    for now in range(warm_up, len(close)):
        if held is not None and not min(stop, target) < close[now] < max(stop, target):
            held = None
        series = {name: [round(value, 4) for value in column[now - 9 : now + 1]] for name, column in columns.items()}
        frame = {"series": series, "latest": {name: values[-1] for name, values in series.items()}}
        market = {"BTCUSDT": {"mark_price": close[now], "timeframes": {"5m": frame}}}
        document = prompt(market=market, positions=[held] if held else [])
        made = (await decisions("rule-follower", document))["BTCUSDT"]
        if made["action"] == "close":
            held = None
        elif made["action"] in ("buy", "sell"):
            entries += 1
            side = "LONG" if made["action"] == "buy" else "SHORT"
            invalidation = made["exit_plan"]["invalidation"]
            plan = {"invalidation": invalidation | {"price": str(invalidation["price"])}}
            held = position(side=side, exit_plan=plan)
            stop, target = float(made["stop_loss"]), float(made["take_profit"])

    assert 3 <= entries / days <= 8
