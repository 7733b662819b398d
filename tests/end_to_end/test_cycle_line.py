"""A cycle reads as one line: what was wanted, what was allowed, what was sent, what it is all worth."""

import json
from typing import Any

from scripts.cycle_line import readable

AN_OUTCOME: dict[str, Any] = {
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


def test_what_was_mended_between_two_ticks_is_a_line_and_a_look_that_found_nothing_is_none() -> None:
    outcome = AN_OUTCOME["reconcile"] | {"account": "main", "tick": "2025-01-01T00:03:17.250000+00:00", "fills": 0}
    record = {"message": "reconciled between ticks", "level": "INFO", "why": "order pp-stop-1 in ETHUSDT is CANCELED"}

    assert readable(json.dumps(record | {"outcome": outcome})) == (
        "2025-01-01 00:03:17 │ main     │ order pp-stop-1 in ETHUSDT is CANCELED │ LONG 0.046 BTCUSDT │ "
        "equity 10,009.44 │ mended missing_stop ETHUSDT"
    )
    assert readable(json.dumps(record | {"outcome": outcome | {"discrepancies": []}})) is None
