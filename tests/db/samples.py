"""Objects of the domain for the tests of the tables: valid, and named for what they stand for."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.db.unit_of_work import Database
from shared.domain.account import Account, RiskLimits
from shared.domain.cycle import Duty, StageRequest
from shared.domain.decision import Action, Condition, Decision, ExitPlan, Invalidation
from shared.domain.instrument import Instrument
from shared.domain.market import Candle, Quote, Timeframe
from shared.domain.model import ModelCall, Prompt
from shared.domain.order import Fill, Intent, Leg, OrderState, OrderType, Side, VenueOrder
from shared.domain.performance import EquityPoint
from shared.domain.position import Balance, Direction, Holdings, Position
from shared.domain.risk import Review, ReviewedDecision, Verdict
from shared.domain.rules import Finding
from shared.domain.snapshot import Indicators, Snapshot

TICK = datetime(2026, 3, 31, 23, 55, tzinfo=UTC)
CYCLE = StageRequest("main", TICK)
PRECISE = Decimal("12345678901234567890.123456789012345678")
"""More digits than a float, a double or Decimal's own context can carry."""


@dataclass(frozen=True)
class HeldLease:
    account_id: str
    fence: int
    duty: Duty = Duty.ACT


def an_account(name: str = "main", **changes: Any) -> Account:
    return replace(
        Account(
            id=name,
            symbols=("BTCUSDT", "ETHUSDT"),
            timeframes=(Timeframe.M5, Timeframe.MONTH),
            interval=timedelta(minutes=5),
            model="maker/model",
            limits=RiskLimits(max_leverage=7, risk_per_trade=Decimal("0.0123"), cooldown=timedelta(minutes=17)),
        ),
        **changes,
    )


async def open_accounts(database: Database, *names: str) -> None:
    async with database.open_work() as work:
        await work.accounts.configure([an_account(name) for name in names or ("main",)])


def an_intent(symbol: str = "BTCUSDT", leg: Leg = Leg.ENTRY, **changes: Any) -> Intent:
    return replace(
        Intent(
            account_id="main",
            tick=TICK,
            symbol=symbol,
            leg=leg,
            attempt=0,
            side=Side.BUY,
            direction=Direction.LONG if leg is Leg.ENTRY else Direction.SHORT,
            type=OrderType.MARKET,
            quantity=Decimal("0.010"),
        ),
        **changes,
    )


def a_venue_order(client_order_id: str, **changes: Any) -> VenueOrder:
    return replace(
        VenueOrder(
            client_order_id=client_order_id,
            venue_order_id=8_389_765_519_993_300_001,
            symbol="BTCUSDT",
            side=Side.SELL,
            type=OrderType.STOP_MARKET,
            state=OrderState.NEW,
            quantity=Decimal("0.010"),
            executed_quantity=Decimal(0),
            average_price=Decimal(0),
            price=Decimal(0),
            stop_price=Decimal("61234.50"),
            reduce_only=True,
            closes_position=False,
            updated_at=TICK,
        ),
        **changes,
    )


def a_fill(trade_id: int, **changes: Any) -> Fill:
    return replace(
        Fill(
            trade_id=trade_id,
            venue_order_id=77,
            symbol="BTCUSDT",
            side=Side.BUY,
            price=Decimal("64000.10"),
            quantity=Decimal("0.010"),
            realized_pnl=Decimal(0),
            commission=Decimal("0.2560004"),
            commission_asset="USDT",
            maker=False,
            at=TICK + timedelta(seconds=trade_id),
        ),
        **changes,
    )


def a_position(symbol: str = "BTCUSDT", **changes: Any) -> Position:
    return replace(
        Position(
            symbol=symbol,
            direction=Direction.LONG,
            quantity=Decimal("0.010"),
            entry_price=Decimal("64000.10"),
            mark_price=Decimal("64100.00"),
            unrealized=Decimal("0.999"),
            leverage=3,
            liquidation_price=None,
        ),
        **changes,
    )


