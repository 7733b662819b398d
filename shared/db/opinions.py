"""What each model made of each cycle, and how the entries among it would have ended."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, Row, case, cast, func, select, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import opinions, proposals
from shared.db.values import Money
from shared.domain.cycle import StageRequest
from shared.domain.model import Purpose
from shared.domain.opinion import Answerer, ModelScore, Opinion, Unscored
from shared.domain.outcome import HORIZONS, LONGEST, Ending, Proposal, Score


class OpinionTable:
    """The `Opinions` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim(self, request: StageRequest, answerer: Answerer, purpose: Purpose, at: datetime) -> bool:
        """Say that the model is about to be asked; False when it was already, or decided the cycle itself."""
        claimed = await self._connection.execute(
            insert(opinions).values(**_key(request, answerer), purpose=purpose, at=at).on_conflict_do_nothing()
        )
        return claimed.rowcount == 1

    async def save(
        self,
        request: StageRequest,
        answerer: Answerer,
        opinion: Opinion,
        entries: Mapping[str, tuple[Proposal, bool]],
        *,
        purpose: Purpose,
        at: datetime,
    ) -> None:
        """Store what became of the question, claimed or not, and the entries, each with whether risk let it pass."""
        key = _key(request, answerer)
        became = {"judgement": opinion.judgement, "cost": opinion.cost, "latency_ms": opinion.latency_ms}
        await self._connection.execute(
            insert(opinions)
            .values(**key, purpose=purpose, at=at, **became)
            .on_conflict_do_update(index_elements=[opinions.c[name] for name in key], set_=became)
        )
        rows = [
            {
                **key,
                "asset": asset,
                "proposal": proposal,
                "approved": approved,
                "due_at": request.tick + LONGEST,
            }
            for asset, (proposal, approved) in entries.items()
        ]
        if rows:
            await self._connection.execute(insert_all(proposals, rows).on_conflict_do_nothing())

    async def unscored(self, account_id: str, at: datetime, limit: int) -> Sequence[Unscored]:
        """Return entries whose time has passed by then and that have no score, oldest first."""
        found = await self._connection.execute(
            select(proposals)
            .where(
                proposals.c.account_id == account_id,
                proposals.c.due_at <= at,
                # As the index says it: a Document would compare with a JSON null.
                type_coerce(proposals.c.score, JSONB).is_(None),
            )
            .order_by(proposals.c.due_at, proposals.c.model, proposals.c.prompt_version, proposals.c.asset)
            .limit(limit)
        )
        return [
            Unscored(
                request=StageRequest(row.account_id, row.tick),
                answerer=Answerer(row.model, row.prompt_version),
                asset=row.asset,
                proposal=row.proposal,
            )
            for row in found
        ]

    async def set_score(self, scored: Unscored, score: Score) -> None:
        """Store what became of an entry."""
        key = _key(scored.request, scored.answerer) | {"asset": scored.asset}
        await self._connection.execute(
            update(proposals).where(*(proposals.c[name] == value for name, value in key.items())).values(score=score)
        )

    async def compare(
        self, *, account_id: str | None, since: datetime | None, until: datetime | None
    ) -> Sequence[ModelScore]:
        """Return how each model and prompt version has done, by account; those that decide before their shadows."""
        within = [
            *([opinions.c.account_id == account_id] if account_id is not None else []),
            *([opinions.c.tick >= since] if since is not None else []),
            *([opinions.c.tick < until] if until is not None else []),
        ]
        group = (opinions.c.account_id, opinions.c.model, opinions.c.prompt_version, opinions.c.purpose)
        judgement = type_coerce(opinions.c.judgement, JSONB)
        said = (
            select(
                *group,
                func.count().label("asked"),
                func.count(judgement["answer"].astext).label("answered"),
                func.sum(opinions.c.cost).label("cost"),
                cast(func.avg(opinions.c.latency_ms), Integer).label("latency_ms"),
            )
            .where(*within)
            .group_by(*group)
        )
        score = type_coerce(proposals.c.score, JSONB)
        ending, result = score["ending"].astext, cast(score["result"].astext, Money)
        told = case((proposals.c.approved, result))
        joined = opinions.join(proposals, _same_opinion())
        done = (
            select(
                *group,
                func.count().label("entries"),
                func.count().filter(proposals.c.approved).label("approved"),
                func.count(told).label("scored"),
                func.count().filter(proposals.c.approved, ending == Ending.TARGET).label("targets"),
                func.count().filter(proposals.c.approved, ending == Ending.STOP).label("stops"),
                func.avg(told).label("mean_result"),
                *(
                    func.avg(case((proposals.c.approved, cast(score["after"][name].astext, Money)))).label(name)
                    for name in HORIZONS
                ),
            )
            .select_from(joined)
            .where(*within)
            .group_by(*group)
        )
        entries = {tuple(row)[:4]: row for row in await self._connection.execute(done)}
        rows = await self._connection.execute(said.order_by(group[0], group[3], *group[1:3]))
        return [_score(row, entries.get(tuple(row)[:4])) for row in rows]


def _key(request: StageRequest, answerer: Answerer) -> dict[str, Any]:
    return {"account_id": request.account_id, "tick": request.tick, **asdict(answerer)}


def _same_opinion() -> Any:
    names = ("account_id", "tick", "model", "prompt_version")
    first, *rest = (opinions.c[name] == proposals.c[name] for name in names)
    for each in rest:
        first = first & each
    return first


def _score(said: Row[Any], done: Row[Any] | None) -> ModelScore:
    def number(name: str) -> float | None:
        value = getattr(done, name, None)
        return None if value is None else float(value)

    return ModelScore(
        account_id=said.account_id,
        model=said.model,
        prompt_version=said.prompt_version,
        purpose=Purpose(said.purpose),
        asked=said.asked,
        answered=said.answered,
        entries=done.entries if done else 0,
        approved=done.approved if done else 0,
        scored=done.scored if done else 0,
        targets=done.targets if done else 0,
        stops=done.stops if done else 0,
        mean_result=number("mean_result"),
        mean_after={name: number(name) for name in HORIZONS},
        cost=said.cost,
        latency_ms=said.latency_ms,
    )
