"""
One way to the exchange: signs, sends, keeps within its limits, reads the answer, and names what went wrong.

Promises  a read that got lost is asked again, a few times, each time signed anew
          a write is sent once: whether to send it again is a question for whoever knows what it was for
Never     encodes a signed string a second time
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx

from shared.domain.errors import ClockSkewed, RateLimited, VenueError, VenueUnreachable
from shared.domain.ports import Clock
from shared.domain.tally import ANSWERED, Counted, Tally, outcome_of
from shared.exchange.auth import NONCES, Signed, Signer, current_path
from shared.exchange.failures import Call, answer_of, venue_failures
from shared.exchange.limits import Sleep, learn_limits, order_budget, weight_budget

T = TypeVar("T")

ATTEMPTS = 4
ATTEMPT_SECONDS = 10.0
READ_SECONDS = 90.0
"""For all attempts of a read and the waits between them: enough to see the next minute's budget."""
FIRST_PAUSE_SECONDS = 0.5

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Idle connections are let go before servers close them: a request that crosses the closing is a request lost.
CONNECTIONS = 40
_LIMITS = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20, keepalive_expiry=3.0)
_FOR_OTHERS = CONNECTIONS - 10
"""Connections that requests without urgency may take up: an urgent one never stands in line behind them."""

WALL_SECONDS = 60.0
"""How long we keep quiet after HTTP 403, the answer of a firewall that tells no end."""
_TOO_MANY_ORDERS = -1015
_ORDERS = {("POST", "order"): 1, ("POST", "batchOrders"): 5}
"""What counts against the limit of orders, a batch as if it were full; then the exchange tells its own count."""


