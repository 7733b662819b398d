"""An emergency stop leaves nothing open and nothing working, whatever happens on the way, until a person arms again."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from emulators.aster import Venue, create_app, synthetic_market
from functions.resuming import resume_account
from functions.stopping import Stopped, stop_account, stop_all
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage
from shared.domain.errors import BadRequest, LeaseLost
from shared.domain.order import Leg, leg_named
from tests.house import SYMBOLS, House, built_house
from tests.served import served

ROOT = Path(__file__).parents[2]
ORDER, HOLDINGS = "/fapi/v3/order", "/fapi/v3/accountWithJoinMargin"
PAST_THE_NONCE_WINDOW = timedelta(minutes=3)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A house in which the market moves on while somebody waits."""
    async with built_house(database_url) as built:

        async def wait(seconds: float) -> None:
            await built.pass_time(timedelta(seconds=seconds))

        for client in (built.runtime.market._client, built.runtime.exchange("main")._client):
            client._sleep = wait
        with patch("functions.sending.sleep", wait), patch("functions.stopping.sleep", wait):
            yield built


async def at_once(_: float) -> None:
    """Wait for nothing."""


async def stop(house: House, patience: timedelta = PAST_THE_NONCE_WINDOW) -> Stopped:
    return await stop_account(house.runtime, "main", by="a test", patience=patience)


async def status(house: House) -> AccountStatus:
    async with house.runtime.open_work() as work:
        return (await work.accounts.get("main")).status


async def working(house: House) -> list[str]:
    """Return the client ids of what rests at the exchange."""
    books = await house.venue_orders()
    return [order["clientOrderId"] for order in books if order["status"] in {"NEW", "PARTIALLY_FILLED"}]


async def exits(house: House) -> Counter[str]:
    """Return how often each exit of ours filled at the exchange."""
    filled = await house.venue_orders(status="FILLED")
    return Counter(
        order["clientOrderId"] for order in filled if leg_named(order["clientOrderId"]) in {Leg.EXIT, Leg.STOP}
    )


async def test_a_stop_closes_what_is_held_cancels_what_rests_and_halts(house: House) -> None:
    await house.enter("BTCUSDT")
    await house.bid()

    outcome = await stop(house)

    assert (outcome.flat, outcome.left, outcome.trouble) == (True, (), None)
    assert await house.venue_positions() == {}
    assert await working(house) == []
    assert await house.our_positions() == []
    assert await status(house) is AccountStatus.HALTED


async def test_protection_rests_until_the_position_is_gone(house: House) -> None:
    """The exchange's own record: no stop was cancelled before the exit that closed its position."""
    await house.enter("BTCUSDT")
    exchange, seen = house.runtime.exchange("main"), []
    place, cancel = exchange.place, exchange.cancel

    async def placing(intent):  # type: ignore[no-untyped-def]
        seen.append(intent.leg)
        return await place(intent)

    async def cancelling(symbol, name):  # type: ignore[no-untyped-def]
        seen.append(f"cancel {leg_named(name)}")
        return await cancel(symbol, name)

    with patch.object(exchange, "place", placing), patch.object(exchange, "cancel", cancelling):
        await stop(house)

    assert seen[0] is Leg.EXIT
    assert sorted(seen[1:]) == ["cancel stop", "cancel target"]


@pytest.mark.parametrize("fault", ["503-after", "reset-after", "error:-1007-after"])
async def test_an_exit_that_landed_though_its_answer_was_lost_is_not_sent_again(house: House, fault: str) -> None:
    await house.enter("BTCUSDT")
    await house.spoil("POST", ORDER, fault)

    outcome = await stop(house)

    assert outcome.flat
    assert [*(await exits(house)).values()] == [1]
    assert await working(house) == []


@pytest.mark.parametrize("fault", ["503-before", "reset-before", "html-502", "error:-1007-before"])
async def test_an_exit_that_may_have_landed_is_followed_by_another_only_once_it_cannot_have(
    house: House, fault: str
) -> None:
    await house.enter("BTCUSDT")
    await house.spoil("POST", ORDER, fault)

    at_once = await stop(house, timedelta(seconds=10))
    stops = await house.venue_orders(type="STOP_MARKET", status="NEW")
    later = await stop(house, timedelta(minutes=5))

    assert not at_once.flat
    assert [left for left in at_once.left if "is held" in left]
    assert len(stops) == 1  # meanwhile it is protected
    assert later.flat
    assert [*(await exits(house)).values()] == [1]
    assert await house.venue_positions() == {}


