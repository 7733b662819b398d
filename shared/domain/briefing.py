"""What the model is told: one JSON-ready document made from the snapshot and the account's recent history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from shared.domain.account import Account
from shared.domain.decision import ExitPlan
from shared.domain.expenses import Expenses, Paid
from shared.domain.market import Quote, Timeframe
from shared.domain.order import Fill, VenueOrder
from shared.domain.performance import EquityMarks
from shared.domain.position import Direction, Position
from shared.domain.protection import stops_of, targets_of
from shared.domain.risk import Review, ReviewedDecision
from shared.domain.snapshot import Indicators, Snapshot

Plans = Mapping[tuple[str, Direction], tuple[datetime, ExitPlan, Review]]


def briefing(
    account: Account,
    snapshot: Snapshot,
    *,
    plans: Plans,
    recent_decisions: Iterable[tuple[datetime, ReviewedDecision]],
    recent_fills: Iterable[Fill],
    marks: EquityMarks,
    expenses: Expenses,
) -> dict[str, Any]:
    """Return the document. Money, prices and quantities are strings; symbols whose data has a defect are left out."""
    balance = snapshot.holdings.balance
    return {
        "time": snapshot.taken_at.isoformat(timespec="seconds"),
        "tick": snapshot.tick.isoformat(timespec="seconds"),
        "account": {
            "equity": _cents(balance.equity),
            "wallet": _cents(balance.wallet),
            "unrealized": _cents(balance.unrealized),
            "available": _cents(balance.available),
        },
        "limits": _limits(account, snapshot),
        "performance": _performance(balance.equity, marks),
        "paid": {"today": _paid(expenses.today), "in_all": _paid(expenses.in_all)},
        "positions": [_position(held, snapshot, plans) for held in snapshot.holdings.positions],
        "open_orders": [_order(order) for order in snapshot.open_orders],
        "recent_fills": [fill_line(fill) for fill in recent_fills],
        "recent_decisions": [decision_line(tick, reviewed) for tick, reviewed in recent_decisions],
        "market": {
            symbol: _market(snapshot.quotes[symbol], snapshot.indicators[symbol])
            for symbol in account.symbols
            if symbol not in snapshot.defects
        },
    }


def _limits(account: Account, snapshot: Snapshot) -> dict[str, Any]:
    limits, equity = account.limits, snapshot.holdings.balance.equity
    notionals = [instrument.min_notional for instrument in snapshot.instruments.values()]
    return {
        "max_leverage": limits.max_leverage,
        "preferred_leverage": account.leverage,
        "max_position_usd": _cents(equity * limits.max_position_fraction),
        "max_total_exposure_usd": _cents(equity * limits.max_exposure_fraction),
        "max_positions": limits.max_positions,
        "min_notional_usd": str(max(notionals, default=Decimal(0))),
        "risk_per_trade": str(limits.risk_per_trade),
        "min_reward_to_risk": str(limits.min_reward_to_risk),
        "min_stop_distance": str(limits.min_stop_distance),
        "max_stop_distance": str(limits.max_stop_distance),
        "min_confidence": str(limits.min_confidence),
        "taker_fee": str(snapshot.taker_fee),
    }


def _performance(equity: Decimal, marks: EquityMarks) -> dict[str, Any]:
    return {
        "profit_usd": _cents(equity - marks.deposited),
        "total_return": _share(equity - marks.deposited, marks.deposited),
        "today": _share(equity - marks.day, marks.day),
        "drawdown": _share(marks.peak - equity, marks.peak),
    }


def _paid(paid: Paid) -> dict[str, str]:
    return {"fees_usd": _dear(paid.fees), "funding_usd": _dear(paid.funding), "models_usd": _dear(paid.models)}


def _share(part: Decimal, whole: Decimal) -> str | None:
    return f"{part / whole:.4f}" if whole > 0 else None


def _position(held: Position, snapshot: Snapshot, plans: Plans) -> dict[str, Any]:
    opened, plan, _ = plans.get((held.symbol, held.direction), (None, None, None))
    stops = stops_of(held, snapshot.open_orders)
    targets = targets_of(held, snapshot.open_orders)
    return {
        "asset": held.symbol,
        "side": held.direction.value,
        "quantity": _plain(held.quantity),
        "entry_price": _plain(held.entry_price),
        "mark_price": _plain(held.mark_price),
        "notional_usd": _cents(held.notional),
        "unrealized_usd": _cents(held.unrealized),
        "leverage": held.leverage,
        "liquidation_price": None if held.liquidation_price is None else _plain(held.liquidation_price),
        "stop_loss": _plain(stops[0].stop_price) if stops else None,
        "take_profit": _plain(targets[0].stop_price) if targets else None,
        "opened_at": opened.isoformat(timespec="seconds") if opened else None,
        "exit_plan": _plan(plan) if plan else None,
    }


def _plan(plan: ExitPlan) -> dict[str, Any]:
    """Return the plan in the form of an answer, and what of it is not enforced."""
    price, indicator, expiry = plan.invalidation, plan.indicator, plan.expiry
    return {
        "text": plan.text,
        "invalidation": price
        and {"timeframe": price.timeframe, "condition": price.condition.value, "price": _plain(price.price)},
        "indicator": indicator
        and {
            "timeframe": indicator.timeframe.value,
            "name": indicator.name,
            "comparison": indicator.comparison.value,
            "value": None if indicator.value is None else _plain(indicator.value),
            "than": indicator.than,
        },
        "expiry": expiry
        and {
            "after_candles": expiry.candles,
            "timeframe": expiry.timeframe,
            "at": expiry.at.isoformat(timespec="minutes") if expiry.at else None,
        },
        "not_enforced": list(plan.unenforced),
    }


def _order(order: VenueOrder) -> dict[str, Any]:
    return {
        "asset": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "quantity": "whole position" if order.closes_position else _plain(order.quantity),
        "price": _plain(order.stop_price or order.price),
    }


def fill_line(fill: Fill) -> dict[str, Any]:
    """Return a trade as a model is shown it."""
    return {
        "time": fill.at.isoformat(timespec="seconds"),
        "asset": fill.symbol,
        "side": fill.side.value,
        "quantity": _plain(fill.quantity),
        "price": _plain(fill.price),
        "realized_usd": _cents(fill.realized_pnl),
        "fee_usd": _cents(fill.commission),
    }


def decision_line(tick: datetime, reviewed: ReviewedDecision) -> dict[str, Any]:
    """Return a past decision as a model is shown it."""
    return {
        "time": tick.isoformat(timespec="seconds"),
        "asset": reviewed.decision.asset,
        "action": reviewed.decision.action.value,
        "by": reviewed.decision.source.value,
        "verdict": reviewed.review.verdict.value,
        "reason": reviewed.review.reason,
    }


def _market(quote: Quote, views: Mapping[Timeframe, Indicators]) -> dict[str, Any]:
    return {
        "mark_price": _plain(quote.mark_price),
        "index_price": _plain(quote.index_price),
        "funding_rate": _plain(quote.funding_rate),
        "next_funding_at": quote.next_funding_at.isoformat(timespec="seconds"),
        "open_interest": None if quote.open_interest is None else _plain(quote.open_interest),
        "spread": None if quote.spread is None else f"{quote.spread:.6f}",
        "change_24h": None if quote.change_24h is None else f"{quote.change_24h:.4f}",
        "timeframes": {timeframe.value: _view(view) for timeframe, view in views.items()},
    }


def _view(view: Indicators) -> dict[str, Any]:
    series: dict[str, Sequence[float | None]] = {name: list(values) for name, values in view.series.items()}
    return {"candles": view.candles, "series": series, "latest": dict(view.latest)}


def _cents(amount: Decimal) -> str:
    """Round down: a balance shown larger than it is invites an order that it cannot carry."""
    return str(amount.quantize(Decimal("0.01"), ROUND_FLOOR))


def _dear(cost: Decimal) -> str:
    """Round up: a cost shown smaller than it is invites more of it."""
    return str(cost.quantize(Decimal("0.0001"), ROUND_CEILING))


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
