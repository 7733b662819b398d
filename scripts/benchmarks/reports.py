"""
How reports grow with an account's history: `python -m scripts.benchmarks.reports`.

Two databases on one server of their own, in a temporary folder that is deleted at the end: one with the trades of a
hundred days, one with those of a thousand, a thousand trades a day, and with five-minute points of equity, questions
and decisions for all of that time. Every report alternates between the two, so that a busy moment slows both: medians,
and how many times the small one's. So does booking one more round trip and one more point of equity. At last, how long
it takes to make all the books of each anew.

A million trades take 1 GB, and some minutes of two slow cores, most of them for the books: run it with `nice`.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import asyncpg
from sqlalchemy import make_url, text

from scripts.benchmarks.candles import Read, medians_ms
from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.db.reports import Reports
from shared.db.unit_of_work import Database
from shared.domain.account import Account
from shared.domain.assessment import assess
from shared.domain.curve import Period
from shared.domain.market import Timeframe
from shared.domain.order import Fill, Side
from shared.domain.performance import EquityPoint

TRADES_A_DAY = 1000
START = datetime(2020, 1, 1, tzinfo=UTC)
READS = 30

FILL = """
INSERT INTO fills (account_id, symbol, trade_id, venue_order_id, side, price, quantity, realized_pnl, commission,
    commission_asset, maker, at)
SELECT 'main', 'COIN' || (k / 2 % 10) || 'USDT', k, k, CASE k % 2 WHEN 0 THEN 'BUY' ELSE 'SELL' END,
    100 + k % 37, 1, CASE k % 2 WHEN 0 THEN 0 ELSE (k * 7919 % 1009) / 100.0 - 5 END, 0.05, 'USDT', false,
    '{start}'::timestamptz + k * interval '86.4 seconds'
FROM generate_series(0::bigint, {days} * 1000 - 1) AS k;
INSERT INTO equity (account_id, at, wallet, unrealized, deposited, unexplained)
SELECT 'main', '{start}'::timestamptz + k * interval '5 minutes', 10000 + (k * 7919 % 1009), 0, 10000, 0
FROM generate_series(0::bigint, {days} * 288 - 1) AS k;
INSERT INTO model_calls (account_id, tick, at, purpose, turn, asked_model, prompt_version, prompt_system, prompt_user,
    prompt_turns, parameters, content, raw, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, cost,
    estimated, latency_ms)
SELECT 'main', moment, moment, 'decision', 0, 'maker/model', 'v1', '', '', '[]', '{{}}', '', '{{}}', 1, 0, 1, 0, 0.001,
    false, 1
FROM generate_series(0::bigint, {days} * 288 - 1) AS k,
    LATERAL (SELECT '{start}'::timestamptz + k * interval '5 minutes') AS t (moment);
