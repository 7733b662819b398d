"""What an account has paid: today and in all, in the money of the books, and nobody else's."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from shared.db.unit_of_work import Database
from shared.domain.breakers import midnight
from shared.domain.expenses import Expenses, Paid
from shared.domain.order import Income, IncomeKind
from tests.db.samples import TICK, a_fill, open_accounts

TODAY, YESTERDAY = midnight(TICK), midnight(TICK) - timedelta(hours=1)


def an_income(number: int, amount: str, kind: IncomeKind = IncomeKind.FUNDING_FEE, asset: str = "USDT") -> Income:
    at = TODAY if number else YESTERDAY
    return Income(transaction_id=str(number), kind=kind, symbol=None, amount=Decimal(amount), asset=asset, at=at)


async def test_an_account_without_books_has_paid_nothing(database: Database) -> None:
    await open_accounts(database, "main")
    nothing = Paid(fees=Decimal(0), funding=Decimal(0), models=Decimal(0))

    async with database.open_work() as work:
        assert await work.expenses.paid("main", TODAY) == Expenses(today=nothing, in_all=nothing)


async def test_fees_funding_and_models_are_told_for_today_and_in_all(database: Database) -> None:
    await open_accounts(database, "main", "other")
    fee = replace(a_fill(1), at=TODAY, commission=Decimal("0.5"), commission_asset="USDT")
    fills = [
        fee,
        replace(fee, trade_id=2, at=YESTERDAY, commission=Decimal(2)),
        replace(fee, trade_id=3, commission=Decimal(9), commission_asset="ASTER"),
    ]
    incomes = [
        an_income(0, "-0.25"),
        an_income(1, "0.75"),
        an_income(2, "100", IncomeKind.TRANSFER),
        an_income(3, "-7", asset="ASTER"),
    ]
    async with database.open_work() as work:
        await work.fills.save("main", fills)
        await work.fills.save("other", fills)
        await work.incomes.save("main", incomes)
        for day, cost in ((TODAY, "0.01"), (YESTERDAY, "0.04")):
            await work.model_spending.reserve("main", day.date(), Decimal(1), None)
            await work.model_spending.settle("main", day.date(), Decimal(1), Decimal(cost))

    async with database.open_work() as work:
        found = await work.expenses.paid("main", TODAY)

    assert found.today == Paid(fees=Decimal("0.5"), funding=Decimal("-0.75"), models=Decimal("0.01"))
    assert found.in_all == Paid(fees=Decimal("2.5"), funding=Decimal("-0.5"), models=Decimal("0.05"))