def a_point(at: datetime, wallet: str = "1000", **changes: Any) -> EquityPoint:
    point = EquityPoint(at=at, wallet=Decimal(wallet), unrealized=Decimal(0), deposited=Decimal(1000))
    return replace(point, **changes)


def a_candle(opened: datetime, close: str = "64000.1") -> Candle:
    price = Decimal(close)
    return Candle(opened=opened, open=price, high=price + 1, low=price - 1, close=price, volume=Decimal("12.345"))


def a_decision(asset: str = "BTCUSDT", action: Action = Action.BUY, **changes: Any) -> Decision:
    return replace(
        Decision(
            asset=asset,
            action=action,
            allocation_usd=Decimal("250.50"),
            leverage=3,
            stop_loss=Decimal("61234.5"),
            take_profit=Decimal("70000"),
            confidence=Decimal("0.72"),
            exit_plan=ExitPlan(
                text="out below the range",
                invalidation=Invalidation(
                    timeframe=Timeframe.H4, condition=Condition.CLOSE_BELOW, price=Decimal("62000")
                ),
            ),
            rationale="the range broke upwards",
        ),
        **changes,
    )


def a_reviewed(asset: str = "BTCUSDT", action: Action = Action.BUY, **review: Any) -> ReviewedDecision:
    approved = Review(
        verdict=Verdict.APPROVED,
        direction=Direction.LONG,
        quantity=Decimal("0.003"),
        price=Decimal("64000.10"),
        leverage=3,
        stop_loss=Decimal("61234.5"),
        findings=(Finding(rule="confidence", passed=True, saw={"confidence": "0.72"}),),
    )
    return ReviewedDecision(decision=a_decision(asset, action), review=replace(approved, **review))


def a_call(content: str | None = '{"decisions": []}', **changes: Any) -> ModelCall:
    return replace(
        ModelCall(
            asked_model="maker/model",
            answered_model="maker/model-1",
            provider="somebody",
            prompt=Prompt(version="v1", system="You trade.", user="BTC is at 64000.10 …"),
            content=content,
            raw={"id": "gen-1", "usage": {"cost": "0.00123"}},
            prompt_tokens=1200,
            completion_tokens=80,
            cost=Decimal("0.00123"),
            latency_ms=2140,
            at=TICK,
        ),
        **changes,
    )


def a_snapshot(tick: datetime = TICK) -> Snapshot:
    quote = Quote(
        symbol="BTCUSDT",
        mark_price=Decimal("64000.10"),
        index_price=Decimal("63999.00"),
        funding_rate=Decimal("-0.00012345"),
        next_funding_at=tick + timedelta(hours=1),
        open_interest=None,
        at=tick,
    )
    instrument = Instrument(
        symbol="BTCUSDT",
        trading=True,
        tick_size=Decimal("0.10"),
        min_price=Decimal("1"),
        max_price=Decimal("1000000"),
        step_size=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        max_market_quantity=Decimal("100"),
        min_notional=Decimal("5"),
    )
    balance = Balance(
        wallet=PRECISE,
        unrealized=Decimal("-1.5"),
        available=Decimal("900"),
        initial_margin=Decimal("100"),
        maintenance_margin=Decimal("5"),
    )
    seen = Indicators(candles=300, series={"rsi_14": (None, 0.1 + 0.2, 55.5)}, latest={"rsi_14": 55.5, "adx_14": None})
    return Snapshot(
        account_id="main",
        tick=tick,
        taken_at=tick + timedelta(seconds=3),
        quotes={"BTCUSDT": quote},
        instruments={"BTCUSDT": instrument},
        indicators={"BTCUSDT": {Timeframe.M5: seen}},
        defects={"ETHUSDT": "no quote"},
        holdings=Holdings(balance=balance, positions=(a_position(),), at=tick),
        open_orders=(a_venue_order("pp-stop-1"),),
        taker_fee=Decimal("0.0004"),
    )
