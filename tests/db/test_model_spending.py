"""A day's budget is a row: however many ask at once, what is spent and set aside together stays within it."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from shared.db.tables import model_spending
from shared.db.unit_of_work import Database
from shared.domain.model_health import ModelHealth
from tests.db.samples import TICK, open_accounts

DAY = TICK.date()
BUDGET = Decimal(1)


async def reserve(database: Database, amount: Decimal, *, day: date = DAY, budget: Decimal | None = BUDGET) -> bool:
    async with database.open_work() as work:
        return await work.model_spending.reserve("main", day, amount, budget)


async def settle(database: Database, amount: Decimal, cost: Decimal, day: date = DAY) -> None:
    async with database.open_work() as work:
        await work.model_spending.settle("main", day, amount, cost)


async def books(database: Database, day: date = DAY) -> tuple[Decimal, Decimal]:
    """What is set aside, and what is spent."""
    kept = model_spending.c
    async with database.reading() as connection:
        found = await connection.execute(select(kept.reserved, kept.spent).where(kept.day == day))
        row = found.one_or_none()
    return (Decimal(0), Decimal(0)) if row is None else (row.reserved, row.spent)


async def test_many_who_ask_at_once_set_aside_no_more_than_there_is(database: Database) -> None:
    await open_accounts(database)

    granted = await asyncio.gather(*(reserve(database, Decimal("0.3")) for _ in range(20)))

    assert sum(granted) == 3
    assert await books(database) == (Decimal("0.9"), Decimal(0))


async def test_what_was_set_aside_and_not_spent_is_there_again(database: Database) -> None:
    await open_accounts(database)
    assert await reserve(database, Decimal("0.9"))
    assert not await reserve(database, Decimal("0.2"))

    await settle(database, Decimal("0.9"), Decimal("0.1"))

    assert await reserve(database, Decimal("0.9"))
    assert not await reserve(database, Decimal("0.000001"))


async def test_the_first_question_of_a_day_may_not_be_too_dear_either(database: Database) -> None:
    await open_accounts(database)

    assert not await reserve(database, Decimal("1.01"))
    assert await reserve(database, Decimal(1))


async def test_another_day_has_a_budget_of_its_own(database: Database) -> None:
    await open_accounts(database)
    await reserve(database, Decimal(1))

    assert await reserve(database, Decimal(1), day=DAY + timedelta(days=1))


async def test_without_a_budget_everything_is_counted_and_nothing_refused(database: Database) -> None:
    await open_accounts(database)

    assert await reserve(database, Decimal(1000), budget=None)
    await settle(database, Decimal(1000), Decimal(900))

    assert await books(database) == (Decimal(0), Decimal(900))


amounts = st.decimals("0.001", "0.5", places=3)


@given(
    questions=st.lists(
        st.tuples(amounts, st.decimals(0, 1, places=2), st.sampled_from(["answered", "lost", "died"])),
        min_size=1,
        max_size=12,
    )
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_whatever_questions_cost_at_once_the_budget_holds(
    database_url: str, questions: list[tuple[Decimal, Decimal, str]]
) -> None:
    async def all_at_once() -> None:
        database = Database(database_url, long_lived=True)
        try:
            async with database.transaction() as connection:
                await connection.execute(model_spending.delete())
            await open_accounts(database)
            seen: list[Decimal] = []
            expected = [Decimal(0), Decimal(0)]

            async def question(amount: Decimal, share: Decimal, fate: str) -> None:
                if not await reserve(database, amount):
                    return
                seen.append(sum(await books(database)))
                if fate == "died":
                    expected[0] += amount
                    return
                cost = amount if fate == "lost" else amount * share
                await settle(database, amount, cost)
                expected[1] += cost
                seen.append(sum(await books(database)))

            await asyncio.gather(*(question(*each) for each in questions))
            assert all(together <= BUDGET for together in seen)
            assert await books(database) == tuple(expected)
        finally:
            await database.close()

    asyncio.run(all_at_once())


async def test_how_the_models_do_comes_back_as_it_was_stored(database: Database) -> None:
    await open_accounts(database)
    health = ModelHealth(failures=4, manage_only_since=TICK, reason="no \x00 answer", asks_again_at=None)

    async with database.open_work() as work:
        assert await work.model_health.get("main") == ModelHealth()
        await work.model_health.save("main", ModelHealth(failures=1))
        await work.model_health.save("main", health)

    async with database.open_work() as work:
        stored = await work.model_health.get("main")
        assert stored.reason == "no � answer"
        assert (stored.failures, stored.manage_only_since, stored.asks_again_at) == (4, TICK, None)
        assert await work.model_health.get("other") == ModelHealth()
