"""
What befalls an account, as it happens: orders, trades, balances, settings.

The stream hangs on a listen key that must be kept alive, and dies with it; a dead key is replaced by a new one. Events
come twice, late and out of order: each trade is told once, by its id, and an order or a balance never goes back to what
it was before. After every gap, and after an event that could not be read, whoever listens gets a `Gap` and asks for the
truth over HTTP. The key is the account's, not ours: other processes may listen by it, so it is never closed.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.errors import VenueError
from shared.domain.news import AccountNews, AccountUpdate, Gap, OrderUpdate
from shared.domain.order import Fill
from shared.domain.ports import Clock
from shared.exchange.fields import Unreadable
from shared.exchange.listen_keys import ListenKeys
from shared.exchange.stream import LIFETIME, Sleep, Stream, StreamOver, pass_time
from shared.exchange.stream_wire import LISTEN_KEY_EXPIRED, kind_of, read_account_events

log = logging.getLogger("perpetua.trading")

KEEP_EVERY = timedelta(minutes=30)
"""A key lives for an hour after it was last asked for or kept."""
KEEP_AGAIN = timedelta(minutes=3)
"""After a keeping whose answer got lost."""
SILENT_SECONDS = 300.0
"""An account may have nothing to tell for hours. A stream silent for so long is taken for dead all the same: that costs
a connection and a look; to believe it costs a position its stop."""
REMEMBERED = 5000

Hear = Callable[[AccountNews], None]


class UserStream:
    """The stream of one account. `run` it until nobody wants to know any more."""

    def __init__(
        self,
        name: str,
        url: str,
        keys: ListenKeys,
        clock: Clock,
        *,
        most_silent: float = SILENT_SECONDS,
        lifetime: timedelta = LIFETIME,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """*name* is what logs call it, *url* where streams are served."""
        self._name = name
        self._url = url
        self._keys = keys
        self._clock = clock
        self._sleep = sleep
        self._trades = _Memory()
        self._newest = _Memory()
        self._stream = Stream(
            f"account {name}",
            self._address,
            hear=self._take,
            gap=self._lost,
            clock=clock,
            most_silent=most_silent,
            lifetime=lifetime,
            sleep=sleep,
        )

    @property
    def connected(self) -> bool:
        """Whether it is listened to at this moment."""
        return self._stream.connected

    @property
    def heard_at(self) -> datetime | None:
        """When something was last heard by it, by the exchange's time."""
        return self._stream.heard_at

    async def run(self, hear: Hear) -> None:
        """Have *hear* told of everything until cancelled. It must not take long, and must not raise."""
        self._hear = hear
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_alive())
            await self._stream.run()

    async def _address(self) -> str:
        return f"{self._url}/ws/{await self._keys.make()}"

    async def _keep_alive(self) -> None:
        span = KEEP_EVERY
        while True:
            await pass_time(span, self._clock, self._sleep)
            span = KEEP_EVERY
            try:
                if not await self._keys.keep():
                    self._stream.drop("the listen key is dead")
            except VenueError as exc:
                log.info("the listen key was not kept", extra={"stream": self._name, "why": str(exc)})
                span = KEEP_AGAIN

    def _take(self, payload: Any) -> None:
        try:
            if kind_of(payload) == LISTEN_KEY_EXPIRED:
                raise StreamOver("the listen key has expired")
            told = read_account_events(payload)
        except Unreadable as exc:
            self._hear(Gap(since=self._clock.now(), why=f"an event that cannot be read: {exc}"))
            raise
        for news in told:
            if fresh := self._what_is_new(news):
                self._hear(fresh)

    def _what_is_new(self, news: AccountNews) -> AccountNews | None:
        match news:
            case Fill():
                # Each is told once, however late it comes.
                return news if self._trades.moves((news.symbol, news.trade_id), 0) else None
            case OrderUpdate(order=order):
                # Two events of one moment: what has been filled only grows, and an order that ended does not rise.
                age = (news.at, order.executed_quantity, not order.state.working)
                return news if self._newest.moves((order.symbol, order.venue_order_id), age) else None
            case AccountUpdate():
                wallets = {asset: each for asset, each in news.wallets.items() if self._newest.moves(asset, news.at)}
                sizes = {key: size for key, size in news.sizes.items() if self._newest.moves(key, news.at)}
                return replace(news, wallets=wallets, sizes=sizes) if wallets or sizes else None
        return news

    def _lost(self, why: str, since: datetime | None) -> None:
        self._hear(Gap(since=since, why=why))


class _Memory:
    """The newest age of each of the last few thousand things."""

    def __init__(self) -> None:
        self._ages: OrderedDict[Hashable, Any] = OrderedDict()

    def moves(self, thing: Hashable, age: Any) -> bool:
        """Say whether *age* is newer than what is known of *thing*, and remember it if so."""
        if thing in self._ages and age <= self._ages[thing]:
            return False
        self._ages[thing] = age
        self._ages.move_to_end(thing)
        if len(self._ages) > REMEMBERED:
            self._ages.popitem(last=False)
        return True
