"""
The temperaments of the emulated traders: when each would enter, and when it would leave.

A trader sees one chart at a time and keeps no memory: the same chart gives the same view. How much to trade, and
where the stop and the target go, is not decided here but in `decisions`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from emulators.openrouter.prompt import Chart, Holding, Timeframe


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A wish to open: *action* is buy or sell, *confidence* lies between 0 and 1."""

    action: str
    confidence: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """`enter` is asked when flat, `leave` when holding; each answers None to do nothing."""

    enter: Callable[[Chart], Entry | None]
    leave: Callable[[Chart, Holding], str | None]


def _pullback_entry(chart: Chart) -> Entry | None:
    """Join a trend when momentum turns back into it after a pullback."""
    fast = chart.timeframes[0]
    values = fast.values("ema_20", "ema_50", "adx_14")
    strength = fast.tail("rsi_14", 6)
    momentum = fast.tail("macd_hist", 2)
    if values is None or strength is None or momentum is None:
        return None
    ema_20, ema_50, adx = values
    if adx < 15:
        return None
    *before, now = strength
    if ema_20 > ema_50 and min(before) < 45 and now > max(before[-2:]) and momentum[1] > momentum[0]:
        action, reason = "buy", f"Uptrend: EMA20 over EMA50, RSI back up to {now:.0f} from {min(before):.0f}."
    elif ema_20 < ema_50 and max(before) > 55 and now < min(before[-2:]) and momentum[1] < momentum[0]:
        action, reason = "sell", f"Downtrend: EMA20 under EMA50, RSI back down to {now:.0f} from {max(before):.0f}."
    else:
        return None
    return Entry(action=action, confidence=_confidence(adx, action, chart), reason=reason)


def _confidence(adx: Decimal, action: str, chart: Chart) -> Decimal:
    """Between 0.55 and 0.8 with the strength of the trend, a tenth less against a slower trend that is known."""
    confidence = Decimal("0.55") + min(adx, Decimal(50)) / 200
    slow = chart.timeframes[-1].values("close", "ema_20") if len(chart.timeframes) > 1 else None
    if slow is not None and (slow[0] > slow[1]) != (action == "buy"):
        confidence -= Decimal("0.1")
    return confidence.quantize(Decimal("0.01"))


def _trend_entry(chart: Chart) -> Entry | None:
    """Follow a strong trend wherever it is."""
    values = chart.timeframes[0].values("close", "ema_20", "ema_50", "adx_14", "macd_hist")
    if values is None:
        return None
    close, ema_20, ema_50, adx, momentum = values
    if adx < 25:
        return None
    if close > ema_20 > ema_50 and momentum > 0:
        return Entry(action="buy", confidence=Decimal("0.7"), reason="Strong uptrend above a rising EMA20.")
    if close < ema_20 < ema_50 and momentum < 0:
        return Entry(action="sell", confidence=Decimal("0.7"), reason="Strong downtrend below a falling EMA20.")
    return None


def _contrarian_entry(chart: Chart) -> Entry | None:
    """Fade a close outside the Bollinger bands."""
    values = chart.timeframes[0].values("close", "bb_lower", "bb_upper", "rsi_14")
    if values is None:
        return None
    close, lower, upper, rsi = values
    if close < lower and rsi < 35:
        return Entry(action="buy", confidence=Decimal("0.6"), reason="Oversold below the lower Bollinger band.")
    if close > upper and rsi > 65:
        return Entry(action="sell", confidence=Decimal("0.6"), reason="Overbought above the upper Bollinger band.")
    return None


def _restless_entry(chart: Chart) -> Entry | None:
    """Chase the last candle, whatever it was."""
    closes = chart.timeframes[0].tail("close", 2)
    if closes is None:
        return None
    action = "buy" if closes[1] >= closes[0] else "sell"
    return Entry(action=action, confidence=Decimal("0.9"), reason="The last candle moved, so it will move again.")


def _disciplined_exit(chart: Chart, holding: Holding) -> str | None:
    return _invalidated(chart, holding) or _trend_turned(chart.timeframes[0], holding)


def _contrarian_exit(chart: Chart, holding: Holding) -> str | None:
    values = chart.timeframes[0].values("close", "bb_middle")
    if values is not None and (values[0] >= values[1] if holding.side == "LONG" else values[0] <= values[1]):
        return "Price is back at the middle band."
    return _invalidated(chart, holding)


def _restless_exit(chart: Chart, holding: Holding) -> str | None:
    entry = _restless_entry(chart)
    against = "sell" if holding.side == "LONG" else "buy"
    return "The last candle went the other way." if entry is not None and entry.action == against else None


def _invalidated(chart: Chart, holding: Holding) -> str | None:
    plan = holding.invalidation
    if plan is None:
        return None
    closes = next((item.values("close") for item in chart.timeframes if item.name == plan.timeframe), None)
    if closes is None:
        return None
    [close] = closes
    breached = close < plan.price if plan.condition == "close_below" else close > plan.price
    return f"Invalidated: {plan.timeframe} {plan.condition.replace('_', ' ')} {plan.price}." if breached else None


def _trend_turned(fast: Timeframe, holding: Holding) -> str | None:
    values = fast.values("ema_20", "ema_50")
    if values is None:
        return None
    ema_20, ema_50 = values
    turned = ema_20 < ema_50 if holding.side == "LONG" else ema_20 > ema_50
    return "The trend has turned: EMA20 crossed EMA50." if turned else None


RULE_FOLLOWER = Trader(enter=_pullback_entry, leave=_disciplined_exit)
TREND_FOLLOWER = Trader(enter=_trend_entry, leave=_disciplined_exit)
CONTRARIAN = Trader(enter=_contrarian_entry, leave=_contrarian_exit)
OVER_TRADER = Trader(enter=_restless_entry, leave=_restless_exit)
COWARD = Trader(enter=lambda _chart: None, leave=lambda _chart, _holding: None)
