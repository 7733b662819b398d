"""
The emulator's own endpoints, under `/emulator/`: time, accounts, books, faults,
filters, bans. JSON in and out, no signature.

- `GET clock`: `{"now": ms, "speed": times real time or null when stepped, "ended": bool}`.
- `POST advance {"to": ms}`: move a stepped market; answers the clock.
- `GET accounts`: the names of all accounts. `POST accounts` opens one: `{"apiKey", "secret", "balance"?}` for signing
  with a key, or `{"address", "balance"?, "agents"?: [addresses that may sign for it]}` for signing with wallets.
- `GET books?account=ADDRESS_OR_KEY`: everything that ever happened to an account: wallet, orders, trades, income,
  positions, decimals as strings, rows as the exchange writes them, oldest first.
- `GET faults`: those still to come; `POST faults {"kind", "method"?, "path"?, "count"?, "probability"?, "seed"?,
  "lasts_ms"?}` adds one, `DELETE faults` clears all, `GET faults/kinds` lists the kinds; see `faults`.
- `GET symbols`: status and filters of every symbol. `POST symbols {"symbol", "status"?, "tickSize"?, "stepSize"?,
  "notional"?, ...}` changes them from now on, until the process ends; see `filters`.
- `POST deleverage {"account", "symbol", "positionSide"?, "quantity"?}`: close a position, or so much of it, at the mark
  price for somebody else's loss; answers the account's books.
- `GET bans`: until when which address is banned, a market time in milliseconds; `DELETE bans` pardons all.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import Refusal
from ..holdings.accounts import Account
from ..holdings.register import Agent
from ..prices.symbols import Instrument
from ..venue import Venue
from .clock import Clock, SteppedClock
from .faults import KINDS, Fault, Faults
from .filters import PLACES, STATUSES, with_filters
from .wire import income_row, order_row, plain, trade_row

ADDRESS = re.compile(r"0x[0-9a-f]{40}")


class BadAdmin(Exception):
    """The request makes no sense; the text says why."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def administration(venue: Venue, clock: Clock, faults: Faults) -> list[Route]:
    """Return the routes that administer a venue."""
    office = Office(venue, clock, faults)
    handlers = [
        ("clock", "GET", office.clock),
        ("advance", "POST", office.advance),
        ("accounts", "GET", office.accounts),
        ("accounts", "POST", office.open_account),
        ("books", "GET", office.books),
        ("faults", "GET", office.list_faults),
        ("faults", "POST", office.add_fault),
        ("faults", "DELETE", office.clear_faults),
        ("faults/kinds", "GET", office.list_kinds),
        ("symbols", "GET", office.list_symbols),
        ("symbols", "POST", office.change_symbol),
        ("deleverage", "POST", office.deleverage),
        ("bans", "GET", office.list_bans),
        ("bans", "DELETE", office.pardon),
    ]
    return [
        Route(f"/emulator/{name}", office.answering(handler), methods=[method]) for name, method, handler in handlers
    ]


