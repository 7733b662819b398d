"""
The watch between two ticks: an account to which something happens is reconciled at once.

Listens   to each account's stream and, once for all accounts, to mark prices
Acts      by the same reconciliation that ends a cycle, under the same lease; it needs no model and knows no opinion
Says      to all processes whether each stream is there
Leaves    what a look at the account since has seen already: our own orders are heard of while a cycle is at work

News that comes in a burst is answered by one look, and looks are spaced so that an account in turmoil leaves the
request limit to the others. Without streams everything is as it would be without a watch: the next tick finds out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

from functions.invoke import invoke_stage
from shared.db.exchange_streams import MARKET, ExchangeStreamTable, Listening
from shared.domain.cycle import Stage, between_ticks
from shared.domain.errors import DatabaseUnavailable, PerpetuaError, StageBusy
from shared.domain.market import EPOCH, Quote
from shared.domain.news import (
    AccountNews,
    AccountUpdate,
    Gap,
    MarginCall,
    MarketNews,
    OrderUpdate,
    Resynced,
    SettingsUpdate,
)
from shared.domain.order import OUR_PREFIX, Fill, Leg, Order, OrderState
from shared.domain.position import Position
from shared.exchange.account import AsterExchange
from shared.exchange.market_stream import MarketStream
from shared.exchange.user_stream import UserStream
from shared.runtime import Runtime

log = logging.getLogger("perpetua.trading")

SETTLE_SECONDS = 0.5
"""What happens at once is told in several events, and the exchange's answers may lag a little behind its streams."""
BUSY_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
"""For an exchange without its time, and for a defect."""
GRACE_SECONDS = 10.0
ATTENTION_SECONDS = 1.0
"""How often accounts that came or went are noticed."""
SAY_SECONDS = 10.0
"""How often it is said how the streams stand; at once where one came or went."""
FUNDING = "FUNDING_FEE"
"""Comes at its hours and changes the wallet alone: the next tick is soon enough."""

Turn = Callable[[str], asyncio.Lock]


