"""
The other names by which models call symbols, actions and fields.

Whole names only, never parts of them: "buy or hold" is no action, and a name that fits two symbols fits none.
"""

import re
from collections.abc import Sequence

from shared.domain.decision import Action

QUOTE_ASSETS = ("USDT", "USDC", "USD")
SEPARATORS = re.compile(r"[\s/_:.-]+")

EVERYTHING = "all"
"""Named instead of a symbol by models that want to sit the cycle out."""

ACTIONS = {
    **dict.fromkeys(("buy", "long", "openlong", "golong", "enterlong", "buytoenter"), Action.BUY),
    **dict.fromkeys(("sell", "short", "openshort", "goshort", "entershort", "selltoenter"), Action.SELL),
    **dict.fromkeys(("hold", "wait", "stay", "keep", "noaction", "donothing", "none"), Action.HOLD),
    **dict.fromkeys(
        ("close", "closeposition", "closelong", "closeshort", "exit", "exitposition", "flat", "flatten"), Action.CLOSE
    ),
}

FIELDS = {
    **dict.fromkeys(("asset", "symbol", "coin", "ticker"), "asset"),
    **dict.fromkeys(("action", "signal", "operation"), "action"),
    **dict.fromkeys(("side", "direction"), "side"),
    "allocationusd": "allocation_usd",
    "leverage": "leverage",
    "stoploss": "stop_loss",
    "takeprofit": "take_profit",
    "confidence": "confidence",
    "exitplan": "exit_plan",
    "rationale": "rationale",
}

ROOTS = frozenset({"decisions", "tradedecisions", "tradingdecisions", "trades", "signals"})


def spelled(name: str) -> str:
    """Return *name* without its case and separators."""
    return SEPARATORS.sub("", name).lower()


def symbol_names(symbols: Sequence[str]) -> dict[str, str]:
    """Return each symbol by every spelled name that can mean nothing else: for BTCUSDT btc, btcusd, btcperp, ..."""
    names: dict[str, set[str]] = {}
    for symbol in symbols:
        for name in _aliases(spelled(symbol)):
            names.setdefault(name, set()).add(symbol)
    exact = {spelled(symbol): symbol for symbol in symbols}
    return {name: meant.pop() for name, meant in names.items() if len(meant) == 1} | exact


def _aliases(symbol: str) -> list[str]:
    quote = next((quote.lower() for quote in QUOTE_ASSETS if symbol.endswith(quote.lower())), "")
    base = symbol.removesuffix(quote)
    if not quote or not base:
        return [symbol, f"{symbol}perp"]
    # The last is how one trading library writes a contract: BTC/USDT:USDT.
    return [symbol, f"{symbol}perp", f"{symbol}swap", base, f"{base}usd", f"{base}perp", f"{symbol}{quote}"]
