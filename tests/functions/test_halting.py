"""One account's failure halts that account: nothing opens, what is open is looked after, and a person resumes it."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage
from shared.domain.errors import NotAuthorised
from shared.domain.position import Modes
from tests.house import House

ORDER, HOLDINGS = "/fapi/v3/order", "/fapi/v3/accountWithJoinMargin"


async def standing(house: House) -> tuple[AccountStatus, str]:
    """Return the account's status and why it is so."""
    async with house.runtime.database.reading() as connection:
        row = (await connection.exec_driver_sql("SELECT status, status_reason FROM accounts")).one()
    return AccountStatus(row.status), row.status_reason


async def resume(house: House) -> None:
    async with house.runtime.open_work() as work:
        await work.accounts.set_status("main", AccountStatus.ACTIVE, "by hand")


async def change_modes(house: House, **changes: Any) -> None:
    """Have the account look as if it had traded in other modes until now."""
    async with house.runtime.open_work() as work:
        known = (await work.accounts.sighting("main")).modes
        assert known is not None
        modes = {"hedged": known.hedged, "isolated": known.isolated} | changes
        await work.accounts.remember_modes("main", Modes(**modes))


async def test_a_key_that_was_revoked_halts_the_account_when_it_is_looked_at(house: House) -> None:
    await house.enter()
    await house.pass_time()
    await house.spoil("GET", HOLDINGS, "error:-2015-before")

    with pytest.raises(NotAuthorised):
        await house.stage(Stage.FETCH)

    status, reason = await standing(house)
    assert status is AccountStatus.HALTED
    assert "-2015" in reason


async def test_a_key_that_may_not_trade_any_more_halts_the_account_when_it_trades(house: House) -> None:
    house.model.will_decide(await house.wish())
    await house.spoil("POST", ORDER, "error:-2015-before")

    await house.cycle()

    status, reason = await standing(house)
    assert status is AccountStatus.HALTED
    assert "-2015" in reason
    assert await house.venue_positions() == {}


async def test_a_halted_account_asks_no_model_and_is_reconciled_until_a_person_resumes_it(house: House) -> None:
    await house.enter()
    await house.pass_time()
    await house.spoil("GET", HOLDINGS, "error:-2015-before")
    with pytest.raises(NotAuthorised):
        await house.stage(Stage.FETCH)
    asked = len(house.model.questions)

    outcome = await house.next_cycle()

    assert outcome.keys() == {"account", "tick", "reconcile"}
    assert outcome["reconcile"]["positions"]
    assert len(house.model.questions) == asked
    await resume(house)
    assert (await house.next_cycle()).keys() >= {"fetch", "decide", "execute", "reconcile"}


async def test_an_account_that_is_halted_keeps_the_first_reason(house: House) -> None:
    await house.spoil("GET", HOLDINGS, "error:-2015-before")
    with pytest.raises(NotAuthorised):
        await house.stage(Stage.RECONCILE)
    first = await standing(house)
    await house.spoil("GET", HOLDINGS, "error:-2014-before")

    with pytest.raises(NotAuthorised):
        await house.stage(Stage.RECONCILE)

    assert await standing(house) == first


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ({"hedged": True}, "the account is in one-way mode"),
        ({"isolated": frozenset({"BTCUSDT"})}, "BTCUSDT has cross margin"),
    ],
)
async def test_a_mode_that_somebody_changed_halts_the_account_before_it_trades(
    house: House, before: dict[str, Any], said: str
) -> None:
    await house.enter()
    await change_modes(house, **before)
    await house.pass_time()
    house.model.will_decide(await house.wish("ETHUSDT"), await house.wish("BTCUSDT", "close"))

    outcome = await house.cycle()

    status, reason = await standing(house)
    assert status is AccountStatus.HALTED
    assert said in reason
    codes = {each["asset"]: each["code"] for each in outcome["decide"]["decisions"]}
    assert codes == {"ETHUSDT": "account_active", "BTCUSDT": None}  # exits still work
    assert await house.venue_positions() == {}


async def test_an_account_that_is_resumed_trades_in_the_modes_it_is_found_in(house: House) -> None:
    await house.cycle()
    await change_modes(house, hedged=True)
    await house.next_cycle()
    await resume(house)

    outcome = await house.next_cycle()

    assert (await standing(house))[0] is AccountStatus.ACTIVE
    assert "error" not in outcome["fetch"]
    await house.pass_time(timedelta(minutes=5))
    assert (await standing(house))[0] is AccountStatus.ACTIVE


async def test_a_halt_is_told_to_people(house: House) -> None:
    await house.spoil("GET", HOLDINGS, "error:-2015-before")
    with pytest.raises(NotAuthorised):
        await house.stage(Stage.RECONCILE)

    async with house.runtime.database.reading() as connection:
        diary = (await connection.exec_driver_sql("SELECT text FROM diary")).scalars().all()
        events = (
            (await connection.exec_driver_sql("SELECT body ->> 'status' FROM events WHERE kind = 'account'"))
            .scalars()
            .all()
        )
    assert [line.split(":")[0] for line in diary] == ["halted"]
    assert list(events) == ["active", "halted"]


async def test_in_multi_assets_mode_the_books_are_those_of_the_asset_that_positions_are_settled_in(
    house: House,
) -> None:
    await house.runtime.exchange("main").margin.set_multi_assets(True)

    await house.enter()
    outcomes = [await house.next_cycle() for _ in range(3)]

    assert [outcome["reconcile"]["discrepancies"] for outcome in outcomes] == [[], [], []]
    assert outcomes[-1]["reconcile"]["wallet"] == (await house.venue_books())["wallet"]
