"""The dossier of a cycle: what it saw, asked, was told, decided, sent and got, for whoever wants to know why."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, Text, and_, case, cast, func, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.paging import columns_of, plain
from shared.db.records import RecordTable
from shared.db.tables import (
    answers,
    decisions,
    diary,
    fills,
    model_calls,
    opinions,
    orders,
    proposals,
    records,
    snapshots,
    stage_runs,
)
from shared.db.values import Money
from shared.domain.cycle import StageRequest
from shared.domain.errors import UnknownRecord
from shared.domain.model import OF_THE_CYCLE
from shared.domain.record import RecordId, cycle_name

MOST_FILLS = 1000
"""Of one order, or of one cycle."""
MOST_RATIONALE = 240
"""Characters of it, where decisions are listed."""

ORDER = columns_of(orders, venue_order_id=cast(orders.c.venue_order_id, Text))
_ORDER_OF_FILL = select(orders.c.tick).where(
    orders.c.account_id == fills.c.account_id,
    orders.c.venue_order_id == fills.c.venue_order_id,
    orders.c.symbol == fills.c.symbol,
)
FILL = [
    *columns_of(fills, trade_id=cast(fills.c.trade_id, Text), venue_order_id=cast(fills.c.venue_order_id, Text)),
    _ORDER_OF_FILL.limit(1).scalar_subquery().label("tick"),
]
_WANTED, _REVIEW = type_coerce(decisions.c.decision, JSONB), type_coerce(decisions.c.review, JSONB)
_RATIONALE = _WANTED["rationale"].astext

DECISION = [
    *(column for column in columns_of(decisions) if column.name not in {"decision", "review"}),
    func.nullif(_REVIEW["reason"].astext, "").label("reason"),
    _WANTED["allocation_usd"].astext.cast(Money).label("allocation_usd"),
    _REVIEW["quantity"].astext.cast(Money).label("quantity"),
    _REVIEW["price"].astext.cast(Money).label("price"),
    _WANTED["confidence"].astext.cast(Money).label("confidence"),
    case(
        (func.length(_RATIONALE) > MOST_RATIONALE, func.concat(func.left(_RATIONALE, MOST_RATIONALE - 1), "…")),
        else_=_RATIONALE,
    ).label("rationale"),
]
"""What a list shows of a decision."""
FULL_DECISION = [*DECISION, _WANTED.label("decision"), _REVIEW.label("review")]

GROUNDING = "grounding"
"""The rule of the review that holds what was cited against what was shown."""

DIARY_SPAN = timedelta(days=1)
"""How long after its tick a cycle may still write in the diary."""


async def read_dossier(connection: AsyncConnection, wanted: RecordId) -> dict[str, Any]:
    """Return the dossier of the cycle that is meant, ready for JSON. Raises UnknownRecord."""
    cycle = await _cycle(connection, wanted)
    account_id, tick = cycle.account_id, cycle.tick

    def of(table: Table) -> ColumnElement[bool]:
        return and_(table.c.account_id == account_id, table.c.tick == tick)

    async def rows(statement: Select[Any]) -> list[dict[str, Any]]:
        return [plain(row) for row in await connection.execute(statement)]

    stages = await rows(select(*columns_of(stage_runs)).where(of(stage_runs)))
    calls = await rows(select(*columns_of(model_calls)).where(of(model_calls)).order_by(model_calls.c.id))
    decided = await rows(select(*FULL_DECISION).where(of(decisions)).order_by(decisions.c.position))
    context = await connection.scalar(select(type_coerce(snapshots.c.body, JSONB)).where(of(snapshots)))
    if not (stages or calls or decided or context):
        raise _unknown(account_id, tick)
    sent = await rows(select(*ORDER).where(of(orders)).order_by(orders.c.id))
    own = select(orders.c.venue_order_id).where(of(orders), orders.c.venue_order_id.is_not(None))
    traded = await rows(
        select(*FILL)
        .where(fills.c.account_id == account_id, fills.c.venue_order_id.in_(own))
        .order_by(fills.c.at, fills.c.trade_id)
        .limit(MOST_FILLS)
    )
    said = select(answers.c.reasoning, answers.c.repairs, type_coerce(answers.c.unread, JSONB).label("unread"))
    answer = await rows(said.where(of(answers)))
    others = columns_of(opinions, judgement=type_coerce(opinions.c.judgement, JSONB))
    meant = columns_of(
        proposals, proposal=type_coerce(proposals.c.proposal, JSONB), score=type_coerce(proposals.c.score, JSONB)
    )
    asked_too = select(*others).where(of(opinions)).order_by(opinions.c.model, opinions.c.prompt_version)
    entries = select(*meant).where(of(proposals)).order_by(proposals.c.model, proposals.c.asset)
    return {
        "account": account_id,
        "cycle": cycle_name(account_id, tick),
        "tick": tick.isoformat(),
        "record": await connection.scalar(select(records.c.manifest).where(of(records))),
        "stages": {run.pop("stage"): _without(run, "account") for run in stages},
        "context": None if context is None else _summary(context),
        "asked": _asked(calls),
        "calls": calls,
        **(answer[0] if answer else {"reasoning": None, "repairs": [], "unread": []}),
        "decisions": decided,
        "grounding": list(_grounding(decided)),
        "orders": sent,
        "fills": traded,
        "opinions": await rows(asked_too),
        "outcome": _outcome(traded, await rows(entries)),
        "diary": await rows(
            select(*columns_of(diary))
            .where(of(diary), diary.c.at >= tick, diary.c.at < tick + DIARY_SPAN)
            .order_by(diary.c.at, diary.c.id)
        ),
    }


async def _cycle(connection: AsyncConnection, wanted: RecordId) -> StageRequest:
    if wanted.account_id is not None and wanted.tick is not None:
        if wanted.within not in {None, wanted.account_id}:
            raise _unknown(wanted.account_id, wanted.tick)
        return StageRequest(wanted.account_id, wanted.tick)
    return await RecordTable(connection).cycle(wanted)


def _unknown(account_id: str, tick: datetime) -> UnknownRecord:
    return UnknownRecord(f"there is no cycle {cycle_name(account_id, tick)}")


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def _summary(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the cycle saw, as far as a person wants to read it: the record has the whole."""
    return {
        "taken_at": snapshot["taken_at"],
        "quotes": list(snapshot["quotes"].values()),
        "defects": snapshot["defects"],
        "balance": snapshot["holdings"]["balance"],
        "positions": snapshot["holdings"]["positions"],
        "open_orders": len(snapshot["open_orders"]),
        "taker_fee": snapshot["taker_fee"],
        "indicators": {
            symbol: {timeframe: seen["latest"] for timeframe, seen in by_timeframe.items()}
            for symbol, by_timeframe in snapshot["indicators"].items()
        },
    }


