"""
How the lists of the API grow with what is stored: `python -m scripts.benchmarks.lists`.

A server of its own, in a temporary folder on disk that is deleted at the end, holds two databases: one whose tables
have 10,000 rows and one where each is filled to `--rows` in turn, in the order of time, for ten accounts. Of every list
it reads the newest page of 100, the one in the middle, and the one before a moment in the middle: without a filter, by
each of its filters for a value that many rows have and for one that a hundred rows have, whatever the size, and each of
these for one account, too. Every read alternates with the same of the small database; what is told is the quickest of
25, which a busy machine disturbs least, and how many times the small one's.

Events are told the oldest first: of them it reads the first page, and one in the middle. What has a row an account or a
day is not measured. Ten million rows take up to 12 GB at a time, and minutes a list on two slow cores: run it with
`nice`.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import make_url, text

from shared.db.embedded import embedded_postgres
from shared.db.migrate import upgrade
from shared.db.outbox import BEGINNING, Event, Place
from shared.db.paging import Page
from shared.db.reports import Reports
from shared.db.unit_of_work import Database

SMALL = 10_000
READS = 25
START = datetime(2020, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=3)
ACCOUNT = "a3"

# k is the row's number, `at` its moment, `tick` one that ten rows share, one an account; a hundred rows are rare.
FILL = """
INSERT INTO {table} ({columns})
SELECT {values}
FROM (
    SELECT k, 'a' || k % 10 AS account, k % ({rows} / 100) = 3 AS rare,
           '{start}'::timestamptz + k * interval '3 s' AS at,
           '{start}'::timestamptz + k / 10 * interval '30 s' AS tick, 'COIN' || k / 10 % 5 || 'USDT' AS coin
    FROM generate_series(0::bigint, {rows} - 1) AS k
) AS made
"""
ACCOUNTS = """
INSERT INTO accounts (id, status, config) SELECT 'a' || n, 'active', '{}' FROM generate_series(0, 9) AS n
"""
SYMBOL = "CASE WHEN rare THEN 'RAREUSDT' ELSE coin END"
DECISION = json.dumps({"allocation_usd": "0", "confidence": "0.5", "rationale": "No entry by the rules."})
REVIEW = json.dumps({"quantity": "0", "price": "0", "reason": ""})


@dataclass(frozen=True)
class List:
    """A list: what fills its tables, and its filters with a common and a rare value each."""

    name: str
    tables: dict[str, dict[str, str]]
    filters: dict[str, tuple[Any, Any]]


def either(rare: str, common: str) -> str:
    """Return the SQL of a value that rare rows have, or the others."""
    return f"CASE WHEN rare THEN '{rare}' ELSE {common} END"


DECISIONS = {
    "account_id": "account",
    "tick": "tick",
    "position": "0",
    "asset": SYMBOL,
    "action": either("buy", "'hold'"),
    "verdict": either("approved", "'held'"),
    "model": either("rare/model", "'author/model'"),
    "decision": f"'{DECISION}'",
    "review": f"'{REVIEW}'",
}
LISTS = (
    List(
        "decisions",
        {"decisions": DECISIONS},
        {
            "symbol": ("COIN3USDT", "RAREUSDT"),
            "action": ("hold", "buy"),
            "verdict": ("held", "approved"),
            "model": ("author/model", "rare/model"),
        },
    ),
    List(
        "model_calls",
        {
            "decisions": DECISIONS,
            "model_calls": {
                "account_id": "account",
                "tick": "tick",
                "at": "at",
                "purpose": either("replay", "'decision'"),
                "turn": "0",
                "asked_model": either("rare/model", "'author/model'"),
                "prompt_version": "'v1'",
                **dict.fromkeys(("prompt_system", "prompt_user"), "''"),
                **dict.fromkeys(("prompt_turns", "parameters", "raw"), "'[]'"),
                **{f"{name}_tokens": "100" for name in ("prompt", "cached", "completion", "reasoning")},
                "cost": "0.001",
                "estimated": "false",
                "latency_ms": "900",
            },
        },
        {
            "purpose": ("decision", "replay"),
            "model": ("author/model", "rare/model"),
            "symbol": ("COIN3USDT", "RAREUSDT"),
            "action": ("hold", "buy"),
        },
    ),
    List(
        "orders",
        {
            "orders": {
                "account_id": "account",
                "leg": "'entry'",
                "attempt": "0",
                "symbol": SYMBOL,
                "client_order_id": "'c' || k",
                "side": "'BUY'",
                "direction": "'LONG'",
                "type": "'MARKET'",
                "quantity": "1",
                "reduce_only": "false",
                "state": either("REJECTED", "'FILLED'"),
                "created_at": "at",
            }
        },
        {"symbol": ("COIN3USDT", "RAREUSDT"), "state": ("FILLED", "REJECTED")},
    ),
    List(
        "trades",
        {
            "fills": {
                "account_id": "account",
                "symbol": SYMBOL,
                "trade_id": "k",
                "venue_order_id": "k",
                "side": "'BUY'",
                **dict.fromkeys(("price", "quantity", "realized_pnl", "commission"), "1.5"),
                "commission_asset": "'USDT'",
                "maker": "false",
                "at": "at",
            }
        },
        {"symbol": ("COIN3USDT", "RAREUSDT")},
    ),
    List(
        "closed_positions",
        {
            "round_trips": {
                "account_id": "account",
                "symbol": SYMBOL,
                "position_side": "'BOTH'",
                **dict.fromkeys(("first_trade_id", "last_trade_id", "entry_order", "exit_order"), "k"),
                "direction": either("SHORT", "'LONG'"),
                "opened_at": "at - interval '1 hour'",
                "closed_at": "at",
                "held": "0",
                **dict.fromkeys(("entered", "entry_value", "exited", "exit_value", "realized", "fees"), "1.5"),
                "trades": "2",
                "model": either("rare/model", "'author/model'"),
                "exit": either("external", "'stop'"),
            }
        },
        {
            "symbol": ("COIN3USDT", "RAREUSDT"),
            "direction": ("LONG", "SHORT"),
            "model": ("author/model", "rare/model"),
            "exit_reason": ("stop", "external"),
        },
    ),
    List(
        "discrepancies",
        {
            "discrepancies": {
                "account_id": "account",
                "at": "at",
                "kind": either("liquidation", "'stale_order'"),
                "symbol": SYMBOL,
                **dict.fromkeys(("ours", "theirs", "action"), "''"),
            }
        },
        {"kind": ("stale_order", "liquidation"), "symbol": ("COIN3USDT", "RAREUSDT")},
    ),
    List("diary", {"diary": {"account_id": "account", "tick": "tick", "at": "at", "text": "''", "body": "'{}'"}}, {}),
    List(
        "equity",
        {
            "equity": {
                "account_id": "account",
                "at": "at",
                **dict.fromkeys(("wallet", "unrealized", "deposited", "unexplained"), "1000"),
            }
        },
        {},
    ),
    List(
        "audit",
        {
            "audit": {
                "at": "at",
                "caller": either("rare", "'often'"),
                "action": either("POST /stop", "'POST /functions/{stage}/invocations'"),
                "account_id": "account",
            },
            "audit_outcomes": {
                "audit_id": "k + 1",
                "at": "at",
                "status": either("422", "'200'") + "::integer",
                "code": either("bad_request", "'replayed'"),
                "account_id": "account",
            },
        },
        {
            "caller": ("often", "rare"),
            "action": ("POST /functions/{stage}/invocations", "POST /stop"),
            "code": ("replayed", "bad_request"),
        },
    ),
    List(
        "alerts",
        {
            "alerts": {
                "kind": either("naked_position", "'stale_data'"),
                "account_id": "account",
                "subject": "k::text",
                "severity": "'warning'",
                "text": "''",
                "raised_at": "at",
                "resolved_at": "CASE WHEN rare THEN NULL ELSE at END",
            }
        },
        {"kind": ("stale_data", "naked_position"), "standing": (False, True)},
    ),
    List(
        "changes",
        {
            "changes": {
                "account_id": "account",
                "kind": "'limits'",
                **dict.fromkeys(("wanted", "raises", "words"), "'[]'"),
                "proposed_by": "'somebody'",
                "proposed_at": "at",
                "due_at": "at",
                "state": either("withdrawn", "'applied'"),
            }
        },
        {"state": ("applied", "withdrawn")},
    ),
    # Told in the order of transactions: all of them from before the ones that are running now.
    List(
        "events",
        {
            "events": {
                "xid": "(3 + k * 500 / {rows})::text::xid8",
                "account_id": "account",
                "kind": either("breaker", "'order'"),
                "at": "at",
                "body": "'{}'",
            }
        },
        {"kind": ("order", "breaker")},
    ),
)


async def execute(url: str, *statements: str) -> None:
    """Run statements outside of transactions, with memory to build indexes and no look at what refers to what."""
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    await connection.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def fill(url: str, database: Database, table: str, columns: dict[str, str], rows: int) -> None:
    """Fill a table, which is indexed once it is full, and do what autovacuum would have done when the rows are old."""
    async with database.reading() as connection:
        found = await connection.execute(
            text(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :table "
                "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
            ),
            {"table": table},
        )
        indexes = found.all()
    made = FILL.format(
        table=table,
        columns=", ".join(columns),
        values=", ".join(columns.values()).replace("{rows}", str(rows)),
        rows=rows,
        start=START,
    )
    await execute(
        url,
        *(f"DROP INDEX {name}" for name, _ in indexes),
        made,
        *(definition for _, definition in indexes),
        f"VACUUM (ANALYZE) {table}",
        "CHECKPOINT",
    )


Read = Callable[[], Awaitable[Page | Sequence[Event]]]


def cases(wanted: List) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the list is narrowed down to, in words and in arguments."""
    yield "all", {}
    yield "account", {"account": ACCOUNT}
    for name, values in wanted.filters.items():
        for how, value in zip(("common", "rare"), values, strict=True):
            yield f"{name} ({how})", {name: value}
            yield f"{name} ({how}), account", {name: value, "account": ACCOUNT}


