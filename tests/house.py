"""The whole house in one process: real PostgreSQL, the emulated exchange, a model that says what it is told."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette

from emulators.aster import Market, Venue, create_app, synthetic_market
from emulators.aster.venue import START_BALANCE
from functions.invoke import invoke_cycle, invoke_stage
from shared.clock import SteppedClock
from shared.domain.cycle import Stage, StageRequest, StageResult, tick_at
from shared.domain.order import Order, OrderType, Side
from shared.domain.position import Direction, Position
from shared.exchange.auth import NONCES
from shared.exchange.new_order import NewOrder
from shared.runtime import Runtime
from shared.settings import TestingSettings

SYMBOLS = ("BTCUSDT", "ETHUSDT")
FIVE_MINUTES = timedelta(minutes=5)


class ScriptedModel(httpx.AsyncBaseTransport):
    """A model that gives the answers put into it, in order, and holds when there are none left."""

    def __init__(self) -> None:
        self.answers: list[str | int | httpx.Response] = []
        """A text to answer with, a status to fail with, or a whole reply."""
        self.questions: list[dict[str, Any]] = []
        self.listings: list[dict[str, Any]] = [
            {"id": "scripted/model", "supported_parameters": ["max_tokens", "temperature", "structured_outputs"]}
        ]
        """What the service says of its models."""

    def will_decide(self, *decisions: Mapping[str, Any]) -> None:
        """Answer the next question with these decisions."""
        self.answers.append(json.dumps({"reasoning": "as told", "decisions": decisions}))

    def will_call(self, *tools: tuple[str, Mapping[str, Any]]) -> None:
        """Ask these tools at the next question."""
        made = [
            {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for place, (name, arguments) in enumerate(tools)
        ]
        message = {"role": "assistant", "content": None, "tool_calls": made}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        self.answers.append(httpx.Response(200, json={"choices": [choice], "usage": {"cost": 0.0012}}))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": self.listings})
        self.questions.append(json.loads(await request.aread()))
        answer = self.answers.pop(0) if self.answers else json.dumps({"reasoning": "", "decisions": []})
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, int):
            return httpx.Response(answer, json={"error": {"code": answer, "message": "as told"}})
        message = {"role": "assistant", "content": answer}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "cost": 0.0012}
        body = {
            "id": f"gen-{len(self.questions)}",
            "object": "chat.completion",
            "created": 1,
            "model": "scripted/model",
            "provider": "Tests",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": usage,
        }
        return httpx.Response(200, json=body)


class House:
    """One account, `main`, on two symbols every five minutes, in a synthetic market that moves when told to."""

    def __init__(
        self, runtime: Runtime, venue: Venue, *, clock: SteppedClock, model: ScriptedModel, exchange: Starlette
    ) -> None:
        self.runtime = runtime
        self.venue = venue
        self.clock = clock
        self.model = model
        self.exchange = exchange

    @property
    def request(self) -> StageRequest:
        """The cycle of the present tick."""
        return StageRequest("main", tick_at(self.clock.now(), FIVE_MINUTES))

    async def pass_time(self, span: timedelta = FIVE_MINUTES) -> None:
        """Let the market and the clock move on."""
        self.clock.advance(self.clock.now() + span)
        self.venue.advance(round(self.clock.now().timestamp() * 1000))

    async def stage(self, stage: Stage, request: StageRequest | None = None) -> StageResult:
        """Run one stage of the present cycle."""
        return await invoke_stage(self.runtime, stage, request or self.request)

    async def cycle(self) -> dict[str, Any]:
        """Run the present cycle."""
        return await invoke_cycle(self.runtime, self.request)

    async def next_cycle(self) -> dict[str, Any]:
        """Let one interval pass and run its cycle."""
        await self.pass_time()
        return await self.cycle()

    async def mark(self, symbol: str) -> Decimal:
        """Return the mark price."""
        return (await self.runtime.market.quotes([symbol]))[symbol].mark_price

    async def wish(self, symbol: str = "BTCUSDT", action: str = "buy", **fields: Any) -> dict[str, Any]:
        """Return a decision that passes every rule at the present price, but for what *fields* change."""
        price = await self.mark(symbol)
        sign = 1 if action == "buy" else -1
        entry = action in {"buy", "sell"}
        return {
            "rationale": "a test",
            "asset": symbol,
            "action": action,
            "allocation_usd": 1000 if entry else 0,
            "leverage": 2 if entry else 1,
            "stop_loss": float(price * (1 - sign * Decimal("0.02"))) if entry else None,
            "take_profit": float(price * (1 + sign * Decimal("0.04"))) if entry else None,
            "confidence": 0.8,
            "exit_plan": {"text": "leave when wrong", "invalidation": None},
            **fields,
        }

    async def enter(self, symbol: str = "BTCUSDT", action: str = "buy") -> None:
        """Have a position with its stop and target: one whole cycle."""
        self.model.will_decide(await self.wish(symbol, action))
        await self.cycle()

    async def bid(self, symbol: str = "ETHUSDT", name: str = "by-hand-1") -> str:
        """Have somebody else's order of that name rest below the market, and return the name."""
        price = (await self.mark(symbol) * Decimal("0.9")).quantize(Decimal(1))
        order = NewOrder(
            symbol=symbol,
            side=Side.BUY,
            type=OrderType.LIMIT,
            quantity=Decimal("0.1"),
            price=price,
            direction=Direction.LONG,
            client_order_id=name,
        )
        await self.runtime.exchange("main").orders.place(order)
        return name

    async def spoil(self, method: str, path: str, kind: str, count: int = 1) -> None:
        """Have the exchange fail the next such requests."""
        await self.spoil_by(method=method, path=path, kind=kind, count=count)

    async def spoil_by(self, **fault: Any) -> None:
        """Have the exchange fail as *fault* says."""
        async with self._admin() as http:
            (await http.post("/emulator/faults", json=fault)).raise_for_status()

    async def clear_faults(self) -> None:
        """Have the exchange do what it should again."""
        async with self._admin() as http:
            (await http.delete("/emulator/faults")).raise_for_status()

    async def deleverage(self, symbol: str, quantity: str, **more: str) -> None:
        """Have the exchange end so much of a position for somebody else's loss."""
        body = {"account": (await self.venue_books())["account"], "symbol": symbol, "quantity": quantity, **more}
        async with self._admin() as http:
            (await http.post("/emulator/deleverage", json=body)).raise_for_status()

    async def venue_books(self) -> dict[str, Any]:
        """Return everything the exchange ever recorded of the account."""
        async with self._admin() as http:
            [account] = (await http.get("/emulator/accounts")).json()
            books: dict[str, Any] = (await http.get("/emulator/books", params={"account": account["account"]})).json()
            return books

    async def venue_orders(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the exchange's orders whose fields are as *wanted*."""
        orders = (await self.venue_books())["orders"]
        return [order for order in orders if all(order[name] == value for name, value in wanted.items())]

    async def venue_positions(self) -> dict[str, Decimal]:
        """Return the exchange's open positions, signed."""
        positions = (await self.venue_books())["positions"]
        return {row["symbol"]: Decimal(row["positionAmt"]) for row in positions}

    async def our_orders(self, request: StageRequest | None = None) -> Sequence[Order]:
        """Return our orders of a cycle."""
        async with self.runtime.open_work() as work:
            return await work.orders.of_cycle(request or self.request)

    async def our_positions(self) -> Sequence[Position]:
        """Return the positions as last reconciled."""
        async with self.runtime.open_work() as work:
            return await work.holds.positions("main")

    def watch_requests(self, note: Callable[[httpx.Request], Awaitable[None]]) -> None:
        """Have *note* see every request for market data before it is sent."""
        self.runtime.market._client._http.event_hooks["request"].append(note)

    def _admin(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self.exchange), base_url="http://exchange")