INSERT INTO model_spending SELECT 'main', '{start}'::date + k::int, 0, 0.288 FROM generate_series(0, {days} - 1) AS k;
INSERT INTO decisions (account_id, tick, position, asset, action, verdict, decision, review)
SELECT 'main', '{start}'::timestamptz + k * interval '5 minutes', 0, 'COIN0USDT', 'buy', 'approved', '{{}}', '{{}}'
FROM generate_series(0::bigint, {days} * 288 - 1) AS k;
"""


def account() -> Account:
    """Return the account whose history it is."""
    symbols = tuple(f"COIN{n}USDT" for n in range(10))
    return Account(
        id="main", symbols=symbols, timeframes=(Timeframe.M5,), interval=timedelta(minutes=5), model="maker/model"
    )


async def filled(url: str, days: int) -> tuple[Database, float]:
    """Return a database with the history of *days*, and in how many seconds its books were made."""
    await upgrade(url)
    database = Database(url, long_lived=True)
    async with database.open_work() as work:
        await work.accounts.configure([account()])
    for statement in FILL.format(start=START, days=days).split(";"):
        if statement.strip():
            async with database.transaction() as connection:
                await connection.execute(text(statement))
    began = time.perf_counter()
    async with database.open_work() as work:
        await work.holds.add_equity("main", _point(START + timedelta(days=days)))
    took = time.perf_counter() - began
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute("VACUUM (ANALYZE)")
    await connection.close()
    return database, took


def work_of(database: Database, days: int) -> dict[str, Read]:
    """Return what is measured, by name. Each returns whether it found what it should."""
    reports, number, points = Reports(database), count(days * TRADES_A_DAY), count(1)
    end = START + timedelta(days=days)

    async def closed() -> bool:
        return len((await reports.closed_positions(account="main", limit=100)).rows) == 100

    async def middle() -> bool:
        found = await reports.closed_positions(account="main", until=START + timedelta(days=days / 2), limit=100)
        return len(found.rows) == 100

    async def record() -> bool:
        outline = await reports.record("main")
        return assess(outline.days, outline.traded).round_trips >= days * TRADES_A_DAY // 2

    async def curve() -> bool:
        drawn, _ = await reports.curve("main", since=None, until=None, most=500)
        return len(drawn) > 9

    async def day() -> bool:
        drawn, _ = await reports.curve("main", since=end - timedelta(days=1), until=None, most=500)
        return len(drawn) > 200

    async def returns() -> bool:
        return len((await reports.returns(period=Period.MONTH, account="main")).rows) > 0

    async def edge() -> bool:
        return bool((await reports.edge(account="main"))["total"]["round_trips"] >= 5000)

    async def costs() -> bool:
        return len((await reports.costs(account="main", limit=10)).rows) == 10

    async def trade() -> bool:
        first = next(number)
        async with database.open_work() as work:
            await work.fills.save("main", [_fill(first * 2, Side.BUY, end)])
            new = await work.fills.save("main", [_fill(first * 2 + 1, Side.SELL, end)])
        return len(new) == 1

    async def look() -> bool:
        async with database.open_work() as work:
            await work.holds.add_equity("main", _point(end + next(points) * timedelta(seconds=1)))
        return True

    return {
        "newest page of closed positions": closed,
        "a page from the middle": middle,
        "the record and its numbers": record,
        "the whole curve in 500 points": curve,
        "the last day of the curve": day,
        "returns by the month": returns,
        "edge": edge,
        "costs of ten days": costs,
        "booking a round trip": trade,
        "booking a point of equity": look,
    }


def _fill(trade_id: int, side: Side, at: datetime) -> Fill:
    return Fill(
        trade_id=trade_id,
        venue_order_id=trade_id,
        symbol="COIN0USDT",
        side=side,
        price=Decimal(100),
        quantity=Decimal(1),
        realized_pnl=Decimal(side is Side.SELL),
        commission=Decimal("0.05"),
        commission_asset="USDT",
        maker=False,
        at=at,
    )


def _point(at: datetime) -> EquityPoint:
    return EquityPoint(at=at, wallet=Decimal(10100), unrealized=Decimal(0), deposited=Decimal(10000))


async def measured(url: str, small_days: int, large_days: int) -> None:
    """Fill, measure and print."""
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute("CREATE DATABASE small")
    await connection.close()
    small, small_took = await filled(
        make_url(url).set(database="small").render_as_string(hide_password=False), small_days
    )
    large, large_took = await filled(url, large_days)
    beside = work_of(small, small_days)
    print(f"{'':34}{small_days * TRADES_A_DAY:>12,}{large_days * TRADES_A_DAY:>12,} trades")
    for name, read in work_of(large, large_days).items():
        one, other = await medians_ms(READS, beside[name], read)
        print(f"{name:34}{one:>9.1f} ms{other:>9.1f} ms  {other / one:.2f} ×", flush=True)
    print(f"{'all the books anew':34}{small_took:>9.1f} s {large_took:>9.1f} s   {large_took / small_took:.0f} ×")
    for database in (small, large):
        await database.close()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmarks.reports", description="Measure how reports grow with an account's history."
    )
    parser.add_argument("--days", type=int, nargs=2, default=[100, 1000], help="of each history (default 100 1000)")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder) / "postgres", durable=False) as url:
        asyncio.run(measured(url, *chosen.days))
    return 0


if __name__ == "__main__":
    sys.exit(main())
