"""
Whether an account is in hedge mode, which every order has to be written for.

Whoever reads the positions sees it in their rows, so it is asked for on its own only by an order that nobody looked
before, or after an order was refused for it: it can be changed by hand at any time.
"""

import asyncio
from contextlib import suppress

from shared.domain.errors import NoChangeNeeded, PositionModeChanged, VenueError
from shared.exchange.account_wire import read_done, read_hedged, read_positions
from shared.exchange.client import AsterClient


class PositionMode:
    """What is known of one account's position mode."""

    def __init__(self, client: AsterClient) -> None:
        self._client = client
        self._hedged: bool | None = None
        self._asking = asyncio.Lock()

    async def set(self, hedged: bool) -> None:
        """Put the account into hedge mode, or into one-way mode. Raises Refused while it has orders or positions."""
        self._hedged = None  # until we know how that ends
        params = {"dualSidePosition": "true" if hedged else "false"}
        with suppress(NoChangeNeeded):
            await self._client.write("POST", "positionSide/dual", params, into=read_done)
        self._hedged = hedged

    def learn(self, hedged: bool) -> None:
        """Take what somebody saw."""
        self._hedged = hedged

    async def hedged(self, symbol: str | None = None, *, urgent: bool = False) -> bool:
        """Return whether it is hedge mode. Raises VenueError when it has to be asked for and no answer comes.

        With a *symbol*, its rows are asked first: they tell it at a sixth of the weight. An *urgent* question goes
        ahead of others, as the order goes that it is for.
        """
        async with self._asking:
            if self._hedged is None and symbol is not None:
                rows = await self._client.read(
                    "positionRisk", {"symbol": symbol}, weight=5, into=read_positions, urgent=urgent
                )
                self._hedged = rows.hedged
            if self._hedged is None:
                self._hedged = await self._client.read("positionSide/dual", weight=30, into=read_hedged, urgent=urgent)
            return self._hedged

    async def explain(self, refusal: PositionModeChanged, believed: bool) -> PositionModeChanged:
        """Return *refusal* of an order that was written for *believed*, saying how the account really stands.

        The mode is asked for again, once by many; while no answer comes, it is unknown.
        """
        if self._hedged is believed:
            self._hedged = None
        try:
            stands = f"the account is in {_name(await self.hedged())}"
        except VenueError as exc:
            stands = f"the account's mode is not known ({exc})"
        return PositionModeChanged(f"{refusal}: written for {_name(believed)}, {stands}", code=refusal.code)


def _name(hedged: bool) -> str:
    return "hedge mode" if hedged else "one-way mode"
