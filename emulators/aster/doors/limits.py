"""
Rate limits: request weight per address and minute, orders per account and minute, and what happens to who goes on.

Minutes are minutes of the venue's own time: an accelerated market accelerates its limits. Whoever goes beyond a limit
is refused with 429; whoever is refused more than `ban_after` times in a minute is banned, with 418: two minutes the
first time, then twice as long each time, three days at most. A ban is forgotten three days after it ended.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from ..errors import Refusal
from ..holdings.register import Ban, Register
from ..prices.intervals import DAY, MINUTE
from .settings import Settings

FIRST_BAN, LONGEST_BAN = 2 * MINUTE, 3 * DAY


class Meter:
    """Counts something by name within the current minute."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._minute = 0
        self._used: dict[str, int] = defaultdict(int)

    def use(self, name: str, amount: int, now: int) -> bool:
        """Count an amount and tell whether it was within the limit; it is counted either way."""
        used = self.used(name, now) + amount
        self._used[name] = used
        return used <= self.limit

    def used(self, name: str, now: int) -> int:
        """Return what has been counted this minute."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._used.clear()
        return self._used[name]


class Limits:
    """The limits of a venue, and its bans."""

    def __init__(self, settings: Settings, register: Register) -> None:
        self.weights = Meter(settings.weight_limit)
        """Request weight by address."""
        self.orders = Meter(settings.order_limit)
        """New orders by account."""
        self._requests = None if settings.firewall_limit is None else Meter(settings.firewall_limit)
        self._refused = None if settings.ban_after is None else Meter(settings.ban_after)
        self._register = register
        self._as_date = settings.ban_end_as_date

    def pass_firewall(self, address: str, now: int) -> bool:
        return self._requests is None or self._requests.use(address, 1, now)

    def banned_until(self, address: str, now: int) -> int | None:
        """Return when the ban of an address ends, or nothing when it has none."""
        ban = self._register.ban_of(address)
        return ban.until if ban is not None and now < ban.until else None

    def refuse_banned(self, address: str, now: int) -> None:
        until = self.banned_until(address, now)
        if until is not None:
            raise self.ban_refusal(until)

    def use_weight(self, address: str, weight: int, now: int) -> None:
        """Count the weight of a request, or refuse it."""
        if not self.weights.use(address, weight, now):
            self._strike(address, now)
            raise Refusal(-1003, self.weights.limit)

    def use_orders(self, account: str, count: int, address: str, now: int) -> None:
        """Count new orders, or refuse them."""
        if not self.orders.use(account, count, now):
            self._strike(address, now)
            raise Refusal(-1015, self.orders.limit)

    def ban_refusal(self, until: int) -> Refusal:
        """Return how the exchange tells an address that it is banned."""
        end = datetime.fromtimestamp(until / 1000, UTC).isoformat(timespec="seconds") if self._as_date else until
        return Refusal(-1003, text=f"Way too many requests; IP banned until {end}.", status=418)

    def _strike(self, address: str, now: int) -> None:
        """Remember that an address was refused, and ban it when it has been refused too often."""
        if self._refused is None or self._refused.use(address, 1, now):
            return
        before = self._register.ban_of(address)
        level = before.level + 1 if before is not None and now - before.until < LONGEST_BAN else 0
        until = now + min(FIRST_BAN * 2 ** min(level, 20), LONGEST_BAN)
        self._register.ban(address, Ban(until, level))
        raise self.ban_refusal(until)


def kline_weight(limit: int) -> int:
    """Return the weight of asking for so many candles."""
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def depth_weight(limit: int) -> int:
    """Return the weight of asking for so many price levels."""
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
