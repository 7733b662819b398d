"""
From a trader's view to the answer a well-behaved model gives: one decision for each asset of the market.

Promises to stay within the limits printed in the prompt, counting the opens of the same answer, and to hold wherever
the prompt does not say enough.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from typing import Self

from emulators.openrouter.prompt import Chart, Limits, Prompt
from emulators.openrouter.traders import Entry, Trader
from emulators.openrouter.wire import Json

ROUND_TRIP_COST = Decimal("0.001")
LARGEST_SUM = Decimal(10) ** 20
"""Fees and slippage of opening and closing, as a fraction of the notional."""
STOP_IN_ATR = Decimal(2)
SMALLEST_STOP = Decimal("0.004")
"""Nearest stop worth its costs, as a fraction of the price."""
REWARD_TO_RISK = Decimal("1.6")
SLACK = Decimal("1.1")
"""The price moves between the prompt and the fill, so printed minimums are kept with a tenth to spare."""
INVALIDATED_AT = Decimal("0.85")
"""A candle close this share of the way to the stop ends the idea."""


@dataclass(slots=True, kw_only=True)
class Room:
    """What may still be opened in this answer: USD of equity, free margin and exposure, and positions held."""

    limits: Limits
    equity: Decimal
    available: Decimal
    exposure: Decimal
    positions: int

    @classmethod
    def of(cls, prompt: Prompt) -> Self | None:
        notionals = [holding.notional for holding in prompt.holdings.values()]
        known = [notional for notional in notionals if notional is not None]
        if prompt.limits is None or prompt.equity is None or prompt.available is None or len(known) < len(notionals):
            return None
        return cls(
            limits=prompt.limits,
            equity=prompt.equity,
            available=prompt.available,
            exposure=sum(map(abs, known), Decimal(0)),
            positions=len(notionals),
        )

    def take(self, stop_distance: Decimal) -> tuple[Decimal, int] | None:
        """
        Size a position whose stop lies *stop_distance* (a fraction of the price) away, and take its place.

        Returns the notional in USD and the leverage, or None when there is no room for the smallest order.
        """
        limits = self.limits
        if self.positions >= limits.max_positions or self.available <= 0:
            return None
        # The stop must trigger well before the liquidation price, which lies about 1 / leverage away.
        highest = max(1, int(min(limits.max_leverage, 1 / (2 * stop_distance))))
        allocation = min(
            self.equity * limits.risk_per_trade / (stop_distance + ROUND_TRIP_COST),
            limits.max_position_usd,
            limits.max_total_exposure_usd - self.exposure,
            self.available * highest * Decimal("0.9"),
        )
        # Beyond the largest sum that has cents, in whatever direction, nobody trades.
        if not 0 < allocation < LARGEST_SUM:
            return None
        allocation = allocation.quantize(Decimal("0.01"), ROUND_DOWN)
        if allocation < limits.min_notional_usd or not allocation:
            return None
        # Enough leverage to tie up a fifth of the free margin, no more.
        wanted = int((allocation / (self.available / 5)).to_integral_value(ROUND_CEILING))
        leverage = min(wanted, highest)
        self.available -= allocation / leverage
        self.exposure += allocation
        self.positions += 1
        return allocation, leverage


def decide(prompt: Prompt, trader: Trader) -> Json:
    """Answer *prompt* as *trader*: `{"reasoning", "decisions"}`, the decisions in the order of the market."""
    room = Room.of(prompt)
    decisions = [_decision(chart, prompt, trader, room) for chart in prompt.charts]
    summary = ", ".join(f"{decision['action']} {decision['asset']}" for decision in decisions)
    return {"reasoning": f"Looked at {len(decisions)} assets: {summary or 'no market data'}.", "decisions": decisions}


def opening(prompt: Prompt, action: str, reason: str) -> Json:
    """
    Answer *prompt* with one opening, whatever the market looks like, and hold everything else.

    It is of the first asset that is not held and leaves room for it, and comes first; without such an asset all hold.
    """
    room = Room.of(prompt)
    confidence = max(Decimal("0.7"), room.limits.min_confidence) if room else Decimal("0.7")
    entry = Entry(action=action, confidence=confidence, reason=reason)
    made: list[Json] = []
    for chart in prompt.charts:
        if chart.asset not in prompt.holdings and chart.timeframes and room is not None:
            decision = _opening(chart, entry, room)
            if decision["action"] == action:
                made.insert(0, decision)
                room = None
                continue
        made.append(idle(chart.asset, "hold", "One trade at a time."))
    return {"reasoning": reason, "decisions": made}


def idle(asset: str, action: str, rationale: str) -> Json:
    """A decision to hold or close, which carries no order."""
    return {
        "rationale": rationale,
        "asset": asset,
        "action": action,
        "allocation_usd": 0,
        "leverage": 1,
        "stop_loss": None,
        "take_profit": None,
        "confidence": Decimal("0.6"),
        "exit_plan": {"text": "", "invalidation": None},
    }


def _decision(chart: Chart, prompt: Prompt, trader: Trader, room: Room | None) -> Json:
    if not chart.timeframes:
        return idle(chart.asset, "hold", "No candles to judge by.")
    holding = prompt.holdings.get(chart.asset)
    if holding is not None:
        reason = trader.leave(chart, holding) if holding.side is not None else None
        if reason is None:
            return idle(chart.asset, "hold", "The plan of the open position still stands.")
        return idle(chart.asset, "close", reason)
    entry = trader.enter(chart)
    if entry is None:
        return idle(chart.asset, "hold", "No entry by the rules.")
    if room is None:
        return idle(chart.asset, "hold", "The prompt does not state the account and all its limits.")
    return _opening(chart, entry, room)


def _opening(chart: Chart, entry: Entry, room: Room) -> Json:
    mark, limits, fast = chart.mark_price, room.limits, chart.timeframes[0]
    atr = fast.values("atr_14")
    if mark is None or mark <= 0 or atr is None:
        return idle(chart.asset, "hold", "No mark price or no ATR to place a stop by.")
    if entry.confidence < limits.min_confidence:
        return idle(chart.asset, "hold", f"Not confident enough: {entry.confidence}.")
    stop_distance = max(STOP_IN_ATR * atr[0] / mark, SMALLEST_STOP, limits.min_stop_distance * SLACK)
    if stop_distance > limits.max_stop_distance / SLACK:
        return idle(chart.asset, "hold", "Too volatile for the widest stop allowed.")
    size = room.take(stop_distance)
    if size is None:
        return idle(chart.asset, "hold", "An entry by the rules, but no room left under the limits.")
    allocation, leverage = size

    # Net of costs: (reward - cost) / (risk + cost) = ratio.
    ratio = max(REWARD_TO_RISK, limits.min_reward_to_risk * SLACK)
    reward_distance = ratio * (stop_distance + ROUND_TRIP_COST) + ROUND_TRIP_COST
    sign = 1 if entry.action == "buy" else -1
    return {
        "rationale": entry.reason,
        "asset": chart.asset,
        "action": entry.action,
        "allocation_usd": allocation,
        "leverage": leverage,
        "stop_loss": _price(mark * (1 - sign * stop_distance)),
        "take_profit": _price(mark * (1 + sign * reward_distance)),
        "confidence": entry.confidence,
        "exit_plan": {
            "text": f"Leave at the stop, at the target, or when a {fast.name} candle closes beyond the invalidation.",
            "invalidation": {
                "timeframe": fast.name,
                "condition": "close_below" if entry.action == "buy" else "close_above",
                "price": _price(mark * (1 - sign * stop_distance * INVALIDATED_AT)),
            },
        },
    }


def _price(value: Decimal) -> Decimal:
    """Six significant digits, as a model would write a price."""
    return value.quantize(Decimal(1).scaleb(value.adjusted() - 5))
