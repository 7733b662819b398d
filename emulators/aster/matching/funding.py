"""
Funding: every few hours longs pay shorts, or the other way round.

A position pays its quantity times the mark price times the rate, at the settlement times of its symbol; what one
opens at a settlement's millisecond counts at the next one.
"""

from __future__ import annotations

from ..holdings.positions import rounded
from ..prices.market import next_funding_time
from .floor import Floor


def next_settlement(floor: Floor, until: int) -> int | None:
    """Return the first time up to *until* at which somebody holds what funding is settled for."""
    held = {symbol for account in floor.ledger.accounts.values() for symbol, _ in account.open_positions()}
    times = [next_funding_time(floor.now, floor.market.funding_interval(symbol)) for symbol in held]
    return min((time for time in times if time <= until), default=None)


def settle_funding(floor: Floor) -> None:
    """Settle what is due at this millisecond."""
    for account in floor.ledger.accounts.values():
        for symbol, position in account.open_positions():
            if floor.now % floor.market.funding_interval(symbol) == 0:
                rate = floor.market.funding_rate(symbol, floor.now)
                payment = rounded(-position.quantity * floor.mark(symbol) * rate)
                floor.ledger.fund(account, symbol, position, payment, floor.now)