class Watcher:
    """Watches every account, each in tasks of its own: no account's trouble reaches another.

    Accounts that come, go or get another key are noticed as soon as the runtime has followed them.
    """

    def __init__(self, runtime: Runtime, turn: Turn) -> None:
        """*turn* gives what to hold while at work on an account, for all who work on it in this process."""
        self._runtime = runtime
        self._turn = turn
        self._marks: dict[str, Decimal] = {}
        self._watched: dict[str, tuple[AsterExchange, AccountWatch, list[asyncio.Task[None]]]] = {}
        self._market: tuple[set[str], asyncio.Task[None]] | None = None
        self._market_stream: MarketStream | None = None
        self._attending: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen."""
        parts = (self._attend, self._say_how_streams_stand)
        self._attending = [asyncio.create_task(_for_ever("accounts", part)) for part in parts]

    async def stop(self) -> None:
        """Listen no more; give looks under way a few seconds. One cut short is mended by the next start."""
        await _cancelled(self._attending)
        await asyncio.gather(*map(self._unwatch, list(self._watched)))
        if self._market:
            await _cancelled([self._market[1]])
        with suppress(DatabaseUnavailable):
            await self._say({})

    async def _attend(self) -> None:
        while True:
            for account_id in list(self._watched):
                if account_id not in self._runtime.accounts or self._is_other(account_id):
                    await self._unwatch(account_id)
            for account_id in self._runtime.accounts.keys() - self._watched.keys():
                self._watch(account_id)
            symbols = {symbol for found in self._runtime.accounts.values() for symbol in found.account.symbols}
            if self._market is None or self._market[0] != symbols:
                if self._market:
                    await _cancelled([self._market[1]])
                part = partial(self._listen_to_market, symbols)
                self._market = symbols, asyncio.create_task(_for_ever("market", part))
            await asyncio.sleep(ATTENTION_SECONDS)

    async def _say_how_streams_stand(self) -> None:
        said: dict[str | None, bool] = {}
        due = 0.0
        while True:
            streams = self._streams()
            there = {account: each.connected for account, each in streams.items()}
            now = asyncio.get_running_loop().time()
            if there != said or now >= due:
                await self._say(streams)
                said, due = there, now + SAY_SECONDS
            await asyncio.sleep(ATTENTION_SECONDS)

    def _streams(self) -> dict[str | None, Listening]:
        found: dict[str | None, UserStream | MarketStream | None] = {MARKET: self._market_stream}
        found |= {account_id: watch.stream for account_id, (_, watch, _) in self._watched.items()}
        return {
            account: Listening(
                connected=stream is not None and stream.connected, heard_at=stream.heard_at if stream else None
            )
            for account, stream in found.items()
        }

    async def _say(self, streams: Mapping[str | None, Listening]) -> None:
        async with self._runtime.database.transaction() as connection:
            await ExchangeStreamTable(connection).note(streams)

    def _is_other(self, account_id: str) -> bool:
        """Whether the account is reached with another key than the one that it is watched with."""
        return self._watched[account_id][0] is not self._runtime.exchange(account_id)

    def _watch(self, account_id: str) -> None:
        exchange = self._runtime.exchange(account_id)
        watch = AccountWatch(account_id, self._runtime, self._turn(account_id), self._marks)
        parts = (watch.listen, watch.look_when_needed, watch.check_stops)
        tasks = [asyncio.create_task(_for_ever(account_id, part)) for part in parts]
        self._watched[account_id] = exchange, watch, tasks

    async def _unwatch(self, account_id: str) -> None:
        _, watch, tasks = self._watched.pop(account_id)
        await _cancelled(tasks)
        if watch.look is not None:
            done, late = await asyncio.wait({watch.look}, timeout=GRACE_SECONDS)
            await _cancelled(late)
            await asyncio.gather(*done, return_exceptions=True)

    async def _listen_to_market(self, symbols: Collection[str]) -> None:
        runtime = self._runtime
        await runtime.require_time()
        url = runtime.settings.stream_url
        self._market_stream = MarketStream(url, runtime.market, runtime.clock, quotes=sorted(symbols))
        await self._market_stream.run(self._mark)

    def _mark(self, news: MarketNews) -> None:
        match news:
            case Quote():
                self._marks[news.symbol] = news.mark_price
            case Resynced():
                self._marks |= {symbol: quote.mark_price for symbol, quote in news.quotes.items()}


class AccountWatch:
    """The watch over one account."""

    def __init__(self, account_id: str, runtime: Runtime, turn: asyncio.Lock, marks: Mapping[str, Decimal]) -> None:
        self.look: asyncio.Task[bool] | None = None
        """The reconciliation under way, or the last one."""
        self.stream: UserStream | None = None
        self._id = account_id
        self._runtime = runtime
        self._turn = turn
        self._marks = marks
        self._alarm = asyncio.Event()
        self._heard = (EPOCH, "")
        """When we last heard of something, and of what."""
        self._owed = False
        """The last look failed: what it saw it may not have mended."""
        self._spacing = runtime.settings.protection_deadline_seconds / 3

    async def listen(self) -> None:
        """Listen to the account's stream."""
        runtime = self._runtime
        await runtime.require_time()
        keys = runtime.exchange(self._id).listen_keys
        self.stream = UserStream(self._id, runtime.settings.stream_url, keys, runtime.clock)
        await self.stream.run(self.hear)

    def hear(self, news: AccountNews) -> None:
        """Take note of what has happened."""
        if what := worth_a_look(news):
            self.alarm(what)

    def alarm(self, what: str) -> None:
        """Have the account looked at because of *what*."""
        self._heard = (self._runtime.clock.now(), what)
        self._alarm.set()

    async def look_when_needed(self) -> None:
        """Answer alarms: the first of a burst within a second, the next when there has been time to breathe."""
        while True:
            await self._alarm.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._alarm.clear()
            # A task of its own, so that stopping the watch does not cut it short: it may be placing a stop.
            self.look = asyncio.create_task(self._look())
            try:
                pause = self._spacing if await asyncio.shield(self.look) else 0
            except StageBusy:
                self._alarm.set()
                pause = BUSY_SECONDS
            except Exception as exc:
                # Whatever it was, nothing has been seen to: try again, and let no other account suffer.
                self._owed = True
                self._alarm.set()
                stack = None if isinstance(exc, PerpetuaError) else exc
                log.warning("no look between ticks", exc_info=stack, extra={"account": self._id, "why": str(exc)})
                pause = self._spacing
            await asyncio.sleep(pause)

    async def check_stops(self) -> None:
        """Raise an alarm, once for each, when a stop should have ended its position a moment ago."""
        before: set[str] = set()
        told: set[str] = set()
        while True:
            await asyncio.sleep(self._spacing / 2)
            try:
                async with self._runtime.open_work() as work:
                    positions = await work.holds.positions(self._id)
                    orders = await work.orders.alive(self._id) if positions else ()
            except DatabaseUnavailable:
                continue
            late = overdue(positions, orders, self._marks)
            for client_order_id in (late & before) - told:
                self.alarm(f"the price has passed stop {client_order_id} and the position stands")
            before, told = late, late & before

    async def _look(self) -> bool:
        """Reconcile, and return True; or False where somebody has looked since we heard of anything."""
        runtime = self._runtime
        async with self._turn:
            heard, what = self._heard
            told = {"account": self._id, "why": what}
            async with runtime.open_work() as work:
                point = await work.holds.last_equity(self._id)
            if point is not None and point.at >= heard and not self._owed:
                log.debug("seen already", extra=told)
                return False
            log.info("reconciling between ticks", extra=told)
            done = await invoke_stage(runtime, Stage.RECONCILE, between_ticks(self._id, runtime.clock.now()))
            self._owed = False
            log.info("reconciled between ticks", extra=told | {"outcome": done.as_json()})
            return True


