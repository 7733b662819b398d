"""Whatever the exchange does for a while: then the books are right, what is held is protected, nothing is twice."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from emulators.aster.doors.faults import KINDS
from shared.domain.account import AccountStatus
from shared.domain.order import Leg, leg_named
from tests.house import FIVE_MINUTES, House, built_house

SPELLED = {
    "delay-ms:N": ["delay-ms:20"],
    "delay-ms:N-before": ["delay-ms:20-before"],
    "error:CODE-before": ["error:-1007-before", "error:-1000-before"],
    "error:CODE-after": ["error:-1007-after", "error:-1001-after"],
    "html-STATUS": ["html-502", "html-200"],
    "html-STATUS-after": ["html-504-after"],
    "stale-ms:N": ["stale-ms:60000"],
    "missing:FIELD": ["missing:status", "missing:orderId", "missing:symbol"],
    "clock-skew-ms:N": ["clock-skew-ms:-90000", "clock-skew-ms:40000"],
}
LIMITS = {"risk_max_daily_loss": "0.9", "risk_max_drawdown": "0.9", "risk_cooldown": "1m", "risk_flip_cooldown": "1m"}


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A house in which the market moves on while somebody waits."""
    async with built_house(database_url, **LIMITS) as built:

        async def wait(seconds: float) -> None:
            await built.pass_time(timedelta(seconds=seconds))

        for client in (built.runtime.market._client, built.runtime.exchange("main")._client):
            client._sleep = wait
        with patch("functions.sending.sleep", wait):
            yield built


async def undisturbed(house: House) -> list[str]:
    """Say what is wrong once nothing disturbs any more, and what was in doubt can be known."""
    outcome, wrong = await house.next_cycle(), []
    books = await house.venue_books()
    ours = {each.symbol: each.quantity * each.direction.sign for each in await house.our_positions()}
    theirs = {each["symbol"]: Decimal(each["positionAmt"]) for each in books["positions"]}
    async with house.runtime.open_work() as work:
        point, alive = await work.holds.last_equity("main"), await work.orders.alive("main")
        account = await work.accounts.get("main")
    resting = [order for order in books["orders"] if order["status"] in {"NEW", "PARTIALLY_FILLED"}]
    stops = Counter((order["symbol"], order["side"]) for order in resting if order["type"] == "STOP_MARKET")
    names = Counter(order["clientOrderId"] for order in books["orders"])

    if failed := [stage for stage, result in outcome.items() if isinstance(result, dict) and "error" in result]:
        wrong.append(f"failed: {failed}")
    if ours != theirs:
        wrong.append(f"we hold {ours}, the exchange {theirs}")
    if point is None or point.unexplained or point.wallet != Decimal(books["wallet"]):
        wrong.append(f"the wallet is {books['wallet']}, ours {point}")
    if {order["clientOrderId"] for order in resting} != {order.client_order_id for order in alive}:
        wrong.append(f"at the exchange rest {resting}, ours are {alive}")
    if stops != Counter((symbol, "SELL" if size > 0 else "BUY") for symbol, size in theirs.items()):
        wrong.append(f"{theirs} has the stops {stops}")
    if twice := [name for name, count in names.items() if count > 1]:
        wrong.append(f"sent twice: {twice}")
    if account.status is not AccountStatus.ACTIVE:
        wrong.append(f"the account is {account.status}")
    return wrong


async def test_no_kind_of_fault_leaves_wrong_books_a_naked_position_or_an_order_twice(house: House) -> None:
    """Each strikes a third of all requests of one cycle, and the first two orders of another."""
    wrong: dict[str, list[str]] = {}
    await house.cycle()
    kinds = [kind for pattern in KINDS for kind in SPELLED.get(pattern, [pattern])]
    for number, kind in enumerate(kinds):
        for where in ({"path": "/fapi/*", "probability": 0.3, "seed": number}, {"path": "/fapi/v3/order", "count": 2}):
            await house.pass_time(FIVE_MINUTES)
            held = await house.venue_positions()
            house.model.will_decide(await house.wish(action="close" if held else "buy"))
            await house.spoil_by(kind=kind, method="*" if "seed" in where else "POST", **where)
            await house.cycle()
            await house.clear_faults()
            house.model.answers.clear()
            if found := await undisturbed(house):
                wrong[f"{kind} at {where}"] = found

    assert wrong == {}
    filled = [order for order in (await house.venue_books())["orders"] if order["status"] == "FILLED"]
    assert Counter(leg_named(order["clientOrderId"]) for order in filled)[Leg.ENTRY] > len(kinds) / 2
