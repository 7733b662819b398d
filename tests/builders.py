"""Words of the domain, valid by default: a test mentions only what matters to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.domain.account import Account, RiskLimits
from shared.domain.decision import Action, Decision, ExitPlan
from shared.domain.expenses import Expenses, Paid
from shared.domain.instrument import Instrument
from shared.domain.market import CandleWindow, Quote, Series, Timeframe
from shared.domain.order import Fill, Intent, Leg, Order, OrderState, OrderType, Side, VenueOrder
from shared.domain.performance import EquityMarks, EquityPoint
from shared.domain.position import Balance, Direction, Holdings, Position
from shared.domain.rules import RiskContext
from shared.domain.snapshot import Indicators, Snapshot

TICK = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LONG, SHORT = Direction.LONG, Direction.SHORT
BUY, SELL = Side.BUY, Side.SELL


def an_instrument(symbol: str = "BTCUSDT", **changes: Any) -> Instrument:
    """Prices on tenths, quantities on thousandths."""
    usual = Instrument(
        symbol=symbol,
        trading=True,
        tick_size=Decimal("0.1"),
        min_price=Decimal("0.1"),
        max_price=Decimal(1000000),
        step_size=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        max_market_quantity=Decimal(1000),
        min_notional=Decimal(5),
    )
    return replace(usual, **changes)


def a_quote(symbol: str = "BTCUSDT", price: str = "100", **changes: Any) -> Quote:
    usual = Quote(
        symbol=symbol,
        mark_price=Decimal(price),
        index_price=Decimal(price),
        funding_rate=Decimal("0.0001"),
        next_funding_at=TICK + timedelta(hours=4),
        open_interest=Decimal(5000),
        at=TICK,
        bid=Decimal(price) * Decimal("0.99995"),
        ask=Decimal(price) * Decimal("1.00005"),
        change_24h=Decimal("-0.01234"),
    )
    return replace(usual, **changes)


def a_free_quote(symbol: str = "BTCUSDT", price: str = "100", **changes: Any) -> Quote:
    """Without a spread, and without funding."""
    free = {"bid": Decimal(price), "ask": Decimal(price), "funding_rate": Decimal(0)}
    return a_quote(symbol, price, **(free | changes))


def a_window(opened: list[datetime], timeframe: Timeframe = Timeframe.M5, low: float = 99.0) -> CandleWindow:
    """Candles that all look the same."""
    count = len(opened)
    return CandleWindow(
        series=Series("BTCUSDT", timeframe),
        opened=opened,
        open=[100.0] * count,
        high=[101.0] * count,
        low=[low] * count,
        close=[100.5] * count,
        volume=[7.0] * count,
    )


def an_account(**changes: Any) -> Account:
    usual = Account(
        id="main",
        symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"),
        timeframes=(Timeframe.M5, Timeframe.H4),
        interval=timedelta(minutes=5),
        model="maker/model",
    )
    return replace(usual, **changes)


def a_decision(asset: str = "BTCUSDT", action: Action = Action.BUY, **changes: Any) -> Decision:
    """At a price of 100: 1 USD of risk for 4 USD of reward, whichever way it goes."""
    stop, target = (Decimal(101), Decimal(96)) if action is Action.SELL else (Decimal(99), Decimal(104))
    usual = Decision(
        asset=asset,
        action=action,
        allocation_usd=Decimal(0 if action is Action.CLOSE else 100),
        leverage=2,
        stop_loss=stop,
        take_profit=target,
        confidence=Decimal("0.8"),
        exit_plan=ExitPlan(text="until the trend breaks"),
        rationale="the trend is up",
    )
    return replace(usual, **changes)


def a_position(symbol: str = "BTCUSDT", direction: Direction = LONG, quantity: str = "1", **changes: Any) -> Position:
    usual = Position(
        symbol=symbol,
        direction=direction,
        quantity=Decimal(quantity),
        entry_price=Decimal(100),
        mark_price=Decimal(100),
        unrealized=Decimal(0),
        leverage=2,
        liquidation_price=None,
    )
    return replace(usual, **changes)


def some_holdings(*positions: Position, equity: str = "1000", available: str | None = None) -> Holdings:
    """An account worth *equity*, all of it in the wallet, and all of it free unless *available* says less."""
    return Holdings(
        balance=Balance(
            wallet=Decimal(equity),
            unrealized=Decimal(0),
            available=Decimal(available or equity),
            initial_margin=Decimal(0),
            maintenance_margin=Decimal(0),
        ),
        positions=positions,
        at=TICK,
    )


def some_marks(day: str = "1000", peak: str = "1000", deposited: str = "1000") -> EquityMarks:
    return EquityMarks(day=Decimal(day), peak=Decimal(peak), deposited=Decimal(deposited))


def some_expenses() -> Expenses:
    """Of an account that has paid nothing yet."""
    nothing = Paid(fees=Decimal(0), funding=Decimal(0), models=Decimal(0))
    return Expenses(today=nothing, in_all=nothing)


def a_context(*, limits: dict[str, Any] | None = None, account: Account | None = None, **changes: Any) -> RiskContext:
    """A flat account of 1000 USD in a market where everything costs 100 and trading is free."""
    account = account or an_account(limits=RiskLimits(**(limits or {})))
    usual = RiskContext(
        account=account,
        now=TICK + timedelta(seconds=20),
        holdings=some_holdings(),
        quotes={symbol: a_free_quote(symbol) for symbol in account.symbols},
        shown={symbol: Decimal(100) for symbol in account.symbols},
        instruments={symbol: an_instrument(symbol) for symbol in account.symbols},
        defects={},
        taker_fee=Decimal(0),
        unsettled=frozenset(),
        last_exits={},
        last_entries={},
        marks=some_marks(),
        entries_today=0,
        flips_today=0,
        tripped={},
        others=None,
    )
    return replace(usual, **changes)


def an_intent(symbol: str = "BTCUSDT", leg: Leg = Leg.ENTRY, **changes: Any) -> Intent:
    """A market order; for a stop or a target, the order that ends a long position."""
    protects = leg in {Leg.STOP, Leg.TARGET}
    side = changes.get("side", Side.SELL if protects else Side.BUY)
    usual = Intent(
        account_id="main",
        tick=TICK,
        symbol=symbol,
        leg=leg,
        attempt=0,
        side=side,
        direction=LONG if (side is BUY) is (leg is Leg.ENTRY) else SHORT,
        type=OrderType.STOP_MARKET if protects else OrderType.MARKET,
        quantity=None if protects else Decimal(1),
        stop_price=Decimal(95) if protects else None,
    )
    return replace(usual, **changes)


def an_order(state: OrderState = OrderState.NEW, intent: Intent | None = None, **changes: Any) -> Order:
    intent = intent or an_intent()
    return replace(Order(intent=intent, client_order_id=intent.client_order_id, state=state), **changes)


def a_venue_order(**changes: Any) -> VenueOrder:
    """The resting stop that ends a long BTCUSDT position whole."""
    usual = VenueOrder(
        client_order_id="pp-stop-1",
        venue_order_id=1,
        symbol="BTCUSDT",
        side=Side.SELL,
        type=OrderType.STOP_MARKET,
        state=OrderState.NEW,
        quantity=Decimal(0),
        executed_quantity=Decimal(0),
        average_price=Decimal(0),
        price=Decimal(0),
        stop_price=Decimal(95),
        reduce_only=True,
        closes_position=True,
        updated_at=TICK,
    )
    return replace(usual, **changes)


def a_fill(side: Side = BUY, quantity: str = "1", **changes: Any) -> Fill:
    usual = Fill(
        trade_id=1,
        venue_order_id=1,
        symbol="BTCUSDT",
        side=side,
        price=Decimal(100),
        quantity=Decimal(quantity),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        commission_asset="USDT",
        maker=False,
        at=TICK,
    )
    return replace(usual, **changes)


def equity_curve(*values: str, deposited: str = "1000", step: timedelta = timedelta(days=1)) -> list[EquityPoint]:
    """A point a *step*, from TICK on, with nothing paid in after the start."""
    return [
        EquityPoint(at=TICK + step * n, wallet=Decimal(value), unrealized=Decimal(0), deposited=Decimal(deposited))
        for n, value in enumerate(values)
    ]


def some_indicators() -> Indicators:
    return Indicators(candles=300, series={"ema_20": (None, 99.5)}, latest={"ema_20": 99.5, "atr_14": None})


def a_snapshot(**changes: Any) -> Snapshot:
    """What there was to see of one symbol."""
    usual = Snapshot(
        account_id="main",
        tick=TICK,
        taken_at=TICK + timedelta(seconds=3),
        quotes={"BTCUSDT": a_quote()},
        instruments={"BTCUSDT": an_instrument()},
        indicators={"BTCUSDT": {Timeframe.M5: some_indicators()}},
        defects={},
        holdings=some_holdings(),
        open_orders=(),
        taker_fee=Decimal("0.0004"),
    )
    return replace(usual, **changes)
