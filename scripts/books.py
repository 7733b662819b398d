"""Holds our books against the exchange's own, to the last decimal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from shared.db import tables
from shared.db.unit_of_work import Database

NEVER_LANDED = ("REJECTED", "ABSENT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """One account's books. Rows are keyed by the exchange's own ids; numbers compare by value, not by spelling."""

    wallet: Decimal
    orders: Mapping[str, tuple[Any, ...]]
    """Client order id: state, executed quantity, average price."""
    fills: Mapping[tuple[str, int], tuple[Any, ...]]
    """(Symbol, trade id): side, price, quantity, realized profit, commission."""
    incomes: Mapping[tuple[str, str], Decimal]
    """(Kind, transaction id): amount, of what no trade tells and what came after the first balance we saw."""
    positions: Mapping[str, Decimal]
    """Symbol: signed quantity."""

    def kinds(self) -> dict[str, int]:
        """Return how many orders of each leg filled."""
        filled = [name.split("-")[1] for name, row in self.orders.items() if row[0] == "FILLED" and "-" in name]
        return {leg: filled.count(leg) for leg in ("entry", "exit", "stop", "target")}

    def total(self, column: int) -> Decimal:
        """Return the sum of a column of the fills."""
        return sum((row[column] for row in self.fills.values()), Decimal(0))

    def funding(self) -> Decimal:
        """Return what funding added to the wallet."""
        return sum((amount for (kind, _), amount in self.incomes.items() if kind == "FUNDING_FEE"), Decimal(0))


def theirs(document: Mapping[str, Any], *, since: datetime) -> Books:
    """Read the books that the emulator lays open. What happened up to *since* was there before we came."""
    return Books(
        wallet=Decimal(document["wallet"]),
        orders={
            row["clientOrderId"]: (row["status"], Decimal(row["executedQty"]), Decimal(row["avgPrice"]))
            for row in document["orders"]
        },
        fills={
            (row["symbol"], int(row["id"])): (
                row["side"],
                *(Decimal(row[name]) for name in ("price", "qty", "realizedPnl", "commission")),
            )
            for row in document["trades"]
        },
        incomes={
            (row["incomeType"], f"{row['incomeType']}:{row['tranId']}"): Decimal(row["income"])
            for row in document["income"]
            if row["incomeType"] not in {"REALIZED_PNL", "COMMISSION"} and row["time"] > since.timestamp() * 1000
        },
        positions={row["symbol"]: Decimal(row["positionAmt"]) for row in document["positions"]},
    )


async def ours(database: Database, account_id: str) -> tuple[Books, datetime]:
    """Read the books in the database, and when they begin.

    The wallet is what the first deposit and every row since add up to.
    """
    async with database.transaction() as connection:

        async def rows(table: Any) -> Sequence[Any]:
            return (await connection.execute(select(table).where(table.c.account_id == account_id))).all()

        orders = [row for row in await rows(tables.orders) if row.state not in NEVER_LANDED]
        fills, incomes = await rows(tables.fills), await rows(tables.incomes)
        positions, curve = await rows(tables.positions), await rows(tables.equity)
    first = min(curve, key=lambda point: point.at)
    traded = sum((row.realized_pnl - row.commission for row in fills), Decimal(0))
    other = {(row.kind, row.transaction_id): row.amount for row in incomes if row.at > first.at}
    books = Books(
        wallet=first.deposited + traded + sum(other.values(), Decimal(0)),
        orders={row.client_order_id: (row.state, row.executed_quantity, row.average_price) for row in orders},
        fills={
            (row.symbol, row.trade_id): (row.side, row.price, row.quantity, row.realized_pnl, row.commission)
            for row in fills
        },
        incomes=other,
        positions={row.symbol: row.quantity * (1 if row.direction == "LONG" else -1) for row in positions},
    )
    return books, first.at


def differences(mine: Books, their: Books) -> list[str]:
    """Return every difference as a line; none when the books are the same."""
    lines = [] if mine.wallet == their.wallet else [f"wallet: ours {mine.wallet}, theirs {their.wallet}"]
    for name in ("orders", "fills", "incomes", "positions"):
        left, right = getattr(mine, name), getattr(their, name)
        lines += [
            f"{name} {key}: ours {left.get(key, 'nothing')}, theirs {right.get(key, 'nothing')}"
            for key in sorted(left.keys() | right.keys())
            if left.get(key) != right.get(key)
        ]
    return lines
