"""A model proposes, hard rules dispose; whatever goes wrong, nothing opens and what is open stays protected."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

import httpx
import pytest

from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, StageRequest
from shared.domain.errors import MarketDataUnusable, StaleRequest, VenueError
from shared.domain.market import Quote
from tests.house import House, built_house


async def test_a_decide_that_died_after_asking_reads_the_stored_answer(house: House) -> None:
    house.model.will_decide(await house.wish())
    await house.stage(Stage.FETCH)

    class Killed(BaseException):
        """Stands for SIGKILL: nothing catches it."""

    with patch("functions.decide.judge", side_effect=Killed), pytest.raises(Killed):
        await house.stage(Stage.DECIDE)
    result = await house.stage(Stage.DECIDE)

    assert len(house.model.questions) == 1
    assert [each["verdict"] for each in result.details["decisions"]] == ["approved"]


@pytest.mark.parametrize("answer", ["I would rather not say.", "", 401])
async def test_a_model_without_a_usable_answer_means_hold(house: House, answer: str | int) -> None:
    await house.enter()
    house.model.answers += 9 * [answer]

    outcome = await house.next_cycle()

    assert outcome["decide"]["decisions"] == []
    assert outcome["decide"]["no_answer"]
    assert outcome["execute"]["orders"] == []
    assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == 1


async def test_one_bad_item_sinks_no_other_and_a_close_is_never_lost(house: House) -> None:
    await house.enter()
    house.model.will_decide({"asset": "NOSUCH", "action": "moon"}, await house.wish(action="close"))

    outcome = await house.next_cycle()

    assert await house.venue_positions() == {}
    assert len(outcome["decide"]["unread"]) == 1


async def test_every_question_and_answer_is_kept_with_its_cost(house: House) -> None:
    await house.enter()

    async with house.runtime.open_work() as work:
        [call] = await work.model_calls.of_cycle(house.request)

    assert str(call.cost) == "0.0012"
    assert call.answered_model == "scripted/model"
    assert json.loads(call.content or "")["decisions"][0]["asset"] == "BTCUSDT"
    assert "BTCUSDT" in call.prompt.user


async def test_the_model_is_shown_its_position_with_stop_target_and_plan(house: House) -> None:
    await house.enter()
    await house.next_cycle()

    user = house.model.questions[-1]["messages"][1]["content"]
    briefing = json.loads(user[user.index("{") :])
    [position] = briefing["positions"]
    assert position["asset"] == "BTCUSDT"
    assert position["stop_loss"]
    assert position["take_profit"]
    assert position["exit_plan"]["text"] == "leave when wrong"
    assert briefing["recent_decisions"][0]["verdict"] == "approved"
    assert len(briefing["market"]["ETHUSDT"]["timeframes"]["4h"]["series"]["close"]) == 10


async def test_indicators_are_those_that_the_settings_ask_for(database_url: str) -> None:
    async with built_house(database_url, indicator_rsi=(9,), indicator_ema=(10, 30)) as house:
        await house.cycle()

    user = house.model.questions[0]["messages"][1]["content"]
    seen = json.loads(user[user.index("{") :])["market"]["BTCUSDT"]["timeframes"]["5m"]["latest"]
    assert {"rsi_9", "ema_10", "ema_30"} <= seen.keys()
    assert {"rsi_14", "ema_20"}.isdisjoint(seen)


async def test_deciding_needs_a_snapshot(house: House) -> None:
    with pytest.raises(MarketDataUnusable, match="run fetch first"):
        await house.stage(Stage.DECIDE)


async def test_a_paused_account_is_only_reconciled(house: House) -> None:
    await house.enter()
    async with house.runtime.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.PAUSED, "a test")

    outcome = await house.next_cycle()

    assert set(outcome) == {"account", "tick", "reconcile"}
    assert len(house.model.questions) == 1


async def test_an_account_paused_while_the_model_thinks_opens_nothing_more(house: House) -> None:
    house.model.will_decide(await house.wish())
    answer = house.model.handle_async_request

    async def pause_and_answer(request: httpx.Request) -> httpx.Response:
        async with house.runtime.open_work() as work:
            await work.accounts.set_status("main", AccountStatus.PAUSED, "a test")
        return await answer(request)

    with patch.object(house.model, "handle_async_request", pause_and_answer):
        outcome = await house.cycle()

    assert outcome["decide"]["decisions"][0]["verdict"] == "approved"
    assert outcome["execute"]["orders"] == []
    assert await house.venue_orders() == []


async def test_an_exchange_that_cannot_be_seen_fails_the_stage_and_not_the_process(house: House) -> None:
    await house.cycle()
    await house.pass_time()
    await house.spoil("GET", "/fapi/v3/premiumIndex", "error:-1121-before", count=9)
    await house.spoil("GET", "/fapi/v3/accountWithJoinMargin", "error:-2015-before")

    outcome = await house.cycle()

    assert outcome["fetch"]["error"] == "NotAuthorised"
    assert "decide" not in outcome
    assert "equity" in outcome["reconcile"]


async def test_a_tick_that_has_not_come_yet_is_refused(house: House) -> None:
    with pytest.raises(StaleRequest, match="has not come yet"):
        await house.stage(Stage.FETCH, StageRequest("main", house.request.tick + timedelta(minutes=5)))


async def test_a_time_between_two_ticks_is_refused(house: House) -> None:
    with pytest.raises(StaleRequest, match="is no tick"):
        await house.stage(Stage.FETCH, StageRequest("main", house.request.tick - timedelta(minutes=1)))


async def test_a_symbol_whose_candles_are_stale_is_not_shown_and_not_traded(house: House) -> None:
    await house.spoil("GET", "/fapi/v3/klines", "error:-1121-before", count=1)
    house.model.will_decide(await house.wish("BTCUSDT"), await house.wish("ETHUSDT"))

    outcome = await house.cycle()

    [(unsound, defect)] = outcome["fetch"]["defects"].items()
    user = house.model.questions[0]["messages"][1]["content"]
    briefing = json.loads(user[user.index("{") :])
    codes = {each["asset"]: each["code"] for each in outcome["decide"]["decisions"]}
    assert defect
    assert unsound not in briefing["market"]
    assert codes[unsound] == "data_fresh"
    assert len(await house.venue_orders(type="MARKET")) == 1


async def test_a_symbol_whose_quote_is_stale_is_not_traded(house: House) -> None:
    quotes = house.runtime.market.quotes

    async def an_hour_old(symbols: Iterable[str]) -> Mapping[str, Quote]:
        found = await quotes(symbols)
        return {symbol: replace(quote, at=quote.at - timedelta(hours=1)) for symbol, quote in found.items()}

    house.model.will_decide(await house.wish())
    with patch.object(house.runtime.market, "quotes", an_hour_old):
        outcome = await house.cycle()

    assert outcome["fetch"]["defects"].keys() == {"BTCUSDT", "ETHUSDT"}
    assert await house.venue_orders() == []


async def test_candles_are_asked_for_once_and_then_only_what_is_new(house: House) -> None:
    first = await house.stage(Stage.FETCH)
    await house.pass_time()
    second = await house.stage(Stage.FETCH)

    assert (first.details["asked"], first.details["candles"]) == (4, 1200)
    assert (second.details["asked"], second.details["candles"]) == (2, 2)


async def test_an_unreachable_account_raises_what_the_caller_may_do_about_it(house: House) -> None:
    await house.spoil("GET", "/fapi/v3/openOrders", "error:-2015-before")

    with pytest.raises(VenueError):
        await house.stage(Stage.RECONCILE)
