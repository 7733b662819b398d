"""What a venue tells those who listen: everything that was committed, in order, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from emulators.aster import Venue
from emulators.aster.errors import Refusal
from emulators.aster.holdings.accounts import Account
from emulators.aster.holdings.happenings import AccountChanged, Happening, LeverageChanged, ModeChanged, OrderChanged
from tests.emulators.aster.traders import MINUTE, T0, flat, market_of

HOUR = 60 * MINUTE


class Told:
    """Someone who remembers what was told, commit by commit."""

    def __init__(self, venue: Venue) -> None:
        self.commits: list[tuple[list[Happening], int]] = []
        venue.ledger.listen(lambda happened, now: self.commits.append((list(happened), now)))

    def since_last_look(self) -> list[str]:
        """Return in a word each what was told."""
        told = [_word(happening) for happened, _ in self.commits for happening in happened]
        self.commits.clear()
        return told


def _word(happening: Happening) -> str:
    if isinstance(happening, OrderChanged):
        return f"{happening.execution} {happening.order.status}"
    return happening.reason if isinstance(happening, AccountChanged) else type(happening).__name__


def begun(*rows: tuple[float, float, float, float], **options: dict[int, str]) -> tuple[Venue, Account, Told]:
    venue = Venue(market_of(*rows, **options))
    return venue, venue.open_account("someone"), Told(venue)


def order(side: str, kind: str = "MARKET", **more: str) -> dict[str, str]:
    return {"symbol": "BTCUSDT", "side": side, "type": kind, **({"quantity": "0.010"} | more)}


def test_a_market_order_is_entered_then_money_changes_then_it_is_traded() -> None:
    venue, account, told = begun(*flat(50_000, 5))

    venue.place(account, order("BUY"))

    ((happened, now),) = told.commits
    entered, paid, traded = happened
    assert isinstance(entered, OrderChanged)
    assert (entered.execution, entered.order.status, entered.order.executed) == ("NEW", "NEW", 0)
    assert isinstance(paid, AccountChanged)
    assert (paid.reason, paid.wallet, paid.change) == ("ORDER", account.wallet, 0)
    assert [(each.symbol, each.side, each.quantity) for each in paid.positions] == [
        ("BTCUSDT", "BOTH", Decimal("0.010"))
    ]
    assert isinstance(traded, OrderChanged)
    assert (traded.execution, traded.order.status) == ("TRADE", "FILLED")
    assert traded.trade == account.trades_of["BTCUSDT"][0]
    assert now == entered.time == paid.time == traded.time == T0


def test_what_was_told_is_a_picture_of_its_moment() -> None:
    venue, account, told = begun(*flat(50_000, 5))

    _, placed = venue.place(account, order("BUY", "LIMIT", price="49000", timeInForce="GTC"))
    venue.cancel(account, placed)

    (entered,), _ = told.commits[0]
    assert isinstance(entered, OrderChanged)
    assert (entered.order.status, placed.status) == ("NEW", "CANCELED")
    assert told.since_last_look() == ["NEW NEW", "CANCELED CANCELED"]


def test_a_refused_order_is_not_told_of() -> None:
    venue, account, told = begun(*flat(50_000, 5))

    with pytest.raises(Refusal):
        venue.place(account, order("BUY", quantity="100"))

    assert told.commits == []


def test_a_stop_is_told_to_trigger_before_it_trades_at_the_time_it_did() -> None:
    venue, account, told = begun(*flat(50_000, 2), (50_000, 50_000, 49_000, 49_000), *flat(49_000, 2))
    venue.place(account, order("BUY"))
    venue.place(account, order("SELL", "STOP_MARKET", stopPrice="49500", closePosition="true", quantity=""))
    told.commits.clear()

    venue.advance(T0 + 5 * MINUTE)

    (happened, now), *_ = told.commits
    assert now == T0 + 5 * MINUTE
    assert [each.time for each in happened if isinstance(each, OrderChanged)] == [T0 + 2 * MINUTE + 30_000] * 2
    assert told.since_last_look() == ["TRIGGERED NEW", "ORDER", "TRADE FILLED"]


def test_funding_changes_money_and_no_position() -> None:
    venue, account, told = begun(*flat(50_000, 481), funding={T0 + 8 * HOUR: "0.0001"})
    venue.place(account, order("BUY"))
    told.commits.clear()

    venue.advance(T0 + 8 * HOUR)

    (paid,) = told.commits[0][0]
    assert isinstance(paid, AccountChanged)
    assert (paid.reason, paid.change, paid.positions) == ("FUNDING_FEE", Decimal("-0.05"), ())


def test_a_liquidation_is_told_as_the_venue_s_own_trade() -> None:
    venue, account, told = begun(*flat(50_000, 2), (50_000, 50_000, 30_000, 30_000), *flat(30_000, 2))
    venue.set_leverage(account, "BTCUSDT", 100)
    venue.place(account, order("BUY", quantity="1.000"))
    told.commits.clear()

    venue.advance(T0 + 5 * MINUTE)

    assert told.since_last_look() == ["NEW NEW", "ORDER", "CALCULATED FILLED", "INSURANCE_CLEAR"]


def test_settings_are_told() -> None:
    venue, account, told = begun(*flat(50_000, 5))

    venue.set_leverage(account, "BTCUSDT", 7)
    venue.set_hedge_mode(account, True)

    assert [happened for happened, _ in told.commits] == [
        [LeverageChanged("someone", "BTCUSDT", 7)],
        [ModeChanged("someone", hedge=True, multi_assets=False)],
    ]


def test_an_account_s_first_money_is_a_deposit() -> None:
    venue, _, told = begun(*flat(50_000, 5))

    venue.open_account("another", balance=Decimal(5))

    assert told.since_last_look() == ["DEPOSIT"]
