"""What holds whatever traders do: books that add up, and time that nobody's looking changes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from emulators.aster import Venue, synthetic_market
from emulators.aster.errors import Refusal
from emulators.aster.holdings.accounts import Account
from emulators.aster.holdings.journal import JOURNAL
from emulators.aster.holdings.orders import Order
from tests.emulators.aster.traders import MINUTE

ROOT = Path(__file__).parents[3]
MARKET = synthetic_market(seed=23, symbols=("BTCUSDT", "ADAUSDT", "LINKUSDT"))
"""Settles funding every eight hours, every eight hours and every hour."""
KINDS = ("MARKET", "LIMIT", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")

OTHER_ACTS = ["cancel", "amend", "countdown", "margin", "leverage", "adl", "transfer"]
acts = st.fixed_dictionaries(
    {
        "act": st.sampled_from(["place"] * 9 + OTHER_ACTS),
        "symbol": st.sampled_from(sorted(MARKET.instruments)),
        "side": st.sampled_from(["BUY", "SELL"]),
        "kind": st.sampled_from(KINDS),
        "value": st.sampled_from([60, 900, 20_000, 700_000]),  # in USDT; the largest walk the book
        "away": st.integers(-150, 150),  # prices away from the last one, in ten-thousandths
        "flags": st.sampled_from(["", "", "reduceOnly", "closePosition"]),
        "force": st.sampled_from(["GTC", "IOC", "FOK", "GTX", "HIDDEN"]),
        "working": st.sampled_from(["CONTRACT_PRICE", "MARK_PRICE"]),
        "self_trade": st.sampled_from(["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]),
        "then": st.integers(0, 300 * MINUTE),  # milliseconds until the next one
    }
)
modes = st.fixed_dictionaries(
    {
        "hedge": st.booleans(),
        "isolated": st.sets(st.sampled_from(sorted(MARKET.instruments))),
        "balance": st.sampled_from([100, 5000, 3_000_000]),
    }
)


def opened(mode: dict[str, Any], **options: Any) -> tuple[Venue, Account]:
    venue = Venue(MARKET, balance=Decimal(mode["balance"]), **options)
    account = venue.open_account("someone")
    if mode["hedge"]:
        venue.set_hedge_mode(account, True)
    for symbol in sorted(mode["isolated"]):
        venue.set_isolated(account, symbol, True)
    return venue, account


def do(venue: Venue, account: Account, act: dict[str, Any]) -> None:
    """Do one thing, or be refused."""
    symbol, what = act["symbol"], act["act"]
    side = "BOTH" if not account.hedge_mode else "LONG" if act["away"] % 2 else "SHORT"
    try:
        if what == "place":
            venue.place(account, _order(venue, side, act))
        elif what == "cancel":
            for order in list(account.open_orders.values())[:1]:
                venue.cancel(account, order)
        elif what == "amend":
            for order in list(account.open_orders.values())[:1]:
                wanted = _order(venue, side, {**act, "symbol": order.symbol, "kind": "LIMIT"})
                venue.amend(account, order, wanted)
        elif what == "countdown":
            venue.cancel_all_after(account, symbol, act["value"] * 100)
        elif what == "margin":
            venue.move_margin(account, symbol, side, Decimal(act["value"]) / 100, add=act["away"] > 0)
        elif what == "leverage":
            venue.set_leverage(account, symbol, 1 + abs(act["away"]) % 50)
        elif what == "adl":
            venue.deleverage(account, symbol, side)
        else:
            venue.transfer(account, Decimal(act["away"]), f"tran-{venue.now}-{act['value']}")
    except Refusal:
        pass


def _order(venue: Venue, side: str, act: dict[str, Any]) -> dict[str, str]:
    spec = venue.market.instruments[act["symbol"]]
    last = spec.price(venue.engine.bid(spec.symbol))
    price = f"{last * (10_000 + act['away']) / 10_000 // spec.tick * spec.tick:f}"
    wanted = {
        "symbol": spec.symbol,
        "side": act["side"],
        "type": act["kind"],
        "positionSide": side,
        "quantity": f"{Decimal(act['value']) / last // spec.step * spec.step:f}",
        "workingType": act["working"],
        "stpMode": act["self_trade"],
    }
    if act["kind"] in {"LIMIT", "STOP", "TAKE_PROFIT"}:
        wanted |= {"price": price, "timeInForce": act["force"]}
    if act["kind"].endswith(("STOP", "PROFIT", "_MARKET")):
        wanted["stopPrice"] = price
    if act["kind"] == "TRAILING_STOP_MARKET":
        wanted["callbackRate"] = "0.5"
        if act["value"] > 1000:
            wanted["activationPrice"] = price
    if act["flags"]:
        wanted[act["flags"]] = "true"
    if act["flags"] == "closePosition":
        del wanted["quantity"]
    return wanted


def lived(mode: dict[str, Any], life: list[dict[str, Any]]) -> Iterator[tuple[Venue, Account]]:
    """Yield a venue after each thing an account did and the time that followed."""
    venue, account = opened(mode)
    for act in life:
        do(venue, account, act)
        yield venue, account
        venue.advance(venue.now + act["then"])
        yield venue, account


def picture(account: Account) -> dict[str, Any]:
    """Return all there is to know of an account."""
    return {
        "wallet": account.wallet,
        "spot": account.spot,
        "positions": {key: position for key, position in account.positions.items() if position.update_time},
        "orders": account.orders,
        "open": list(account.open_orders),
        "trades": dict(account.trades_of),
        "income": account.income,
        "countdowns": account.countdowns,
        "margin": account.margin_changes,
        "transfers": account.transfers,
        "settings": (account.hedge_mode, account.isolated, account.leverages, account.self_trade),
    }


def filled(account: Account, order: Order) -> Decimal:
    history = account.trades_of[order.symbol]
    return sum((trade.quantity for trade in history if trade.order_id == order.id), Decimal(0))


@seed(1)
@settings(max_examples=120, deadline=None, database=None)
@given(mode=modes, life=st.lists(acts, min_size=1, max_size=25))
def test_the_books_add_up_at_every_moment(mode: dict[str, Any], life: list[dict[str, Any]]) -> None:
    for _, account in lived(mode, life):
        assert account.wallet == sum(row.amount for row in account.income)
        held = [symbol for symbol, _ in account.open_positions()]
        assert account.cross_wallet >= 0 or not account.isolated.issuperset(held)
        for (symbol, side), position in account.positions.items():
            trades = [trade for trade in account.trades_of[symbol] if trade.position_side == side]
            signed = [trade.quantity if trade.side == "BUY" else -trade.quantity for trade in trades]
            assert position.quantity == sum(signed, Decimal(0))
            assert side == "BOTH" or (position.quantity >= 0) == (side == "LONG") or not position.quantity
            assert position.quantity or not (position.cost or position.isolated)
        for order in account.orders.values():
            assert order.executed == filled(account, order) <= order.quantity
            assert order.is_open == (order.id in account.open_orders) == (order.id in account.open_of[order.symbol])


@seed(2)
@settings(max_examples=120, deadline=None, database=None)
@given(mode=modes, life=st.lists(acts, min_size=1, max_size=25))
def test_what_may_only_close_never_opens_or_flips(mode: dict[str, Any], life: list[dict[str, Any]]) -> None:
    *_, (_, account) = lived(mode, life)

    held: dict[tuple[str, str], Decimal] = {}
    for trade in sorted((trade for trades in account.trades_of.values() for trade in trades), key=lambda row: row.id):
        key = trade.symbol, trade.position_side
        before = held.get(key, Decimal(0))
        after = held[key] = before + (trade.quantity if trade.side == "BUY" else -trade.quantity)
        if account.orders[trade.order_id].only_closes:
            assert abs(after) < abs(before)
            assert after * before >= 0


@seed(3)
@settings(max_examples=60, deadline=None, database=None)
@given(mode=modes, life=st.lists(acts, min_size=1, max_size=15), step=st.integers(5_000, 50 * MINUTE))
def test_nothing_depends_on_how_time_was_advanced(mode: dict[str, Any], life: list[dict[str, Any]], step: int) -> None:
    pictures = []
    for stride in (step, 400 * MINUTE):
        venue, account = opened(mode)
        for act in life:
            do(venue, account, act)
            end = venue.now + act["then"]
            while venue.now < end:
                venue.advance(min(venue.now + stride, end))
        pictures.append(picture(account))

    assert pictures[0] == pictures[1]


@seed(4)
@settings(max_examples=40, deadline=None, database=None)
@given(mode=modes, life=st.lists(acts, min_size=1, max_size=20), cut=st.integers(0, 19))
def test_books_read_back_go_on_as_if_nothing_had_been(
    mode: dict[str, Any], life: list[dict[str, Any]], cut: int
) -> None:
    with TemporaryDirectory() as once, TemporaryDirectory() as twice:
        venues = [opened(mode, state=Path(folder)) for folder in (once, twice)]
        for number, act in enumerate(life):
            if number == cut:
                venues[1][0].close()
                again = Venue(MARKET, state=Path(twice))
                assert picture(again.ledger.accounts["someone"]) == picture(venues[0][1])
                venues[1] = again, again.ledger.accounts["someone"]
            for venue, account in venues:
                do(venue, account, act)
                venue.advance(venue.now + act["then"])
        assert picture(venues[0][1]) == picture(venues[1][1])
        journals = [(Path(folder) / JOURNAL).read_bytes() for folder in (once, twice)]
        for venue, _ in venues:
            venue.close()
        assert [json.loads(line) for line in journals[0].splitlines()] == [
            json.loads(line) for line in journals[1].splitlines()
        ]


@seed(5)
@settings(max_examples=20, deadline=None, database=None)
@given(mode=modes, life=st.lists(acts, min_size=1, max_size=20))
def test_the_same_seed_and_the_same_acts_make_the_same_books_byte_for_byte(
    mode: dict[str, Any], life: list[dict[str, Any]]
) -> None:
    journals = []
    for _ in range(2):
        with TemporaryDirectory() as folder:
            venue, account = opened(mode, state=Path(folder))
            for act in life:
                do(venue, account, act)
                venue.advance(venue.now + act["then"])
            venue.close()
            journals.append((Path(folder) / JOURNAL).read_bytes())

    assert journals[0] == journals[1]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.emulators.aster.test_aster_invariants import busy_life, picture
venue, account = busy_life(state=Path(sys.argv[1]))
print(picture(account), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def busy_life(**options: Any) -> tuple[Venue, Account]:
    """Return a venue with every kind of state in its books, in the middle of a second."""
    venue, account = opened({"hedge": True, "isolated": {"ADAUSDT"}, "balance": 3_000_000}, **options)
    act = {
        "act": "place", "symbol": "BTCUSDT", "side": "BUY", "kind": "LIMIT", "value": 700_000, "away": 1, "flags": "",
        "force": "GTC", "working": "MARK_PRICE", "self_trade": "EXPIRE_MAKER", "then": 0,
    }  # fmt: skip
    do(venue, account, {**act, "kind": "MARKET"})
    do(venue, account, act)
    do(venue, account, {**act, "symbol": "ADAUSDT", "value": 20_000, "kind": "MARKET"})
    do(venue, account, {**act, "act": "margin", "symbol": "ADAUSDT"})
    trailing = {**act, "side": "SELL", "kind": "TRAILING_STOP_MARKET", "value": 900}
    do(venue, account, trailing)
    do(venue, account, {**trailing, "working": "CONTRACT_PRICE"})
    venue.advance(venue.now + 3 * MINUTE + 17)  # long enough to have followed the price
    do(venue, account, {**act, "kind": "MARKET", "away": 2, "side": "SELL"})
    ask = MARKET.instruments["BTCUSDT"].price_text(venue.engine.bid("BTCUSDT") + 1)
    venue.place(account, {**_order(venue, "LONG", act), "price": ask})
    do(venue, account, {**act, "act": "countdown", "value": 20_000})
    do(venue, account, {**act, "act": "transfer", "away": -100})
    return venue, account


def test_a_venue_that_is_killed_goes_on_with_the_same_books(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    twin, unharmed = busy_life()
    again = Venue(MARKET, state=tmp_path)
    survivor = again.ledger.accounts["someone"]

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stdout.strip() == str(picture(unharmed))
    assert picture(survivor) == picture(unharmed)
    assert {order.status for order in survivor.orders.values()} >= {"PARTIALLY_FILLED", "FILLED", "NEW"}
    assert survivor.countdowns
    assert survivor.spot
    assert survivor.margin_changes
    assert any(order.best not in {0, order.activation * 10} for order in survivor.orders.values())
    for venue, account in ((again, survivor), (twin, unharmed)):
        more = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "positionSide": "SHORT", "quantity": "9"}
        venue.place(account, more)
        venue.advance(venue.now + 600 * MINUTE)
    assert picture(survivor) == picture(unharmed)
    again.close()