class AsterClient:
    """Requests to one base URL: signed for an account when given a signer, public without."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        signer: Signer | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        tally: Tally | None = None,
    ) -> None:
        """A *transport* that is handed in may be shared, and stays open; whoever made it closes it.

        What is sent is counted in *tally*, by its path and by what came of it.
        """
        self._tally = tally or Tally()
        self._http = httpx.AsyncClient(
            base_url=base_url, transport=transport, limits=_LIMITS, timeout=httpx.Timeout(ATTEMPT_SECONDS, connect=5.0)
        )
        self._owns_transport = transport is None
        self._where = (base_url, transport)
        self._weights = weight_budget(*self._where)
        self._orders = order_budget(*self._where, signer.name) if signer else None
        self._ordinary = asyncio.Semaphore(_FOR_OTHERS)
        self._clock = clock
        self._signer = signer
        self._sleep = sleep
        self._jitter = jitter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that are ours."""
        if self._owns_transport:
            await self._http.aclose()

    async def read(
        self,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        weight: int,
        into: Callable[[Any], T],
        urgent: bool = False,
    ) -> T:
        """Ask for *name* and return the answer as *into* reads it. Only an *urgent* one may draw on the reserve.

        Raises VenueError.

        What got lost is asked again after a pause that doubles each time, less a random part of it; what was refused
        for its time, once, by a clock set anew.
        """
        call = Call("GET", self._path(name))
        lost: VenueError | None = None
        attempts = 0
        try:
            async with asyncio.timeout(READ_SECONDS):
                while True:
                    try:
                        return await self._send(
                            call, params or {}, weight=weight, patience=READ_SECONDS, urgent=urgent, into=into
                        )
                    except (VenueUnreachable, RateLimited, ClockSkewed) as exc:
                        attempts += 1
                        if attempts == ATTEMPTS or _waits_too_long(exc) or isinstance(lost, ClockSkewed):
                            raise
                        lost = exc
                    await self._sleep(FIRST_PAUSE_SECONDS * 2 ** (attempts - 1) * self._jitter())
        except TimeoutError as exc:
            raise lost or call.lost(f"no answer within {READ_SECONDS:.0f} s") from exc

    async def write(
        self,
        method: str,
        name: str,
        params: Mapping[str, str],
        *,
        into: Callable[[Any], T],
        weight: int = 1,
        urgent: bool = False,
        signed: bool = True,
    ) -> T:
        """Send it once and return the answer as *into* reads it. Only an *urgent* one may draw on the reserve.

        One that is not *signed* shows who we are, which takes a wallet's signature all the same.
        Raises VenueError; RateLimited without waiting, because an order sent a minute late is another order.
        """
        call = Call(method, self._path(name), signed)
        orders = _ORDERS.get((method, name), 0)
        return await self._send(call, params, weight=weight, orders=orders, patience=0.0, urgent=urgent, into=into)

    def _path(self, name: str) -> str:
        return self._signer.path(name) if self._signer else current_path(name)

    async def _send(
        self,
        call: Call,
        params: Mapping[str, str],
        *,
        weight: int,
        patience: float,
        into: Callable[[Any], T],
        orders: int = 0,
        urgent: bool = False,
    ) -> T:
        if self._signer:
            await self._clock.assure()
            await NONCES.ready(self._clock.now())
        for budget, amount in ((self._orders, orders), (self._weights, weight)):
            if budget and amount:
                minute = await budget.reserve(
                    amount, clock=self._clock, sleep=self._sleep, patience=patience, urgent=urgent
                )
        try:
            with self._counted(call):
                async with nullcontext() if urgent else self._ordinary:
                    request = self._request(call, params)
                    with venue_failures(call):
                        async with asyncio.timeout(ATTEMPT_SECONDS):
                            response = await self._http.send(request)
                self._learn(response, minute, orders)
                with venue_failures(call):
                    return into(self._answer(response, call))
        except RateLimited as exc:
            await self._keep_quiet(response, exc)
            raise
        except ClockSkewed:
            if self._signer:
                await self._clock.assure(doubted=True)
            raise

    @contextmanager
    def _counted(self, call: Call) -> Iterator[None]:
        outcome = ANSWERED
        try:
            yield
        except VenueError as exc:
            outcome = outcome_of(exc)
            raise
        finally:
            self._tally.count(Counted("exchange_calls", subject=str(call), outcome=outcome))

    def _request(self, call: Call, params: Mapping[str, str]) -> httpx.Request:
        """Build the request around one encoded string, in the query or as a form, exactly as it was signed."""
        signed = self._signed(call, params)
        if call.method in {"POST", "PUT"}:
            headers = {**signed.headers, **_FORM}
            return self._http.build_request(call.method, call.path, content=signed.content.encode(), headers=headers)
        url = f"{call.path}?{signed.content}" if signed.content else call.path
        return self._http.build_request(call.method, url, headers=signed.headers)

    def _signed(self, call: Call, params: Mapping[str, str]) -> Signed:
        if self._signer is None:
            return Signed(urlencode(params))
        now = self._clock.now()
        return self._signer.sign(params, now) if call.signed else self._signer.introduce(now)

    def _answer(self, response: httpx.Response, call: Call) -> Any:
        payload = answer_of(response, call, self._clock.now())
        learn_limits(*self._where, payload)
        return payload

    def _learn(self, response: httpx.Response, minute: datetime, orders: int) -> None:
        """Take note of what the exchange says was used."""
        for budget, header in ((self._weights, "x-mbx-used-weight-1m"), (self._orders, "x-mbx-order-count-1m")):
            used = response.headers.get(header, "")
            if used.isdecimal() and budget and (orders or budget is self._weights):
                budget.learn(minute, int(used))

    async def _keep_quiet(self, response: httpx.Response, refusal: RateLimited) -> None:
        """Close what was used up: the account's orders, or everything behind our address."""
        seconds = refusal.retry_after or 0.0
        if response.status_code == httpx.codes.FORBIDDEN:
            seconds = refusal.retry_after = max(seconds, WALL_SECONDS)
        ours = refusal.code == _TOO_MANY_ORDERS and response.status_code != httpx.codes.IM_A_TEAPOT
        budget = self._orders if ours and self._orders else self._weights
        await budget.close(seconds, clock=self._clock)


def _waits_too_long(exc: VenueError) -> bool:
    return isinstance(exc, RateLimited) and (exc.retry_after or 0) > READ_SECONDS
