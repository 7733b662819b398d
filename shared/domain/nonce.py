"""
Nonces: numbers that the exchange takes once from each signer, near its own time in microseconds.

Every process gives them out in a lane of its own: those that leave the lane's number when divided by LANES. So no two
processes ever give out the same one, and all of them are the time, but for a millisecond. docs/decisions/0006 argues
that this is enough.
"""

from datetime import datetime, timedelta

from shared.domain.market import EPOCH

LANES = 1000
LANE_SECONDS = 3600.0
"""A lane is held so long after it was last asked for."""
REST_SECONDS = 180.0
"""Then it rests: longer than twice the minute by which the exchange lets a nonce be wrong."""

MICROSECOND = timedelta(microseconds=1)


def first_nonce(lane: int, *, at_least: int) -> int:
    """Return the first nonce of *lane* that is *at_least* that."""
    return at_least + (lane - at_least) % LANES


def microseconds(moment: datetime) -> int:
    """Return *moment* as nonces write it."""
    return (moment - EPOCH) // MICROSECOND
