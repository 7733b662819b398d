"""What people steer over the API: accounts that come, change and go, stops, closings, cancellations, changes.

Served in the test's own loop: somebody trades by hand with the account's key, and nonces are given out by one process.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import OPERATIONS, create_app
from api.credentials import draw_token
from shared.clock import VenueClock
from shared.db.tokens import NewToken, TokenTable
from shared.db.unit_of_work import Database
from shared.domain.access import Scope
from shared.domain.order import OrderType, Side
from shared.domain.position import Direction
from shared.exchange.account import open_exchange
from shared.exchange.auth import SignerWallet
from shared.exchange.market import open_market
from shared.exchange.new_order import NewOrder
from shared.settings import Settings, read_settings
from tests.served import served

OWN = "a-token-nobody-guesses"
ROOT = Path(__file__).parents[2]

Command = Callable[..., Awaitable[tuple[int | None, str]]]


class Trader:
    """Somebody who trades with the account's key, by hand and at the exchange."""

    def __init__(self, settings: Settings) -> None:
        assert settings.asterdex_private_key is not None
        self.clock = VenueClock(source=self.synchronise)
        self.market = open_market(settings.exchange_url, self.clock)
        wallet = SignerWallet(
            private_key=settings.asterdex_private_key.get_secret_value(), user=None, chain_id=settings.chain_id
        )
        self.exchange = open_exchange(settings.exchange_url, wallet, self.clock)

    async def synchronise(self) -> None:
        await self.clock.synchronise(self.market.server_time)

    async def buys(self, quantity: str = "0.01", symbol: str = "BTCUSDT") -> None:
        await self._place(symbol, OrderType.MARKET, Decimal(quantity), None, "by-hand")

    async def bids(self, name: str, symbol: str = "ETHUSDT") -> None:
        quote = (await self.market.quotes([symbol]))[symbol]
        price = (quote.mark_price * Decimal("0.9")).quantize(Decimal(1))
        await self._place(symbol, OrderType.LIMIT, Decimal("0.1"), price, name)

    async def _place(self, symbol: str, kind: OrderType, quantity: Decimal, price: Decimal | None, name: str) -> None:
        order = NewOrder(
            symbol=symbol,
            side=Side.BUY,
            direction=Direction.LONG,
            type=kind,
            quantity=quantity,
            price=price,
            client_order_id=name,
        )
        await self.exchange.orders.place(order)

    async def holds(self) -> dict[str, Decimal]:
        return {held.symbol: held.quantity for held in (await self.exchange.holdings()).positions}

    async def rests(self) -> list[str]:
        return sorted(order.client_order_id for order in await self.exchange.all_orders())


@pytest.fixture
async def trader(settings: Settings) -> AsyncIterator[Trader]:
    trader = Trader(settings)
    await trader.synchronise()
    yield trader
    await trader.exchange.aclose()
    await trader.market.aclose()


