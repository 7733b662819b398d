"""Books that survive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulators.aster import Market, UnusableState, Venue
from emulators.aster.holdings.journal import CLOCK, JOURNAL
from emulators.aster.holdings.register import Agent
from emulators.aster.prices.synthetic import synthetic_market
from tests.emulators.aster.traders import MINUTE, T0, Trader, flat, market_of


class Office:
    """Opens venues on one folder, one after the other, and closes the last one."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.venue: Venue | None = None

    def open(self, market: Market, **options: Any) -> Trader:
        self.close()
        self.venue = Venue(market, state=self.state, **options)
        return Trader(self.venue)

    def reopen(self) -> Trader:
        assert self.venue is not None
        return self.open(self.venue.market)

    def close(self) -> None:
        if self.venue is not None:
            self.venue.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


async def everything(one: Trader) -> object:
    books = (await one.http.get(f"/emulator/books?account={one.wallet.address}")).json()
    return books, await one.get("positionRisk"), await one.get("openOrders"), one.venue.now


async def test_a_restart_finds_accounts_orders_history_positions_settings_and_time(office: Office) -> None:
    one = office.open(market_of((50_000, 50_300, 49_800, 50_100), *flat(50_100, 50)))
    await one.ask("POST", "/fapi/v3/leverage", symbol="BTCUSDT", leverage=7)
    await one.order("BUY", quantity="0.030")
    await one.order("SELL", "TAKE_PROFIT_MARKET", stopPrice="50200", quantity="0.010", reduceOnly="true")
    stop = await one.order("SELL", "STOP_MARKET", stopPrice="49000", closePosition="true", newClientOrderId="stop-1")
    cancelled = await one.order("BUY", "LIMIT", quantity="0.01", price="49100", timeInForce="GTC")
    await one.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", orderId=cancelled["orderId"])
    one.venue.advance(T0 + 90_500)
    before = await everything(one)

    two = office.reopen()

    assert await everything(two) == before
    assert two.venue.now == T0 + 90_500
    assert (await two.position())["leverage"] == "7"
    fresh = await two.order("SELL", quantity="0.001")
    assert fresh["orderId"] > cancelled["orderId"]
    found = await two.get("order", symbol="BTCUSDT", origClientOrderId="stop-1")
    assert (found["orderId"], found["status"]) == (stop["orderId"], "NEW")


async def test_orders_that_rest_over_a_restart_are_matched_after_it(office: Office) -> None:
    one = office.open(market_of(*flat(50_000, 2), (50_000, 50_100, 49_900, 50_000)))
    order = await one.order("BUY", "LIMIT", quantity="0.01", price="49950", timeInForce="GTC")

    two = office.reopen()
    two.venue.advance(T0 + 3 * MINUTE)

    assert (await two.state(order))["status"] == "FILLED"


async def test_keys_agents_and_modes_survive(tmp_path: Path) -> None:
    venue = Venue(market_of(*flat(50_000, 5)), state=tmp_path)
    account = venue.open_account("key-1", secret="shh", balance=Decimal(5))
    venue.register.approve(Agent(owner="key-1", address="0x" + "ab" * 20))
    venue.set_hedge_mode(account, True)
    venue.close()

    again = Venue(venue.market, state=tmp_path)

    assert again.ledger.accounts["key-1"].secret == "shh"
    assert again.ledger.accounts["key-1"].hedge_mode is True
    assert again.register.agent("0x" + "ab" * 20, "key-1") == Agent(owner="key-1", address="0x" + "ab" * 20)
    assert again.ledger.accounts["key-1"].wallet == 5
    again.close()


async def test_a_line_cut_short_never_happened(office: Office, tmp_path: Path) -> None:
    one = office.open(market_of(*flat(50_000, 5)))
    await one.order("BUY", quantity="0.01")
    before = await everything(one)
    one.venue.close()
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'{"t":17464032000')

    two = office.reopen()
    assert await everything(two) == before
    await two.order("BUY", quantity="0.01")

    assert len(await office.reopen().get("userTrades", symbol="BTCUSDT")) == 2


async def test_a_crash_between_the_journal_and_the_clock_charges_no_funding_twice(office: Office) -> None:
    one = office.open(market_of(*flat(50_000, 20), base="1h"))
    await one.order("BUY", quantity="0.01")
    eight = T0 + 8 * 60 * MINUTE
    before_funding = (office.state / CLOCK).read_bytes()
    one.venue.advance(eight + MINUTE)
    one.venue.close()
    (office.state / CLOCK).write_bytes(before_funding)

    two = office.reopen()
    two.venue.advance(eight + 2 * MINUTE)

    assert [row["time"] for row in await two.get("income", incomeType="FUNDING_FEE")] == [eight]


def test_another_market_on_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    Venue(synthetic_market(seed=1, symbols=("BTCUSDT",)), state=tmp_path).close()

    with pytest.raises(
        UnusableState, match=r"kept on another market .*seed=1.* this one is .*seed=2.*another folder"
    ) as caught:
        Venue(synthetic_market(seed=2, symbols=("BTCUSDT",)), state=tmp_path)

    assert "\n" not in str(caught.value)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    market = synthetic_market(symbols=("BTCUSDT",))
    first = Venue(market, state=tmp_path)

    with pytest.raises(UnusableState, match="another emulator is using this folder"):
        Venue(market, state=tmp_path)

    first.close()


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    market = synthetic_market(symbols=("BTCUSDT",))
    Venue(market, state=tmp_path).close()
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b"garbage\n")

    with pytest.raises(UnusableState, match="line 2: damaged"):
        Venue(market, state=tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UnusableState, match="cannot keep state here"):
        Venue(synthetic_market(symbols=("BTCUSDT",)), state=tmp_path / "file")


def test_ten_thousand_orders_are_read_back_sooner_than_they_were_placed(tmp_path: Path) -> None:
    market = market_of(*flat(50_000, 5))
    venue = Venue(market, balance=Decimal(10_000_000), state=tmp_path)
    account = venue.open_account("someone")
    began = time.process_time()
    for number in range(10_000):
        side = "BUY" if number % 2 else "SELL"
        venue.place(account, {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": "0.01"})
    venue.close()
    placing = time.process_time() - began

    began = time.process_time()
    again = Venue(market, state=tmp_path)
    elapsed = time.process_time() - began

    assert again.ledger.accounts["someone"].orders == account.orders
    assert again.ledger.accounts["someone"].wallet == account.wallet
    assert elapsed < placing
    again.close()
