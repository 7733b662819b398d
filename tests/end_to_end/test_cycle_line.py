"""A cycle reads as one line: what was wanted, what was allowed, what was sent, what it is all worth."""

import json

from scripts.cycle_line import readable

AN_OUTCOME = {
    "account": "main",
    "tick": "2025-01-01T00:05:00+00:00",
    "decide": {
        "no_answer": None,
        "unread": [{"code": "unknown_symbol", "reason": "MOON"}],
        "decisions": [
            {"asset": "BTCUSDT", "action": "buy", "verdict": "clipped", "code": None},
            {"asset": "ETHUSDT", "action": "sell", "verdict": "refused", "code": "cooldown"},
            {"asset": "SOLUSDT", "action": "hold", "verdict": "held", "code": None},
        ],
    },
    "execute": {
        "orders": [
            {"leg": "entry", "symbol": "BTCUSDT", "state": "FILLED", "quantity": "0.046", "price": "106378.80000"},
            {"leg": "stop", "symbol": "BTCUSDT", "state": "NEW", "quantity": "0", "price": "105971"},
        ]
    },
    "reconcile": {
        "equity": "10009.4399",
        "positions": ["LONG 0.046 BTCUSDT"],
        "discrepancies": [{"kind": "missing_stop", "symbol": "ETHUSDT"}],
    },
}


def test_a_cycle_is_one_line() -> None:
    line = readable(json.dumps({"message": "cycle", "level": "INFO", "outcome": AN_OUTCOME}))

    assert line == (
        "2025-01-01 00:05 │ main     │ buy BTCUSDT ✓ smaller, sell ETHUSDT ✗ cooldown, hold 1, 1 unreadable │ "
        "entry BTCUSDT filled 0.046 @ 106378.8, stop BTCUSDT new @ 105971 │ LONG 0.046 BTCUSDT │ equity 10,009.44 │ "
        "mended missing_stop ETHUSDT"
    )


def test_a_stage_that_failed_is_said_in_the_line() -> None:
    outcome = {**AN_OUTCOME, "decide": {"error": "VenueUnreachable", "message": "no answer"}, "execute": {}}

    line = readable(json.dumps({"message": "cycle", "level": "INFO", "outcome": outcome})) or ""

    assert line.endswith("decide failed: no answer")


def test_trouble_is_shown_and_routine_is_not() -> None:
    trouble = {"message": "order unresolved", "level": "WARNING", "account": "main", "why": "no answer"}

    assert readable(json.dumps(trouble)) == "  ! main: order unresolved: no answer"
    assert readable(json.dumps({"message": "request", "level": "INFO"})) is None
    assert readable("perpetua: a line that is no JSON is shown as it is") is not None
