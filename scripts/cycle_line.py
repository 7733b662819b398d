"""
A cycle as one readable line: when, who, what was decided and allowed, what was sent, and what it is all worth.

A reconciliation between two ticks is a line where it found something: when, who, what was heard, what was mended.
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

SIGN = {"approved": "✓", "clipped": "✓ smaller", "refused": "✗", "held": ""}
TROUBLE = {"WARNING", "ERROR", "CRITICAL"}


def readable(line: str) -> str | None:
    """Return what a person should see of one log line: cycles, what was mended between them, and trouble."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if record.get("message") == "cycle" and "outcome" in record:
        return cycle_line(record["outcome"])
    if record.get("message") == "reconciled between ticks":
        return look_line(record["outcome"], record["why"])
    if record.get("level") in TROUBLE:
        why = record.get("why") or record.get("exception", "").strip().splitlines()[-1:] or ""
        who = f"{record['account']}: " if "account" in record else ""
        return f"  ! {who}{record['message']}" + (f": {why}" if why else "")
    return None


def cycle_line(outcome: dict[str, Any]) -> str:
    """Return the line of one cycle's outcome."""
    tick = datetime.fromisoformat(outcome["tick"])
    parts = [f"{tick:%Y-%m-%d %H:%M}", f"{outcome['account']:<8}"]
    parts.append(_decided(outcome.get("decide", {})))
    parts.append(_executed(outcome.get("execute", {})))
    parts.append(_reconciled(outcome.get("reconcile", {})))
    failed = [f"{name} failed: {part['message']}" for name, part in outcome.items() if _is_error(part)]
    return " │ ".join([part for part in parts if part] + failed)


def look_line(outcome: dict[str, Any], why: str) -> str | None:
    """Return the line of a reconciliation between two ticks, or None where nothing was found."""
    if not outcome["fills"] and not outcome["discrepancies"]:
        return None
    moment = datetime.fromisoformat(outcome["tick"])
    return " │ ".join([f"{moment:%Y-%m-%d %H:%M:%S}", f"{outcome['account']:<8}", why, _reconciled(outcome)])


def _is_error(part: Any) -> bool:
    return isinstance(part, dict) and "error" in part


def _decided(part: dict[str, Any]) -> str:
    if "decisions" not in part:
        return str(part.get("refused", ""))
    if part["no_answer"]:
        return f"no answer, holding ({part['no_answer']})"
    wishes = []
    for each in part["decisions"]:
        if each["verdict"] != "held":
            why = f" {each['code']}" if each["code"] else ""
            wishes.append(f"{each['action']} {each['asset']} {SIGN[each['verdict']]}{why}")
    held = sum(each["verdict"] == "held" for each in part["decisions"])
    unread = [f"{len(part['unread'])} unreadable"] if part["unread"] else []
    return ", ".join([*wishes, *([f"hold {held}"] if held else []), *unread]) or "nothing decided"


def _executed(part: dict[str, Any]) -> str:
    return ", ".join(_order(order) for order in part.get("orders", []))


def _order(order: dict[str, Any]) -> str:
    size = f" {order['quantity']}" if order["leg"] in {"entry", "exit"} else ""
    price = f" @ {Decimal(order['price']).normalize():f}" if order["price"] else ""
    return f"{order['leg']} {order['symbol']} {order['state'].lower()}{size}{price}"


def _reconciled(part: dict[str, Any]) -> str:
    if "equity" not in part:
        return ""
    held = ", ".join(part["positions"]) or "flat"
    found = [f"{each['kind']} {each['symbol'] or ''}".strip() for each in part["discrepancies"]]
    return " │ ".join(
        [held, f"equity {float(part['equity']):,.2f}", *([f"mended {', '.join(found)}"] if found else [])]
    )