class Office:
    """Administers one venue."""

    def __init__(self, venue: Venue, clock: Clock, faults: Faults) -> None:
        self._venue = venue
        self._clock = clock
        self._faults = faults

    def answering(self, handler: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler as an endpoint that acts at the present time and words its refusals."""

        async def endpoint(request: Request) -> Response:
            self._venue.advance(self._clock.moved_to(self._venue.now))
            try:
                return JSONResponse(await handler(request))
            except BadAdmin as exc:
                return JSONResponse({"error": str(exc)}, status_code=exc.status)

        return endpoint

    async def clock(self, request: Request) -> dict[str, Any]:
        return {"now": self._venue.now, "speed": self._clock.speed, "ended": self._venue.ended}

    async def advance(self, request: Request) -> dict[str, Any]:
        to = (await fields_of(request)).get("to")
        if not isinstance(self._clock, SteppedClock):
            raise BadAdmin("this market runs by itself: start the emulator with --stepped to advance it", 409)
        if not isinstance(to, int):
            raise BadAdmin('"to" must be a market time in milliseconds')
        if to < self._venue.now:
            raise BadAdmin(f"market time is already {self._venue.now}; it cannot go back to {to}")
        self._venue.advance(to)
        return await self.clock(request)

    async def accounts(self, request: Request) -> list[dict[str, str]]:
        return [
            {"account": account.id, "wallet": plain(account.wallet)} for account in self._venue.ledger.accounts.values()
        ]

    async def open_account(self, request: Request) -> dict[str, str]:
        fields = await fields_of(request)
        key, secret, address = fields.get("apiKey"), fields.get("secret"), str(fields.get("address", "")).lower()
        balance = _amount(fields.get("balance", self._venue.balance), "balance")
        if (not key or not secret) and not ADDRESS.fullmatch(address):
            raise BadAdmin('send "apiKey" and "secret", or an "address" of 0x and 40 hex digits')
        agents = [str(agent).lower() for agent in fields.get("agents", ())]
        if not all(ADDRESS.fullmatch(agent) for agent in agents):
            raise BadAdmin('"agents" must be addresses of 0x and 40 hex digits')
        name = str(key) if key else address
        if name in self._venue.ledger.accounts:
            raise BadAdmin(f"account {name} is already open", 409)
        account = self._venue.open_account(name, secret=str(secret) if key else None, balance=balance)
        for agent in agents:
            self._venue.register.approve(Agent(owner=account.id, address=agent))
        return {"account": account.id, "wallet": plain(account.wallet)}

    async def books(self, request: Request) -> dict[str, Any]:
        return self._books(self._account(request.query_params.get("account", "")))

    async def deleverage(self, request: Request) -> dict[str, Any]:
        fields = await fields_of(request)
        account = self._account(str(fields.get("account", "")))
        quantity = _amount(fields["quantity"], "quantity") if "quantity" in fields else None
        symbol, side = str(fields.get("symbol", "")), str(fields.get("positionSide", "BOTH"))
        try:
            self._venue.deleverage(account, symbol, side, quantity)
        except Refusal as exc:
            raise BadAdmin(f"{account.id} has no such position in {symbol!r}: {exc}") from exc
        return self._books(account)

    def _account(self, name: str) -> Account:
        accounts = self._venue.ledger.accounts
        account = accounts.get(name) or accounts.get(name.lower())
        if account is None:
            raise BadAdmin(f"there is no account {name!r}", 404)
        return account

    def _books(self, account: Account) -> dict[str, Any]:
        instruments = self._venue.market.instruments
        trades = [trade for symbol in account.trades_of for trade in account.trades_of[symbol]]
        return {
            "account": account.id,
            "wallet": plain(account.wallet),
            "orders": [order_row(order, instruments[order.symbol]) for order in account.orders.values()],
            "trades": [trade_row(each, instruments[each.symbol]) for each in sorted(trades, key=lambda each: each.id)],
            "income": [income_row(each) for each in account.income],
            "positions": [
                {
                    "symbol": symbol,
                    "positionSide": position.side,
                    "positionAmt": plain(position.quantity),
                    "cost": plain(position.cost),
                }
                for symbol, position in account.open_positions()
            ],
        }

    async def list_faults(self, request: Request) -> list[dict[str, Any]]:
        names = ("kind", "method", "path", "count", "probability", "seed", "until", "struck")
        return [{name: getattr(each, name) for name in names} for each in self._faults.waiting(self._venue.now)]

    async def list_kinds(self, request: Request) -> list[str]:
        return list(KINDS)

    async def add_fault(self, request: Request) -> list[dict[str, Any]]:
        fields = await fields_of(request)
        unknown = sorted(fields.keys() - {"kind", "method", "path", "count", "probability", "seed", "lasts_ms"})
        if unknown:
            raise BadAdmin(f"a fault has no {unknown[0]!r}")
        kind, method, path = (fields.get(name, "*") for name in ("kind", "method", "path"))
        if not (isinstance(method, str) and isinstance(path, str) and isinstance(kind, str)):
            raise BadAdmin('"method", "path" and "kind" must be texts')
        lasts, probability, seed = fields.get("lasts_ms"), fields.get("probability", 1), fields.get("seed", 0)
        endless = lasts is not None or "probability" in fields or kind.startswith("clock-skew")
        count = fields.get("count", None if endless else 1)
        if count is not None and (not isinstance(count, int) or count < 1):
            raise BadAdmin('"count" must be a positive number, or null for no end')
        if lasts is not None and (not isinstance(lasts, int) or lasts < 1):
            raise BadAdmin('"lasts_ms" must be a positive number of milliseconds')
        if not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
            raise BadAdmin('"probability" must lie between 0 and 1')
        if not isinstance(seed, int):
            raise BadAdmin('"seed" must be a whole number')
        until = None if lasts is None else self._venue.now + lasts
        try:
            self._faults.add(
                Fault(
                    kind=kind, method=method.upper(), path=path, count=count, probability=probability, seed=seed,
                    until=until,
                )
            )  # fmt: skip
        except ValueError as exc:
            raise BadAdmin(str(exc)) from exc
        return await self.list_faults(request)

    async def clear_faults(self, request: Request) -> list[dict[str, Any]]:
        self._faults.clear()
        return []

    async def list_symbols(self, request: Request) -> list[dict[str, Any]]:
        return [_rules(each) for each in self._venue.market.instruments.values()]

    async def change_symbol(self, request: Request) -> dict[str, Any]:
        fields = await fields_of(request)
        symbol, status = fields.pop("symbol", None), fields.pop("status", None)
        instruments = self._venue.market.instruments
        if symbol not in instruments:
            raise BadAdmin(f'"symbol" must be one of {", ".join(instruments)}', 404)
        unknown = sorted(fields.keys() - PLACES)
        if unknown:
            raise BadAdmin(f"no filter has a {unknown[0]!r}; there are {', '.join(PLACES)}")
        if status is not None and status not in STATUSES:
            raise BadAdmin(f'"status" must be one of {", ".join(STATUSES)}')
        changes = {name: _amount(value, name) for name, value in fields.items()}
        instruments[symbol] = with_filters(instruments[symbol], changes, status)
        return _rules(instruments[symbol])

    async def list_bans(self, request: Request) -> dict[str, int]:
        bans = self._venue.register.bans()
        return {address: ban.until for address, ban in bans.items() if self._venue.now < ban.until}

    async def pardon(self, request: Request) -> dict[str, int]:
        self._venue.register.pardon()
        return {}


def _rules(instrument: Instrument) -> dict[str, Any]:
    return {name: instrument.entry[name] for name in ("symbol", "status", "filters")}


async def fields_of(request: Request) -> dict[str, Any]:
    """Return the JSON object a request brings."""
    try:
        fields = await request.json()
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise BadAdmin("send a JSON object")
    return fields


def _amount(value: object, name: str) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise BadAdmin(f'"{name}" must be an amount, not {value!r}')
    return amount
