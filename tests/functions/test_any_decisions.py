"""Whatever a model decides, on whatever market: after every cycle positions are protected and the books are theirs."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from scripts.books import differences, ours, theirs
from shared.db import migrate
from tests.house import House, built_house

LOOSE = {
    "risk_cooldown": "1s",
    "risk_flip_cooldown": "1s",
    "risk_max_daily_loss": "0.9",
    "risk_max_drawdown": "0.9",
    "risk_min_reward_to_risk": "0",
    "risk_per_trade": "0.2",
    "risk_max_position_fraction": "1",
}
"""Few refusals, so that much happens."""

Wish = tuple[str, str, int, int, float, float]
WISHES = st.tuples(
    st.sampled_from(["BTCUSDT", "BTCUSDT", "ETHUSDT"]),
    st.sampled_from(["buy", "sell", "close"]),
    st.sampled_from([700, 1500, 4000, 0, 3]),
    st.sampled_from([1, 3, 20]),
    st.sampled_from([0.02, 0.005]),
    st.sampled_from([0.09, 0.01]),
)
CYCLES = st.lists(
    st.tuples(st.lists(WISHES, min_size=1, max_size=2), st.sampled_from([5, 60, 480])), min_size=3, max_size=8
)


async def decision(house: House, wish: Wish) -> dict[str, Any]:
    symbol, action, usd, leverage, stop, target = wish
    price = await house.mark(symbol)
    sign = -1 if action == "sell" else 1
    levels: dict[str, Any] = {}
    if action != "close":
        levels = {
            "stop_loss": float(price * (1 - sign * Decimal(str(stop)))),
            "take_profit": float(price * (1 + sign * Decimal(str(target)))),
            "leverage": leverage,
        }
    return await house.wish(symbol, action, allocation_usd=usd, **levels)


async def assert_sound(house: House) -> None:
    """Every position has its stop and its target, nothing rests without a position, and the books are the same."""
    held = await house.venue_positions()
    resting = await house.venue_orders(status="NEW")
    side = {symbol: "SELL" if size > 0 else "BUY" for symbol, size in held.items()}
    assert sorted((order["symbol"], order["side"], order["type"]) for order in resting) == sorted(
        (symbol, side[symbol], kind) for symbol in held for kind in ("STOP_MARKET", "TAKE_PROFIT_MARKET")
    )
    mine, since = await ours(house.runtime.database, "main")
    assert differences(mine, theirs(await house.venue_books(), since=since)) == []


@given(seed=st.integers(0, 10**6), cycles=CYCLES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_every_cycle_every_position_is_protected_and_the_books_are_equal(
    database_url: str, seed: int, cycles: list[tuple[list[Wish], int]]
) -> None:
    async def trade() -> None:
        await migrate.downgrade(database_url, "base")
        await migrate.upgrade(database_url)
        async with built_house(database_url, seed=seed, **LOOSE) as house:
            for wishes, minutes in cycles:
                await house.pass_time(timedelta(minutes=minutes))
                house.model.will_decide(*[await decision(house, wish) for wish in wishes])
                outcome = await house.cycle()
                assert "error" not in outcome["reconcile"]
                async with house.runtime.open_work() as work:
                    for each in await work.decisions.of_cycle(house.request):
                        event(f"{each.review.move or each.review.code}")
                await assert_sound(house)

    asyncio.run(trade())