async def test_a_stop_that_was_killed_at_any_moment_is_finished_by_whoever_reconciles_next(house: House) -> None:
    await house.enter("BTCUSDT")
    for at in range(1, 12):
        exchange, calls = house.runtime.exchange("main"), 0

        def killing(call, at=at):  # type: ignore[no-untyped-def]
            async def counted(*given, **named):  # type: ignore[no-untyped-def]
                nonlocal calls
                calls += 1
                if calls == at:
                    raise Killed
                answer = await call(*given, **named)
                if calls == at - 1 and call.__name__ == "place":
                    raise Killed
                return answer

            return counted

        with (
            patch.object(exchange, "place", killing(exchange.place)),
            patch.object(exchange, "cancel", killing(exchange.cancel)),
            patch.object(exchange, "holdings", killing(exchange.holdings)),
        ):
            try:
                await stop(house)
            except Killed:
                pass
            else:
                break
        assert await status(house) is AccountStatus.HALTED
        await house.pass_time(PAST_THE_NONCE_WINDOW)

    names = Counter(order["clientOrderId"] for order in await house.venue_orders())
    assert await house.venue_positions() == {}
    assert await working(house) == []
    assert max(names.values()) == 1
    assert at > 3


async def test_the_exchange_cancels_what_we_could_not_and_never_what_protects_a_position(house: House) -> None:
    """Killed before the first cancellation: the exchange's countdown runs out where nothing is held, and only there."""
    await house.enter("BTCUSDT")
    await house.bid("ETHUSDT", "a-bid")
    await house.bid("BTCUSDT", "another-bid")

    async def killed(*_: object) -> None:
        raise Killed

    with patch.object(house.runtime.exchange("main"), "cancel", killed), pytest.raises(Killed):
        await stop(house)
    await house.pass_time(timedelta(seconds=11))
    left = await working(house)

    assert "a-bid" not in left
    assert "another-bid" in left
    assert sorted(leg_named(name) for name in left if name != "another-bid") == [Leg.STOP, Leg.TARGET]


async def test_no_countdown_outlives_a_stop(house: House) -> None:
    await house.bid("ETHUSDT", "a-bid")
    await stop(house)
    await house.bid("ETHUSDT", "a-later-bid")

    await house.pass_time(timedelta(minutes=1))

    assert await working(house) == ["a-later-bid"]


async def test_a_cycle_at_work_opens_nothing_once_its_account_is_stopped(house: House) -> None:
    house.model.will_decide(await house.wish("BTCUSDT"), await house.wish("ETHUSDT"))
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)
    exchange = house.runtime.exchange("main")
    set_leverage = exchange.set_leverage
    outcomes = []

    async def stopped_meanwhile(symbol: str, leverage: int) -> None:
        await set_leverage(symbol, leverage)
        if not outcomes:
            outcomes.append(await stop(house, timedelta(seconds=0)))

    with patch.object(exchange, "set_leverage", stopped_meanwhile), pytest.raises(LeaseLost):
        await house.stage(Stage.EXECUTE)

    assert [order for order in await house.venue_orders() if leg_named(order["clientOrderId"]) is Leg.ENTRY] == []
    assert (await stop(house, timedelta(minutes=5))).flat


async def test_an_entry_that_lands_after_the_stop_was_asked_for_is_closed_again(house: House) -> None:
    house.model.will_decide(await house.wish("BTCUSDT"))
    await house.stage(Stage.FETCH)
    await house.stage(Stage.DECIDE)
    exchange = house.runtime.exchange("main")
    place, asked = exchange.place, False

    async def slow(intent):  # type: ignore[no-untyped-def]
        nonlocal asked
        if intent.leg is Leg.ENTRY and not asked:
            asked = True
            assert not (await stop(house, timedelta(seconds=0))).flat
        return await place(intent)

    with patch.object(exchange, "place", slow), pytest.raises(LeaseLost):
        await house.stage(Stage.EXECUTE)
    assert "BTCUSDT" in await house.venue_positions()
    outcome = await stop(house, timedelta(minutes=5))

    assert outcome.flat
    assert await house.venue_positions() == {}
    assert await working(house) == []


async def test_a_stop_needs_neither_the_ledger_nor_the_list_of_orders_to_close_what_is_held(house: House) -> None:
    await house.enter("BTCUSDT")
    await house.spoil_by(method="GET", path="/fapi/v3/income", kind="503-before", count=1000)
    await house.spoil_by(method="GET", path="/fapi/v3/openOrders", kind="503-before", count=1000)

    outcome = await stop(house, timedelta(seconds=5))

    assert await house.venue_positions() == {}
    assert not outcome.flat
    assert [left for left in outcome.left if "could not be seen" in left]
    await house.clear_faults()
    assert (await stop(house)).flat