def worth_a_look(news: AccountNews) -> str | None:
    """Say what has happened, if the account should be looked at because of it.

    That an order of ours rests is no news: whoever sent it was told so, or finds out by the order protocol.
    """
    what: str | None = None
    match news:
        case Gap():
            what = f"not everything was heard: {news.why}"
        case Fill():
            what = f"{news.side.value} {news.quantity:f} {news.symbol} traded at {news.price:f}"
        case OrderUpdate(order=order):
            if not (order.state.working and order.client_order_id.startswith(OUR_PREFIX)):
                what = f"order {order.client_order_id} in {order.symbol} is {order.state.value}"
        case AccountUpdate():
            if news.reason != FUNDING:
                what = f"the account changed: {news.reason}"
        case MarginCall():
            what = f"margin call: {', '.join(news.symbols)}"
        case SettingsUpdate():
            what = f"settings of {news.symbol or 'the account'} changed"
    return what


def overdue(positions: Iterable[Position], orders: Iterable[Order], marks: Mapping[str, Decimal]) -> set[str]:
    """Return the client ids of resting stops whose price the mark has passed while their position stands."""
    stops = [order for order in orders if order.intent.leg is Leg.STOP and order.state is OrderState.NEW]
    return {
        stop.client_order_id
        for held in positions
        for stop in stops
        if (stop.intent.symbol, stop.intent.direction) == (held.symbol, held.direction)
        and stop.intent.stop_price is not None
        and held.symbol in marks
        and (stop.intent.stop_price - marks[held.symbol]) * held.direction.sign > 0
    }


async def _for_ever(name: str, part: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await part()
        except PerpetuaError as exc:
            log.info("no watch yet", extra={"account": name, "why": str(exc)})
        except Exception:
            log.exception("the watch failed", extra={"account": name})
        await asyncio.sleep(PATIENCE_SECONDS)


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