@asynccontextmanager
async def built_house(
    database_url: str,
    *,
    seed: int = 7,
    market: Market | None = None,
    balance: Decimal = START_BALANCE,
    model: ScriptedModel | None = None,
    models: httpx.AsyncBaseTransport | None = None,
    state: Path | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """Build a house on a migrated database and pull it down afterwards. *models* answer in the scripted one's place.

    *state* is where the exchange keeps its books.
    """
    # An exchange of its own knows none of the nonces that an earlier one was sent, whose time may have been later.
    NONCES._given.clear()
    NONCES._highest.clear()
    venue = Venue(market or synthetic_market(seed=seed, symbols=SYMBOLS), balance=balance, state=state)
    exchange, model = create_app(venue), model or ScriptedModel()
    clock = SteppedClock(datetime.fromtimestamp(venue.now / 1000, UTC))
    chosen = {"assets": SYMBOLS, "llm_model": "scripted/model", "database_url": SecretStr(database_url)} | settings
    runtime = Runtime(
        TestingSettings(**chosen),
        long_lived=True,
        clock=clock,
        exchange_transport=httpx.ASGITransport(app=exchange),
        model_transport=models or model,
    )
    house = House(runtime, venue, clock=clock, model=model, exchange=exchange)
    try:
        await runtime.record_accounts()
        await house.pass_time(timedelta(seconds=2))
        yield house
    finally:
        await runtime.close()
        venue.close()
