"""
One request at the venue's door, and the table of what can be asked.

An endpoint names its method, its path without the version, the versions it is served under, what it weighs, and
whether it must be signed. The same handler serves every version.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..errors import Refusal
from ..holdings.accounts import Account
from ..holdings.register import Register
from ..parameters import Parameters, text
from ..prices.symbols import Instrument
from ..venue import Venue
from .limits import Limits

BOTH = ("v1", "v3")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been read."""

    venue: Venue
    parameters: Parameters
    signed_by: Account | None
    limits: Limits
    speed: float
    """How many times faster than life the market runs."""
    register: Register
    skew: int
    """How many milliseconds the venue's clock is ahead of its market."""

    @property
    def account(self) -> Account:
        """The account a signed request acts for."""
        if self.signed_by is None:
            raise Refusal(-2014)
        return self.signed_by

    @property
    def now(self) -> int:
        return self.venue.now

    def instrument(self) -> Instrument:
        """Return the symbol that must be named; refuse one that is not listed yet."""
        found = self.venue.instrument(text(self.parameters, "symbol"))
        self.venue.engine.bid(found.symbol)
        return found

    def instruments(self) -> list[Instrument]:
        """Return the symbol named, or all that are listed."""
        if self.parameters.get("symbol"):
            return [self.instrument()]
        market = self.venue.market
        return [each for each in market.instruments.values() if market.price(each.symbol, self.now) is not None]


Answer = bytes | dict[str, Any] | list[Any]
Handler = Callable[[Call], Awaitable[Answer]]
Weigh = Callable[[Parameters], int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something that can be asked."""

    method: str
    name: str
    handler: Handler
    versions: tuple[str, ...] = BOTH
    weight: int | Weigh = 1
    signed: bool = False
    by_key: bool = False
    """Takes the API key alone for a signature, in the first generation."""
    is_order: bool = False
    """Counts against the account's limit of orders, a batch once for each of its orders."""
    message: str = ""
    """The type of the message that manages agents and builders, for endpoints that do; the owner signs it."""
    opens_account: bool = False
    """Serves a wallet that has no account yet, and is signed by it."""

    @property
    def signed_by_owner(self) -> bool:
        """Whether no agent may sign it."""
        return bool(self.message) or self.opens_account

    def weigh(self, parameters: Parameters) -> int:
        return self.weight if isinstance(self.weight, int) else self.weight(parameters)

    def orders_in(self, parameters: Parameters) -> int:
        """Return how many orders a request counts for."""
        if self.name != "batchOrders":
            return int(self.is_order)
        try:
            # Some clients write their lists with single quotes.
            batch = json.loads(parameters.get("batchOrders", "").replace("'", '"'))
        except ValueError:
            return 1
        return max(1, len(batch)) if isinstance(batch, list) else 1


def with_symbol(one: int, every: int) -> Weigh:
    """Weigh one symbol less than all of them."""
    return lambda parameters: one if parameters.get("symbol") else every