async def test_an_account_that_cannot_be_reached_is_halted_all_the_same_and_stopped_when_it_can(house: House) -> None:
    await house.enter("BTCUSDT")
    await house.spoil_by(method="GET", path=HOLDINGS, kind="503-before", count=1000)

    outcome = await stop(house, timedelta(seconds=5))

    assert not outcome.flat
    assert outcome.trouble
    assert await status(house) is AccountStatus.HALTED
    await house.clear_faults()
    cycle = await house.next_cycle()
    assert cycle["reconcile"]["stopping"] == []
    assert await house.venue_positions() == {}


async def test_an_exchange_that_does_not_answer_keeps_nobody_waiting_and_is_stopped_at_when_it_does(
    house: House,
) -> None:
    await house.enter("BTCUSDT")
    await house.spoil_by(method="GET", path=HOLDINGS, kind="delay-ms:60000", count=1000)

    outcome = await stop(house, timedelta(seconds=1))

    assert (outcome.flat, outcome.trouble) == (False, "the exchange takes too long to answer")
    assert await status(house) is AccountStatus.HALTED
    await house.clear_faults()
    assert (await stop(house)).flat
    assert await house.venue_positions() == {}


async def test_stopping_twice_stops_once(house: House) -> None:
    await house.enter("BTCUSDT")

    await stop(house)
    again = await stop(house)

    assert again.flat
    assert [*(await exits(house)).values()] == [1]


async def test_a_stopped_account_trades_again_only_when_a_person_arms_it_and_not_before_it_is_flat(
    house: House,
) -> None:
    await house.enter("BTCUSDT")
    await house.spoil_by(method="GET", path=HOLDINGS, kind="503-before", count=1000)
    await stop(house, timedelta(seconds=1))
    with pytest.raises(BadRequest, match="still being stopped"):
        async with house.runtime.open_work() as work:
            await resume_account(work, "main", house.clock.now(), "by hand")
    await house.clear_faults()
    await stop(house)

    halted = await house.next_cycle()
    async with house.runtime.open_work() as work:
        await resume_account(work, "main", house.clock.now(), "by hand")
    await house.next_cycle()
    house.model.will_decide(await house.wish("ETHUSDT"))
    armed = await house.next_cycle()

    assert halted.keys() == {"account", "tick", "reconcile"}
    assert armed.keys() >= {"decide", "execute"}
    assert "ETHUSDT" in await house.venue_positions()


async def test_stopping_all_stops_each_and_tells_of_the_one_that_cannot_be_reached(database_url: str) -> None:
    async with built_house(database_url) as house:
        async with house.runtime.open_work() as work:
            other = await work.accounts.get("main")
            await work.accounts.configure([other, replace(other, id="elsewhere")])
        await house.enter("BTCUSDT")

        with patch("functions.stopping.sleep", at_once):
            outcomes = await stop_all(house.runtime, by="a test", patience=timedelta(minutes=1))

        assert {each.account: each.flat for each in outcomes} == {"main": True, "elsewhere": False}
        assert await house.venue_positions() == {}
        assert isinstance(outcomes[0].trouble, str)


def run_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "functions.stopping", *arguments],
        cwd=ROOT,
        env={"ENVIRONMENT": "testing", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_halts_even_where_no_exchange_answers_and_waits_no_longer_than_it_was_told(
    database_url: str,
) -> None:
    nowhere = {"DATABASE_URL": database_url, "ASTERDEX_BASE_URL": "http://127.0.0.1:9"}

    ended = run_command("--account", "main", "--patience", "1s", **nowhere)
    unknown = run_command("--account", "nobody", **nowhere)

    assert ended.returncode == 1
    [told] = json.loads(ended.stdout)
    assert (told["account"], told["flat"]) == ("main", False)
    assert "answer" in told["trouble"]  # that nothing does, or takes too long to: whichever comes first
    assert (unknown.returncode, unknown.stderr) == (2, "perpetua: there is no account 'nobody'\n")


async def test_the_command_stops_every_account(database_url: str) -> None:
    venue = Venue(synthetic_market(seed=7, symbols=SYMBOLS))
    async with served(create_app(venue)) as url:
        ended = await asyncio.to_thread(run_command, "--all", DATABASE_URL=database_url, ASTERDEX_BASE_URL=url)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == [{"account": "main", "flat": True, "left": [], "trouble": None}]
