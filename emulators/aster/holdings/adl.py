"""
Where positions stand in the queue for deleveraging, 0 to 4.

On the exchange the place is a rank among everybody; here it is what leads to that rank, a position's profit for each
USDT of its initial margin: 1 up to nothing, 2 up to a quarter, 3 up to one half, 4 beyond, 0 without a position.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import Any

from ..prices.symbols import Instrument
from .accounts import Account
from .margin import PositionMargin, position_margins

STEPS = (Decimal(0), Decimal("0.25"), Decimal("0.5"))


def quantile(margin: PositionMargin) -> int:
    """Return the place of one position."""
    if not margin.position.quantity:
        return 0
    return 1 + bisect_left(STEPS, margin.unrealized / margin.position_initial)


def adl_row(account: Account, instrument: Instrument, mark: Decimal) -> dict[str, Any]:
    """Return the places of a symbol; cross positions in hedge mode share theirs and have HEDGE instead of BOTH."""
    places = {each.position.side: quantile(each) for each in position_margins(account, instrument, mark)}
    if not account.hedge_mode:
        answer = {"LONG": 0, "SHORT": 0, "BOTH": places["BOTH"]}
    elif instrument.symbol in account.isolated:
        answer = {**places, "BOTH": 0}
    else:
        answer = dict.fromkeys(("LONG", "SHORT"), max(places.values())) | {"HEDGE": 0}
    return {"symbol": instrument.symbol, "adlQuantile": answer}