def _asked(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return which model had the last word, and what the cycle's questions came to; None where nobody was asked."""
    own = [call for call in calls if call["purpose"] in set(OF_THE_CYCLE)]
    if not own:
        return None
    last = next((call for call in reversed(own) if call["content"] is not None), own[-1])
    return {
        "model": last["answered_model"] or last["asked_model"],
        "prompt_version": last["prompt_version"],
        "questions": len(own),
        **{name: sum(call[name] for call in own) for name in ("prompt_tokens", "completion_tokens", "latency_ms")},
        "cost": f"{sum((Decimal(call['cost']) for call in own), Decimal(0)):f}",
        "answer": last["content"],
    }


def _grounding(decided: Sequence[Mapping[str, Any]]) -> Any:
    for each in decided:
        for finding in each["review"]["findings"]:
            if finding["rule"] == GROUNDING:
                yield {"asset": each["asset"], "finding": finding}


def _outcome(traded: Sequence[Mapping[str, Any]], proposed: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the cycle's own orders brought so far, stops and targets among them, and how its entries fared."""
    fees: dict[str, Decimal] = {}
    for fill in traded:
        fees[fill["commission_asset"]] = fees.get(fill["commission_asset"], Decimal(0)) + Decimal(fill["commission"])
    return {
        "realized_pnl": f"{sum((Decimal(fill['realized_pnl']) for fill in traded), Decimal(0)):f}",
        "commission": {asset: f"{paid:f}" for asset, paid in fees.items()},
        "proposals": proposed,
    }
