"""How long a position stood without a stop is on record, whoever put it right, and never less than it was."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from shared.domain.cycle import Stage
from shared.domain.tally import Counted
from tests.house import House


async def spells(house: House) -> list[tuple[str, str, float | None]]:
    """Return symbol, direction and seconds of every spell, the first one first."""
    async with house.runtime.database.reading() as connection:
        rows = await connection.execute(
            text("""
            SELECT symbol, direction, extract(epoch FROM until - since) AS seconds FROM naked_spells ORDER BY since
            """)
        )
        return [(row.symbol, row.direction, None if row.seconds is None else float(row.seconds)) for row in rows]


async def total(house: House, name: str, **parts: Any) -> float:
    async with house.runtime.database.reading() as connection:
        value = await connection.scalar(
            text("SELECT sum(value) FROM tallies WHERE name = :name AND outcome = coalesce(:outcome, outcome)"),
            {"name": name, "outcome": parts.get("outcome")},
        )
    return float(value or 0)


async def cancel_stops(house: House) -> None:
    """Have somebody cancel every resting stop by hand."""
    for order in await house.runtime.exchange("main").open_orders(["BTCUSDT"]):
        if order.type.value == "STOP_MARKET":
            await house.runtime.exchange("main").cancel(order.symbol, order.client_order_id)


async def test_an_entry_is_naked_until_its_stop_rests(house: House) -> None:
    await house.enter()

    assert await spells(house) == [("BTCUSDT", "LONG", 0.0)]  # no time passes while a stage is at work here
    assert await total(house, "naked_spells") == 1


async def test_a_stop_that_vanished_counts_from_the_last_time_it_was_seen(house: House) -> None:
    await house.enter()
    await cancel_stops(house)
    await house.pass_time(timedelta(minutes=5))

    await house.stage(Stage.RECONCILE)

    assert await spells(house) == [("BTCUSDT", "LONG", 0.0), ("BTCUSDT", "LONG", 300.0)]
    assert await total(house, "naked_seconds") == 300


async def test_a_protected_position_begins_no_spell(house: House) -> None:
    await house.enter()
    await house.next_cycle()
    await house.next_cycle()

    assert len(await spells(house)) == 1


async def test_what_a_cycle_asked_of_the_exchange_is_counted_by_what_came_of_it(house: House) -> None:
    await house.spoil("GET", "/fapi/v3/klines", "reset-before")
    await house.cycle()

    assert await total(house, "exchange_calls", outcome="answered") > 5
    assert await total(house, "exchange_calls", outcome="venue_unreachable") == 1
    assert house.runtime.tally.take() == {}


async def test_a_stage_that_fails_is_counted_with_its_reason(house: House) -> None:
    await house.spoil("GET", "/fapi/v3/accountWithJoinMargin", "error:-2015-before")
    await house.cycle()

    assert await total(house, "stage_failures", outcome="not_authorised") == 1


async def test_counts_outlive_a_database_that_is_away(house: House) -> None:
    what = Counted("exchange_calls", subject="GET /x", outcome="answered")
    house.runtime.tally.count(what, 2)
    async with house.runtime.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE tallies RENAME TO elsewhere"))

    await house.runtime.write_down()
    async with house.runtime.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO tallies"))
    await house.runtime.write_down()

    assert await total(house, "exchange_calls") == 2
