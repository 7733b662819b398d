"""
One account at the exchange: the `Exchange` port over HTTP, for either generation of credentials.

What the stages ask for is here. What else a trader may ask of an account is under `orders`, `histories`, `margin`,
`mode` and `listen_keys`.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

import httpx

from shared.domain.errors import NotAuthorised, Refused, VenueUnreachable
from shared.domain.order import Fill, Income, Intent, VenueOrder
from shared.domain.ports import Clock
from shared.domain.position import WALLET_ASSET, Holdings
from shared.domain.tally import Tally
from shared.exchange.account_wire import read_account, read_alias, read_positions
from shared.exchange.auth import Credentials, Signer, signer_for
from shared.exchange.client import AsterClient
from shared.exchange.histories import Histories
from shared.exchange.listen_keys import ListenKeys
from shared.exchange.margin import Margin
from shared.exchange.modes import PositionMode
from shared.exchange.new_order import NewOrder
from shared.exchange.orders import Orders

_GLANCES = 3
_EVERYWHERE_WEIGHS = 40  # as much as so many symbols one by one
_EVERYWHERE_EACH = timedelta(hours=1)
_NO_SUCH_SYMBOL = -1121


def open_exchange(
    base_url: str,
    credentials: Credentials,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
    *,
    instruments_changed: Callable[[], None] = lambda: None,
    tally: Tally | None = None,
) -> "AsterExchange":
    """Return the account of *credentials* at *base_url*; close it when done.

    A *transport* handed in is shared and stays open. *instruments_changed* is called when an order shows that a
    contract is not what we know of it. Requests are counted in *tally*. Raises NotAuthorised when the
    credentials are malformed.
    """
    signer = signer_for(credentials)
    client = AsterClient(base_url, clock=clock, signer=signer, transport=transport, tally=tally)
    return AsterExchange(client, signer, clock, instruments_changed)


class AsterExchange:
    """An account. Every call raises VenueError; a write may leave its outcome unknown."""

    def __init__(
        self,
        client: AsterClient,
        signer: Signer,
        clock: Clock,
        instruments_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._signer = signer
        self._clock = clock
        self.mode = PositionMode(client)
        self.orders = Orders(client, signer, self.mode, instruments_changed)
        self.histories = Histories(client, clock)
        self.margin = Margin(client)
        self.listen_keys = ListenKeys(client)
        self._looked_everywhere: datetime | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def verify_identity(self) -> None:
        """Make one signed call. Raises NotAuthorised with what to check when the exchange does not let us trade."""
        try:
            account = await self._client.read("accountWithJoinMargin", weight=5, into=read_account)
        except Refused as exc:
            raise NotAuthorised(
                f"the exchange does not accept {self._signer.name}: check that the key is this account's, approved for"
                f" trading and not expired, and that base URL and chain are of one network ({exc})",
                code=exc.code,
            ) from exc
        if not account.may_trade:
            raise NotAuthorised(f"the exchange knows {self._signer.name}, but its account may not trade")

    @property
    def key(self) -> str:
        """What tells the key that signs from any other; holds no secret."""
        return self._signer.fingerprint

    async def alias(self) -> str:
        """Return what the exchange calls the account, the same whatever key opens it; empty where it does not tell."""
        return await self._client.read("balance", weight=5, into=read_alias, urgent=True)

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        """Return the balance and the open positions, of one moment between two trades.

        Prices move between the two answers, so what is not realized yet is what the positions that are told say.
        """
        for _ in range(_GLANCES):
            at = self._clock.now()
            account, risk = await asyncio.gather(
                self._client.read("accountWithJoinMargin", weight=5, into=read_account, urgent=urgent),
                self._client.read("positionRisk", weight=5, into=read_positions, urgent=urgent),
            )
            if account.sizes == risk.sizes:
                if account.hedged is not None:
                    self.mode.learn(account.hedged)
                hedged = await self.mode.hedged(urgent=urgent)
                settled = (held.unrealized for held in risk.positions if held.symbol.endswith(WALLET_ASSET))
                return Holdings(
                    balance=replace(account.balance, unrealized=sum(settled, Decimal(0))),
                    positions=risk.positions,
                    at=at,
                    hedged=hedged,
                    isolated=account.isolated,
                )
        raise VenueUnreachable("the positions kept changing while they were read")

    async def open_orders(
        self, symbols: Collection[str], *, elsewhere: bool = False, urgent: bool = False
    ) -> Sequence[VenueOrder]:
        """
        Return every resting order in *symbols*, whoever placed it; a symbol that is not listed has none.

        *elsewhere* also those of all other symbols, at first and once an hour: a look at them weighs as much as forty
        symbols. Where that is no more, they are all returned anyway.
        """
        now, last = self._clock.now(), self._looked_everywhere
        recently = last is not None and last <= now < last + _EVERYWHERE_EACH
        if (elsewhere and not recently) or len(symbols) >= _EVERYWHERE_WEIGHS:
            found = await self.orders.resting(urgent=urgent)
            self._looked_everywhere = now if elsewhere else last
            return found
        pages = await asyncio.gather(*(self._open_orders_in(symbol, urgent=urgent) for symbol in sorted(symbols)))
        return [order for page in pages for order in page]

    async def all_orders(self) -> Sequence[VenueOrder]:
        """Return every resting order of the account, whoever placed it and wherever: it weighs like forty symbols."""
        return await self.orders.resting(urgent=True)

    async def _open_orders_in(self, symbol: str, *, urgent: bool) -> Sequence[VenueOrder]:
        try:
            return await self.orders.resting(symbol, urgent=urgent)
        except Refused as exc:
            if exc.code != _NO_SUCH_SYMBOL:
                raise
            return []

    async def find_order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Return the latest order with that client id, or None when the exchange says it knows none."""
        return await self.orders.find(symbol, client_order_id, urgent=True)

    async def order_of_trade(self, fill: Fill) -> VenueOrder | None:
        """Return the order that *fill* belongs to, or None when the exchange no longer tells."""
        return await self.orders.find(fill.symbol, fill.venue_order_id, urgent=True)

    async def fills(self, symbol: str, *, after_trade_id: int | None, since: datetime) -> Sequence[Fill]:
        """Return the trades after that id, or since that time when no id is known, oldest first, all of them."""
        return await self.histories.fills(symbol, after_trade_id=after_trade_id, since=since, urgent=True)

    async def incomes(self, *, since: datetime) -> Sequence[Income]:
        """Return every change of the wallet since then, oldest first, all of them."""
        return await self.histories.incomes(since=since, urgent=True)

    async def taker_fee(self, symbol: str) -> Decimal:
        """Return the fraction of notional that a market order costs; asked once."""
        return (await self.margin.fees(symbol)).taker

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage that later entries in *symbol* use."""
        await self.margin.set_leverage(symbol, leverage)

    async def place(self, intent: Intent) -> VenueOrder:
        """Send the order once. Raises OutcomeUnknown when it may have landed.

        An order that can only reduce exposure goes ahead of others when the request limit runs short.
        """
        return await self.orders.place(NewOrder.of(intent))

    async def cancel(self, symbol: str, client_order_id: str) -> VenueOrder:
        """Cancel a resting order. Raises OrderNotFound when it no longer rests."""
        return await self.orders.cancel(symbol, client_order_id)

    async def cancel_after(self, symbol: str, delay: timedelta) -> None:
        """Have the exchange cancel every order of *symbol*, stops too, after *delay*; zero takes that back."""
        await self.orders.cancel_after(symbol, delay)