class Door:
    """Opens doors to the API: clients, each of a process of its own as far as the database can tell."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack

    async def open(self, **changes: Any) -> httpx.AsyncClient:
        changed = read_settings(**{**self._settings.model_dump(exclude_unset=True), **changes})
        url = await self._stack.enter_async_context(served(create_app(changed)))
        return await self._stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60))


@pytest.fixture
async def door(settings: Settings) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        yield Door(settings, stack)


@pytest.fixture
async def client(door: Door) -> httpx.AsyncClient:
    return await door.open()


async def invoked(client: httpx.AsyncClient, account: str = "main") -> dict[str, Any]:
    answer = await client.post("/functions/reconcile/invocations", json={"account": account})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_stop_ends_everything_and_only_a_typed_confirmation_arms_again(
    client: httpx.AsyncClient, trader: Trader
) -> None:
    await trader.buys()
    await trader.bids("a-bid")

    stopped = await client.post("/accounts/main/stop")
    resumed = await client.post("/accounts/main/resume")
    unconfirmed = await client.post("/accounts/main/rearm", json={"confirm": "yes"})
    shown = (await client.get("/accounts/main")).json()
    armed = await client.post("/accounts/main/rearm", json={"confirm": "main"})

    assert stopped.json() == {"account": "main", "flat": True, "left": [], "trouble": None}
    assert (await trader.holds(), await trader.rests()) == ({}, [])
    assert (resumed.status_code, resumed.json()["code"]) == (409, "account_stopped")
    assert (unconfirmed.status_code, unconfirmed.json()["code"]) == (422, "not_confirmed")
    assert (shown["status"], shown["stop"]["left"]) == ("halted", [])
    assert shown["stop"]["finished_at"]
    assert (armed.json()["status"], armed.json()["stop"]) == ("active", None)


async def test_everything_stops_at_once(client: httpx.AsyncClient, trader: Trader) -> None:
    await client.post("/accounts", json={"id": "second"})
    await trader.buys()

    stopped = (await client.post("/stop")).json()

    assert [(each["account"], each["flat"]) for each in stopped] == [("main", True), ("second", True)]
    assert await trader.holds() == {}
    assert {row["status"] for row in (await client.get("/accounts")).json()["items"]} == {"halted"}


async def test_a_position_is_closed_once_however_often_it_is_asked_for_with_one_key(
    client: httpx.AsyncClient, trader: Trader
) -> None:
    await trader.buys("0.010")
    path, key = "/accounts/main/positions/BTCUSDT/close", {"Idempotency-Key": "one"}

    first = await client.post(path, json={"quantity": "0.004"}, headers=key)
    again = await client.post(path, json={"quantity": "0.004"}, headers=key)
    left = await trader.holds()
    rest = await client.post(path, headers={"Idempotency-Key": "two"})
    none = await client.post(path)

    assert (first.json()["done"], again.json()["done"]) == (True, True)
    assert left == {"BTCUSDT": Decimal("0.006")}
    assert rest.json()["done"]
    assert (await trader.holds(), await trader.rests()) == ({}, [])
    assert (none.status_code, none.json()["code"]) == (422, "bad_request")


async def test_orders_are_cancelled_one_by_one_and_all_together(client: httpx.AsyncClient, trader: Trader) -> None:
    await trader.buys()
    await invoked(client)  # which gives the position a stop
    for name in ("one", "two", "three"):
        await trader.bids(name)
    [stop] = [name for name in await trader.rests() if name.startswith("pp-stop")]

    refused = await client.post(f"/accounts/main/orders/{stop}/cancel")
    single = await client.post("/accounts/main/orders/one/cancel")
    entries = await client.post("/accounts/main/orders/cancel")
    kept = await trader.rests()
    everything = await client.post("/accounts/main/orders/cancel", json={"protection": True})

    assert (refused.status_code, "protects" in refused.json()["detail"]) == (422, True)
    assert [order["state"] for order in single.json()["orders"]] == ["CANCELED"]
    assert sorted(order["client_order_id"] for order in entries.json()["orders"]) == ["three", "two"]
    assert kept == [stop]
    assert everything.json()["done"]
    assert (await trader.holds(), await trader.rests()) == ({}, [])


async def test_an_account_is_added_changed_and_removed(client: httpx.AsyncClient) -> None:
    added = await client.post("/accounts", json={"id": "second", "symbols": ["ETHUSDT"], "risk": {"max_leverage": 2}})
    twice = await client.post("/accounts", json={"id": "second"})
    version = added.json()["account"]["version"]
    changed = await client.patch("/accounts/second", json={"version": version, "leverage": 1, "risk": None})
    late = await client.patch("/accounts/second", json={"version": version, "leverage": 2})
    bad = await client.patch("/accounts/second", json={"version": version + 1, "risk": {"max_leverag": 2}})
    outcome = await invoked(client, "second")
    removed = await client.delete("/accounts/second")
    listed = (await client.get("/accounts")).json()["items"]

    assert (added.status_code, added.json()["account"]["config"]["symbols"]) == (201, ["ETHUSDT"])
    assert (twice.status_code, twice.json()["code"]) == (409, "account_exists")
    assert changed.json()["account"]["said"] == {"id": "second", "symbols": ["ETHUSDT"], "leverage": 1}
    assert changed.json()["account"]["config"]["limits"]["max_leverage"] == 5
    assert (late.status_code, late.json()["code"]) == (409, "account_changed")
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_account")
    assert "account second: risk.max_leverag: there is no such setting" in bad.json()["detail"]
    assert outcome["equity"]
    assert removed.json()["removed_at"]
    assert (removed.json()["status"], removed.json()["status_reason"]) == ("paused", "removed")
    assert [row["account"] for row in listed] == ["main"]
    assert (await client.get("/accounts/second")).status_code == 200
    assert (await client.post("/accounts/second/pause")).status_code == 404


async def test_the_text_of_a_prompt_is_shown_with_the_one_account_and_not_in_the_list(
    client: httpx.AsyncClient,
) -> None:
    prompt = "Be brief. " * 1000
    await client.post("/accounts", json={"id": "second", "symbols": ["ETHUSDT"], "prompt": prompt})

    listed = await client.get("/accounts")
    one = await client.get("/accounts/second")

    assert listed.json()["items"][1]["said"] == {"id": "second", "symbols": ["ETHUSDT"]}
    assert one.json()["said"]["prompt"] == prompt
    assert len(listed.content) < len(prompt)


async def test_an_account_that_holds_something_is_removed_only_with_the_word_to_flatten_it(
    client: httpx.AsyncClient, trader: Trader
) -> None:
    await trader.buys()

    refused = await client.delete("/accounts/main")
    removed = await client.delete("/accounts/main", params={"flatten": "true"})

    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_flat")
    assert removed.status_code == 200
    assert await trader.holds() == {}
    assert (await client.get("/accounts")).json()["items"] == []


async def test_two_processes_serve_the_same_accounts(door: Door) -> None:
    one, other = await door.open(), await door.open()

    await one.post("/accounts", json={"id": "second", "symbols": ["ETHUSDT"]})

    assert (await invoked(other, "second"))["account"] == "second"
    assert (await other.post("/accounts/second/stop")).json()["flat"]
    assert (await one.get("/accounts/second")).json()["status"] == "halted"


async def test_a_raise_waits_is_not_approved_by_who_proposed_it_and_can_be_withdrawn(door: Door) -> None:
    client = await door.open(raise_delay="1d")

    [addition] = (await client.get("/changes", params={"state": "pending"})).json()["items"]
    first = await client.post(f"/changes/{addition['id']}/approve")
    again = await client.post(f"/changes/{addition['id']}/approve")
    withdrawn = await client.post(f"/changes/{addition['id']}/withdraw")
    late = await client.post(f"/changes/{addition['id']}/approve")
    unknown = await client.post("/changes/999/approve")
    await invoked(client)
    resumed = await client.post("/accounts/main/resume")
    waits = (await client.get("/accounts/main")).json()["status_reason"]
    paused = (await client.post("/accounts/main/pause")).json()["status_reason"]

    assert waits.startswith("no authority yet")
    assert paused.endswith("asked for it over the API")  # and what waits does not undo that
    assert (addition["kind"], addition["raises"], addition["proposed_by"]) == (
        "add",
        ["trade paper"],
        "the configuration",
    )
    assert first.json()["state"] == "pending"
    assert len(first.json()["words"]) == 1
    assert (again.status_code, again.json()["code"]) == (409, "same_person")
    assert withdrawn.json()["state"] == "withdrawn"
    assert (late.status_code, late.json()["code"]) == (409, "change_decided")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_change")
    assert (resumed.status_code, resumed.json()["code"]) == (409, "no_authority")


async def test_tokens_that_one_token_made_are_one_person_s_and_one_made_at_a_terminal_is_anothers(
    door: Door, database: Database
) -> None:
    client = await door.open(raise_delay="1d", api_token=OWN)
    client.headers["Authorization"] = f"Bearer {OWN}"
    tokens = []
    for name in ("ada", "bob"):
        made = await client.post("/tokens", json={"name": name, "scope": "admin"})
        tokens.append(made.json()["token"])
    drawn = draw_token()
    by_hand = NewToken(
        name="carol", scope=Scope.ADMIN, created_by="root at a terminal", prefix=drawn.prefix, digest=drawn.digest
    )
    await TokenTable(database).create(by_hand)
    [addition] = (await client.get("/changes", params={"state": "pending"})).json()["items"]

    answers = [
        await client.post(f"/changes/{addition['id']}/approve", headers={"Authorization": f"Bearer {token}"})
        for token in (*tokens, OWN, drawn.text)
    ]

    assert [answer.status_code for answer in answers] == [200, 409, 409, 200]
    assert {answer.json()["code"] for answer in answers[1:3]} == {"same_person"}
    assert answers[3].json()["state"] == "applied"


@pytest.fixture
def command(settings: Settings) -> Command:
    """Runs a module as somebody at a terminal does; returns its exit code and what it said."""
    assert settings.database_url is not None
    given = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "ENVIRONMENT": "testing",
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "ASTERDEX_BASE_URL": str(settings.asterdex_base_url),
        "RAISE_DELAY": "1d",
    }

    async def run(who: str, *words: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words),
            cwd=ROOT,
            env={**given, "USER": who},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    return run


async def test_changes_are_seen_and_approved_at_a_terminal_by_a_person_more(door: Door, command: Command) -> None:
    client = await door.open(raise_delay="1d", api_token=OWN)
    client.headers["Authorization"] = f"Bearer {OWN}"

    listed = await command("ada", "api.changes", "list")
    first = await command("ada", "api.changes", "approve", "1")
    again = await command("ada", "api.changes", "approve", "1")
    second = await client.post("/changes/1/approve")
    late = await command("bob", "api.changes", "withdraw", "1")
    waiting = await command("ada", "api.changes", "list")

    assert (listed[0], "trade paper" in listed[1]) == (0, True)
    assert first == (0, "change 1 of account main is pending\n")
    assert (again[0], again[1].startswith("perpetua: ada at a terminal, or a token")) == (2, True)
    assert second.json()["words"] == ["ada at a terminal", "API_TOKEN"]
    assert second.json()["state"] == "applied"
    assert late == (2, "perpetua: change 1 is applied\n")
    assert "trade paper" not in waiting[1]
    trail = (await client.get("/audit", params={"caller": "ada at a terminal"})).json()["items"]
    assert [(row["action"], row["body"], row["status"], row["code"]) for row in trail] == [
        ("python -m api.changes approve", {"id": 1}, 409, "same_person"),
        ("python -m api.changes approve", {"id": 1}, 200, None),
    ]


def test_what_changes_accounts_or_their_authority_takes_an_admin() -> None:
    admin = {(each.method, each.path) for each in OPERATIONS if each.scope == "admin"}

    assert admin >= {
        ("POST", "/accounts"),
        ("PATCH", "/accounts/{account}"),
        ("DELETE", "/accounts/{account}"),
        ("POST", "/changes/{change}/approve"),
        ("POST", "/changes/{change}/withdraw"),
    }