async def places(database: Database, wanted: List, rows: int, narrowed: dict[str, Any]) -> dict[str, Read]:
    """Return how the newest page is read, the one in the middle, and the one before a moment in the middle."""
    if wanted.name == "events":
        return event_places(Reports(database), rows, **narrowed)
    page = getattr(Reports(database), wanted.name)
    middle = START + rows // 2 * STEP
    reads: dict[str, Read] = {
        "newest": lambda: page(**narrowed),
        "by time": lambda: page(**narrowed, until=middle, since=START),
    }
    cursor = (await page(**narrowed, until=middle, limit=1)).next
    if cursor is not None:
        reads["middle"] = lambda: page(**narrowed, before=cursor)
    return reads


def event_places(reports: Reports, rows: int, **narrowed: str) -> dict[str, Read]:
    """Return how the oldest events are read, and those after one in the middle."""
    return {
        name: lambda after=after: reports.events(after=after, **narrowed)  # type: ignore[misc]
        for name, after in {"oldest": BEGINNING, "middle": Place(3 + 250, rows // 2)}.items()
    }


async def quickest_ms(*alternating: Read) -> list[float]:
    """Return the least that each read took, done READS times in turn."""
    taken: list[list[float]] = [[] for _ in alternating]
    for turn in range(READS + 6):
        for read, so_far in zip(alternating, taken, strict=True):
            began = time.perf_counter()
            await read()
            if turn >= 6:  # by then the statements are prepared, and their plans are chosen
                so_far.append((time.perf_counter() - began) * 1000)
    return [min(each) for each in taken]


async def measure(urls: Sequence[str], rows: int, names: Sequence[str]) -> None:
    """Fill, read and print, list by list."""
    databases = [Database(url, long_lived=True) for url in urls]
    sizes = (SMALL, rows)
    for url in urls:
        await execute(url, ACCOUNTS)
    everything: list[float] = []
    print("| list | narrowed to | page | ms | ratio |\n| --- | --- | --- | --- | --- |")
    chosen = [wanted for wanted in LISTS if wanted.name in names]
    full: set[str] = set()
    for place_of, wanted in enumerate(chosen, 1):
        began = time.perf_counter()
        for table, columns in wanted.tables.items():
            if table not in full:
                for url, database, size in zip(urls, databases, sizes, strict=True):
                    await fill(url, database, table, columns, size)
        full |= wanted.tables.keys()
        print(f"{wanted.name} filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        for words, narrowed in cases(wanted):
            small, large = [
                await places(database, wanted, size, narrowed) for database, size in zip(databases, sizes, strict=True)
            ]
            for place in small.keys() & large.keys():
                before, after = await quickest_ms(small[place], large[place])
                everything.append(after / before)
                print(f"| {wanted.name} | {words} | {place} | {after:.1f} | {after / before:.2f} × |", flush=True)
        over = full - {table for later in chosen[place_of:] for table in later.tables}
        if over:
            await execute(urls[1], f"TRUNCATE {', '.join(sorted(over))} CASCADE")
        full -= over
    ordered = sorted(everything)
    print(
        f"\n{len(ordered)} reads: median {statistics.median(ordered):.2f} ×, "
        f"worst {ordered[-1]:.2f} ×, {rows:,} rows against {SMALL:,}"
    )
    for database in databases:
        await database.close()


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description="How the lists of the API grow with what is stored.")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of each table")
    parser.add_argument("--lists", nargs="+", choices=[each.name for each in LISTS], metavar="LIST", help="only these")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    given = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores\n")
    with (
        tempfile.TemporaryDirectory(dir=given.folder) as folder,
        embedded_postgres(Path(folder), durable=False) as url,
    ):
        asyncio.run(execute(url, "CREATE DATABASE small", "CREATE DATABASE large"))
        urls = [make_url(url).set(database=name).render_as_string(hide_password=False) for name in ("small", "large")]
        for each in urls:
            asyncio.run(upgrade(each))
        asyncio.run(measure(urls, given.rows, given.lists or [each.name for each in LISTS]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
