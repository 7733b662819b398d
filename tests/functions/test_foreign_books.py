"""A database's books are those of one exchange and of one wallet an account: nobody writes what happens elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from emulators.aster import Venue, synthetic_market
from emulators.aster.holdings.register import Agent
from functions.configuring import change_account, remove_account
from functions.invoke import invoke
from functions.stopping import stop_account, stop_all
from shared.db.unit_of_work import Database
from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage
from shared.domain.errors import ForeignBooks
from shared.domain.owner import Owner, Wallet, require_owner, require_wallet
from shared.exchange.auth import SignerWallet, WalletSigner
from tests.house import SYMBOLS, House, built_house

OWNER, FIRST, SECOND = "33" * 32, "11" * 32, "22" * 32


def address(key: str) -> str:
    return WalletSigner(SignerWallet(key)).address


ENTRANCES: dict[str, Callable[[House], Awaitable[object]]] = {
    "a stage": lambda house: house.stage(Stage.RECONCILE),
    "a stage by hand": lambda house: invoke(house.runtime, "reconcile", {"account": "main"}),
    "a cycle by hand": lambda house: invoke(house.runtime, "cycle", {"account": "main"}),
    "a stop": lambda house: stop_account(house.runtime, "main", by="a test"),
    "a stop of everything": lambda house: stop_all(house.runtime, by="a test"),
    "a removal": lambda house: remove_account(house.runtime, "main", by="a test"),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
async def test_another_paper_exchange_is_refused_and_nothing_is_booked(
    database_url: str, database: Database, entrance: str
) -> None:
    async with built_house(database_url, seed=8) as house:
        await house.stage(Stage.RECONCILE)
        async with database.open_work() as work:
            before = await work.holds.last_equity("main")
    async with built_house(database_url, seed=9) as elsewhere:
        await elsewhere.pass_time()
        with pytest.raises(ForeignBooks, match="holds the books of another paper exchange"):
            await ENTRANCES[entrance](elsewhere)

    async with database.open_work() as work:
        assert (await work.accounts.get("main")).status is AccountStatus.ACTIVE
        assert await work.stops.get("main") is None
        assert await work.holds.last_equity("main") == before


async def test_an_exchange_that_went_on_with_its_books_elsewhere_is_the_same(database_url: str, tmp_path: Path) -> None:
    async with built_house(database_url, state=tmp_path / "kept") as house:
        await house.stage(Stage.RECONCILE)
    async with built_house(database_url, state=tmp_path / "kept", asterdex_base_url="http://127.0.0.1:3999") as again:
        assert (await again.next_cycle())["reconcile"]["discrepancies"] == []


async def test_books_of_the_same_market_kept_in_another_folder_are_others(database_url: str, tmp_path: Path) -> None:
    async with built_house(database_url, state=tmp_path / "one") as house:
        await house.stage(Stage.RECONCILE)
    async with built_house(database_url, state=tmp_path / "two") as copy:
        with pytest.raises(ForeignBooks):
            await copy.stage(Stage.RECONCILE)


async def test_an_exchange_that_is_replaced_while_we_run_is_noticed(database_url: str) -> None:
    async with built_house(database_url) as house:
        await house.cycle()
        house.venue.books = "another's"
        outcome = await house.next_cycle()

    assert outcome["fetch"]["error"] == outcome["reconcile"]["error"] == "ForeignBooks"


async def test_a_stop_does_not_wait_for_an_exchange_that_hangs(database_url: str) -> None:
    async with built_house(database_url) as house:
        await house.stage(Stage.RECONCILE)

        async def hang() -> None:
            await asyncio.Event().wait()

        house.runtime.market.emulation = hang  # type: ignore[method-assign,assignment]
        stopped = await stop_account(house.runtime, "main", by="a test", patience=timedelta(seconds=1))
        async with house.runtime.open_work() as work:
            status = (await work.accounts.get("main")).status

    assert (stopped.flat, status) == (False, AccountStatus.HALTED)


async def test_a_new_key_of_the_same_account_is_welcome(database_url: str) -> None:
    market, owner = synthetic_market(seed=8, symbols=SYMBOLS), address(OWNER)
    async with built_house(database_url, market=market, asterdex_private_key=FIRST, asterdex_user=owner) as house:
        approve(house.venue, FIRST)
        await house.stage(Stage.RECONCILE)
    async with built_house(database_url, market=market, asterdex_private_key=SECOND, asterdex_user=owner) as rotated:
        approve(rotated.venue, SECOND)
        await rotated.stage(Stage.RECONCILE)
        async with rotated.runtime.open_work() as work:
            wallet = await work.owners.wallet("main")

    assert wallet == Wallet(f"{address(SECOND)} for {owner}", owner.lower()[-6:])


async def test_a_key_of_another_wallet_is_refused(database_url: str) -> None:
    async with built_house(database_url, asterdex_private_key=FIRST) as house:
        await house.stage(Stage.RECONCILE)
    async with built_house(database_url, asterdex_private_key=SECOND) as other:
        with pytest.raises(ForeignBooks, match=r"the books of wallet \w+ at the exchange, and its key opens \w+:"):
            await other.stage(Stage.RECONCILE)


async def test_a_key_of_another_wallet_is_refused_when_it_is_said(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOTHER_KEY", SECOND)
    async with built_house(database_url, asterdex_private_key=FIRST) as house:
        await house.stage(Stage.RECONCILE)
        said = {"exchange": {"private_key": "${ANOTHER_KEY}"}}
        with pytest.raises(ForeignBooks, match="account main"):
            await change_account(house.runtime, "main", said, version=1, by="ann")


def test_networks_are_told_apart_and_what_is_not_told_proves_nothing() -> None:
    require_owner(None, Owner("live"), "")
    require_owner(Owner("paper"), Owner("paper", "told by now"), "")
    require_owner(Owner("paper", "told"), Owner("paper"), "")
    require_wallet("main", Wallet("old key"), Wallet("new key", "SgsR"))
    require_wallet("main", Wallet("old key", "SgsR"), Wallet("new key"))
    with pytest.raises(ForeignBooks, match="the books of live trading, and TRADING_MODE is testnet"):
        require_owner(Owner("live"), Owner("testnet"), "")


def approve(venue: Venue, key: str) -> None:
    """Have the wallet of that key sign for the owner's account."""
    venue.register.approve(Agent(owner=address(OWNER).lower(), address=address(key).lower()))
