"""What must hold of whatever is read from an answer: nothing in it was made up, and all of it can be kept and shown."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from shared.domain.decision import Action, Answer, Decision, ExitPlan

ESCAPE = re.compile(r"\\u00([0-7][0-9a-fA-F])")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)


def assert_sound(found: Answer, content: str, symbols: Sequence[str]) -> None:
    """Fail unless *found* is what *content* may say about *symbols*."""
    assets = [decision.asset for decision in found.decisions]
    assert set(assets) <= set(symbols)
    assert len(assets) == len(set(assets))
    said = numbers_in(content)
    for decision in found.decisions:
        assert 0 <= decision.confidence <= 1
        assert 1 <= decision.leverage <= 125
        assert decision.allocation_usd > 0 if decision.opens else decision.allocation_usd >= 0
        assert all(price is None or price > 0 for price in (decision.stop_loss, decision.take_profit))
        invented = [number for number in _numbers(decision) if number not in said]
        assert not invented, f"{invented} occur nowhere in the answer"
        for text in _texts(decision):
            text.encode()
            assert "\0" not in text
    for item in found.unread:
        assert item.code
        assert item.reason
        (item.raw + item.reason).encode()
    found.reasoning.encode()


def numbers_in(content: str) -> set[Decimal]:
    """Return every number that *content* holds, and each one's hundredth: what a percentage means."""
    text = content
    for _ in range(2):  # JSON may hold JSON
        text = ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text.replace("\\\\u", "\\u"))
    found = [*NUMBER.findall(text), *(number.replace(",", "") for number in GROUPED.findall(text))]
    numbers = {Decimal(number) for number in found}
    return numbers | {number.scaleb(-2) for number in numbers if abs(number.adjusted()) < 50}


def _numbers(decision: Decision) -> Iterator[Decimal]:
    """Yield what was read; not what stands where nothing was said."""
    if decision.action in {Action.HOLD, Action.CLOSE}:
        yield from (number for number in (decision.allocation_usd, decision.confidence) if number)
    else:
        yield decision.allocation_usd
        yield decision.confidence
        yield Decimal(decision.leverage)
    yield from (price for price in (decision.stop_loss, decision.take_profit) if price is not None)
    yield from _plan_numbers(decision.exit_plan)


def _plan_numbers(plan: ExitPlan) -> Iterator[Decimal]:
    if plan.invalidation:
        yield plan.invalidation.price
    if plan.indicator and plan.indicator.value is not None:
        yield abs(plan.indicator.value)
    if plan.expiry and plan.expiry.candles is not None:
        yield Decimal(plan.expiry.candles)


def _texts(decision: Decision) -> Iterator[str]:
    yield decision.rationale
    yield decision.exit_plan.text
    yield from decision.exit_plan.unenforced
    if decision.exit_plan.indicator:
        yield decision.exit_plan.indicator.name
