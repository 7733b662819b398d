"""
What people and dashboards read: lists by the page, and the state of things at a glance.

Rows are plain JSON; the exchange's ids are strings, being larger than some readers' numbers. Each call is one read-only
transaction and raises DatabaseUnavailable, and BadCursor where it takes a cursor.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    Table,
    Text,
    cast,
    func,
    literal,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, distinct_on

from shared.db.dossiers import DECISION, FILL, FULL_DECISION, MOST_FILLS, ORDER, read_dossier
from shared.db.outbox import Event, Place, read_beginning, read_events
from shared.db.paging import Page, columns_of, plain, read_cursor, read_page
from shared.db.reading import Narrowing, where, within
from shared.db.result_reports import ResultReports
from shared.db.tables import (
    accounts,
    alerts,
    answers,
    audit,
    audit_outcomes,
    breakers,
    candles,
    changes,
    decisions,
    diary,
    discrepancies,
    equity,
    fills,
    model_calls,
    model_health,
    model_spending,
    orders,
    positions,
    snapshots,
    stage_runs,
    stops,
)
from shared.domain.authority import ChangeState
from shared.domain.cycle import Stage
from shared.domain.market import Timeframe
from shared.domain.order import OrderState
from shared.domain.record import RecordId

MOST_CALLS = 1000
"""Of models, within one cycle."""

CYCLE_KEY = (model_calls.c.tick, model_calls.c.account_id, model_calls.c.id)


class Reports(ResultReports):
    """The reading side of a database."""

    async def accounts(self, *, status: str | None = None, full: bool = False, **narrowing: Unpack[Narrowing]) -> Page:
        """Return the accounts by id, each with its newest equity, newest tick and number of open positions.

        In *full* with the text of the prompt that was said, which may be long.
        """
        newest = _newest_equity()
        said = accounts.c.entry if full else accounts.c.entry.op("-")(literal("prompt", Text))
        statement: Select[Any] = select(
            accounts.c.id.label("account"),
            accounts.c.status,
            accounts.c.status_reason,
            accounts.c.config.op("-")(literal("status", Text)).label("config"),  # the one in force has its own column
            accounts.c.version,
            said.label("said"),
            accounts.c.config.op("->>")(literal("authority_until", Text)).label("authority_until"),
            accounts.c.removed_at,
            _stop().label("stop"),
            _pending().label("change"),
            accounts.c.created_at,
            accounts.c.updated_at,
            newest.c.at.label("equity_at"),
            newest.c.equity,
            newest.c.deposited,
            _newest_tick().label("last_tick"),
            _count(positions).label("open_positions"),
            _standing().label("breakers"),
        ).select_from(accounts.outerjoin(newest, true()))
        statement = where(statement, {accounts.c.status: status})
        if narrowing.get("account") is None:
            statement = statement.where(accounts.c.removed_at.is_(None))
        return await self._list(
            statement, [accounts.c.id], accounts.c.id, accounts.c.created_at, narrowing, ascending=True
        )

    async def changes(self, *, state: str | None = None, **narrowing: Unpack[Narrowing]) -> Page:
        """Return what was to be allowed to accounts, newest first."""
        columns = [column for column in columns_of(changes) if column.name != "wanted"]
        statement = where(select(*columns), {changes.c.state: state})
        key = [changes.c.proposed_at, changes.c.id]
        return await self._list(statement, key, changes.c.account_id, changes.c.proposed_at, narrowing)

    async def orders(
        self, *, symbol: str | None = None, state: str | None = None, **narrowing: Unpack[Narrowing]
    ) -> Page:
        """Return the orders, ours and those found at the exchange, newest first."""
        statement = where(select(*ORDER), {orders.c.symbol: symbol, orders.c.state: state})
        key = [orders.c.created_at, orders.c.id]
        return await self._list(statement, key, orders.c.account_id, orders.c.created_at, narrowing)

    async def working_orders(self, *, symbol: str | None = None, **narrowing: Unpack[Narrowing]) -> Page:
        """Return the orders that rest at the exchange, or may, newest first."""
        alive = orders.c.state.in_([state for state in OrderState if state.unsettled or state.working])
        statement = where(select(*ORDER), {orders.c.symbol: symbol}).where(alive)
        key = [orders.c.created_at, orders.c.id]
        return await self._list(statement, key, orders.c.account_id, orders.c.created_at, narrowing)

    async def order(self, number: int) -> dict[str, Any] | None:
        """Return one order with its fills, oldest first, under `fills`; None where there is none."""
        async with self._reading() as connection:
            found = (await connection.execute(select(*ORDER).where(orders.c.id == number))).one_or_none()
            if found is None:
                return None
            filled = select(*FILL).where(
                fills.c.account_id == found.account,
                fills.c.venue_order_id == literal(found.venue_order_id, Text).cast(BigInteger),
            )
            traded = await connection.execute(filled.order_by(fills.c.at, fills.c.trade_id).limit(MOST_FILLS))
            return plain(found) | {"fills": [plain(row) for row in traded]}

    async def trades(self, *, symbol: str | None = None, **narrowing: Unpack[Narrowing]) -> Page:
        """Return the fills, newest first."""
        key = [fills.c.at, fills.c.account_id, fills.c.symbol, fills.c.trade_id]
        statement = where(select(*FILL), {fills.c.symbol: symbol})
        return await self._list(statement, key, fills.c.account_id, fills.c.at, narrowing)

    async def decisions(
        self,
        *,
        symbol: str | None = None,
        action: str | None = None,
        verdict: str | None = None,
        model: str | None = None,
        full: bool = False,
        **narrowing: Unpack[Narrowing],
    ) -> Page:
        """Return the decisions, newest tick first, and the model each came from; in *full* with every rule's review."""
        wanted = {
            decisions.c.asset: symbol,
            decisions.c.action: action,
            decisions.c.verdict: verdict,
            decisions.c.model: model,
        }
        statement = where(select(*(FULL_DECISION if full else DECISION)), wanted)
        key = [decisions.c.tick, decisions.c.account_id, decisions.c.position]
        return await self._list(statement, key, decisions.c.account_id, decisions.c.tick, narrowing)

    async def model_calls(
        self,
        *,
        purpose: str | None = None,
        model: str | None = None,
        symbol: str | None = None,
        action: str | None = None,
        full: bool = False,
        **narrowing: Unpack[Narrowing],
    ) -> Page:
        """Return the questions to models, newest first; in *full* with prompt, reply and what could not be read.

        *symbol* and *action* leave those whose cycle decided so, and then the list goes by tick, as do since and until.
        """
        long = {"prompt_system", "prompt_user", "prompt_turns", "parameters", "content", "raw"}
        statement = _full_calls()
        if not full:
            statement = select(*(column for column in columns_of(model_calls) if column.name not in long))
        statement = where(statement, {model_calls.c.purpose: purpose, model_calls.c.asked_model: model})
        if symbol is None and action is None:
            key = [model_calls.c.at, model_calls.c.id]
            return await self._list(statement, key, model_calls.c.account_id, model_calls.c.at, narrowing)
        # From the decisions to their questions, one cycle at a time, and DISTINCT ON, which is done in order: otherwise
        # PostgreSQL would take the few that a page has for more work than all there are.
        in_order = (decisions.c.tick, decisions.c.account_id)
        decided = where(
            select(decisions.c.account_id, decisions.c.tick).ext(distinct_on(*in_order)),
            {
                decisions.c.asset: symbol,
                decisions.c.action: action,
                decisions.c.account_id: narrowing.get("account"),
            },
        )
        decided = within(decided, decisions.c.tick, narrowing.get("since"), narrowing.get("until"))
        if (before := narrowing.get("before")) is not None:
            decided = decided.where(decisions.c.tick <= read_cursor(before, CYCLE_KEY)[0])
        cycles = decided.order_by(*(each.desc() for each in in_order)).subquery("cycles")
        same = (model_calls.c.account_id == cycles.c.account_id) & (model_calls.c.tick == cycles.c.tick)
        calls = statement.where(same).order_by(model_calls.c.id.desc()).limit(MOST_CALLS).lateral("calls")
        return await self._list(
            select(*calls.columns).select_from(cycles.join(calls, true())),
            [cycles.c.tick, cycles.c.account_id, calls.c.id],
            cycles.c.account_id,
            cycles.c.tick,
            narrowing,
        )

    async def dossier(self, wanted: RecordId) -> dict[str, Any]:
        """Return all that is known of the cycle that is meant. Raises UnknownRecord."""
        async with self._reading() as connection:
            return await read_dossier(connection, wanted)

    async def model_call(self, number: int) -> dict[str, Any] | None:
        """Return one question to a model in full; None where there is none."""
        async with self._reading() as connection:
            found = (await connection.execute(_full_calls().where(model_calls.c.id == number))).one_or_none()
        return None if found is None else plain(found)

    async def equity(self, **narrowing: Unpack[Narrowing]) -> Page:
        """Return the points of the equity curves, newest first."""
        statement = select(*columns_of(equity), (equity.c.wallet + equity.c.unrealized).label("equity"))
        return await self._list(
            statement, [equity.c.at, equity.c.account_id], equity.c.account_id, equity.c.at, narrowing
        )

    async def diary(self, **narrowing: Unpack[Narrowing]) -> Page:
        """Return the lines of the trading diary, newest first."""
        return await self._list(
            select(*columns_of(diary)), [diary.c.at, diary.c.id], diary.c.account_id, diary.c.at, narrowing
        )

    async def discrepancies(
        self, *, kind: str | None = None, symbol: str | None = None, **narrowing: Unpack[Narrowing]
    ) -> Page:
        """Return how ours and theirs differed, newest first."""
        key = [discrepancies.c.at, discrepancies.c.id]
        wanted = {discrepancies.c.kind: kind, discrepancies.c.symbol: symbol}
        statement = where(select(*columns_of(discrepancies)), wanted)
        return await self._list(statement, key, discrepancies.c.account_id, discrepancies.c.at, narrowing)

    async def audit(
        self,
        *,
        caller: str | None = None,
        action: str | None = None,
        code: str | None = None,
        **narrowing: Unpack[Narrowing],
    ) -> Page:
        """Return what people did or were refused, newest first: without a `status` what was cut short.

        By *code*, the list goes by when it ended, as do since and until.
        """
        outcome = audit_outcomes.c
        statement: Select[Any] = select(*columns_of(audit), outcome.status, outcome.code, outcome.at.label("ended_at"))
        ended = outcome.audit_id == audit.c.id
        statement = where(statement, {audit.c.caller: caller, audit.c.action: action, outcome.code: code})
        if code is None:
            statement = statement.select_from(audit.outerjoin(audit_outcomes, ended))
            return await self._list(statement, [audit.c.at, audit.c.id], audit.c.account_id, audit.c.at, narrowing)
        statement = statement.select_from(audit_outcomes.join(audit, ended))
        return await self._list(statement, [outcome.at, outcome.audit_id], outcome.account_id, outcome.at, narrowing)

    async def events(
        self, *, after: Place | None, account: str | None = None, kind: str | None = None, limit: int = 100
    ) -> Sequence[Event]:
        """Return what happened after that place, or from the oldest that is kept on, oldest first.

        Raises CursorTooOld.
        """
        async with self._reading() as connection:
            start = await read_beginning(connection) if after is None else after
            return (await read_events(connection, start, limit, account_id=account, kind=kind)).events

    async def alerts(
        self,
        *,
        id: int | None = None,  # noqa: A002 - as people know it
        kind: str | None = None,
        standing: bool | None = None,
        **narrowing: Unpack[Narrowing],
    ) -> Page:
        """Return what people were to be told, newest first."""
        statement = where(select(*columns_of(alerts)), {alerts.c.id: id, alerts.c.kind: kind})
        if standing is not None:
            over = alerts.c.resolved_at.is_not(None)
            statement = statement.where(~over if standing else over)
        key = [alerts.c.raised_at, alerts.c.id]
        return await self._list(statement, key, alerts.c.account_id, alerts.c.raised_at, narrowing)

    async def candles(
        self,
        *,
        symbol: str,
        timeframe: Timeframe,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page:
        """Return the candles of one series that opened within [since, until), newest first."""
        statement = where(select(candles), {candles.c.symbol: symbol, candles.c.timeframe: timeframe})
        statement = within(statement, candles.c.opened, since, until)
        async with self._reading() as connection:
            return await read_page(connection, statement, [candles.c.opened], limit=limit, before=before)

    async def quotes(self, *, account: str | None = None, symbol: str | None = None) -> list[dict[str, Any]]:
        """Return the newest quote of each symbol, by symbol, out of the newest snapshot of every account or the one."""
        newest = (
            select(type_coerce(snapshots.c.body, JSONB)["quotes"].label("quotes"))
            .where(snapshots.c.account_id == accounts.c.id)
            .order_by(snapshots.c.tick.desc())
            .limit(1)
            .lateral()
        )
        each = func.jsonb_each(newest.c.quotes).table_valued(Column("key", Text), Column("value", JSONB)).lateral()
        statement = select(each.c.value).select_from(accounts.join(newest, true()).join(each, true()))
        async with self._reading() as connection:
            wanted = {accounts.c.id: account, each.c.key: symbol}
            found: list[dict[str, Any]] = list(await connection.scalars(where(statement, wanted)))
        latest: dict[str, dict[str, Any]] = {}
        for quote in sorted(found, key=lambda quote: datetime.fromisoformat(quote["at"])):
            latest[quote["symbol"]] = quote
        return [latest[name] for name in sorted(latest)]

    async def status(self, account: str | None = None) -> list[dict[str, Any]]:
        """
        Return each account, or the one, with the last run of every stage, newest equity, unsettled orders and models.

        `stages` maps a stage to {tick, started_at, finished_at, result}; one that never ran is not in it. `models` says
        whether the account only manages what is open, and what the newest day of questions has cost.
        """
        newest = _newest_equity()
        unsettled = orders.c.state.in_([state for state in OrderState if state.unsettled])
        overview = (
            select(
                accounts.c.id.label("account"),
                accounts.c.status,
                accounts.c.status_reason,
                newest.c.at.label("equity_at"),
                newest.c.equity,
                newest.c.deposited,
                _newest_tick().label("last_tick"),
                _count(positions).label("open_positions"),
                _count(orders, unsettled).label("unsettled_orders"),
            )
            .select_from(accounts.outerjoin(newest, true()))
            .where(accounts.c.removed_at.is_(None))
            .order_by(accounts.c.id)
        )
        one = {accounts.c.id: account}
        async with self._reading() as connection:
            rows = [plain(row) for row in await connection.execute(where(overview, one))]
            runs = [plain(row) for row in await connection.execute(where(_last_runs(), one))]
            models = {row.account: plain(row) for row in await connection.execute(where(_models(), one))}
        stages: dict[str, dict[str, Any]] = {row["account"]: {} for row in rows}
        for run in runs:
            stages.setdefault(run.pop("account"), {})[run.pop("stage")] = run
        for found in models.values():
            found.pop("account")
        return [row | {"stages": stages[row["account"]], "models": models[row["account"]]} for row in rows]


def _full_calls() -> Select[Any]:
    answered = (answers.c.account_id == model_calls.c.account_id) & (answers.c.tick == model_calls.c.tick)
    read = [answers.c.repairs, type_coerce(answers.c.unread, JSONB).label("unread")]
    return select(*columns_of(model_calls), *read).outerjoin_from(model_calls, answers, answered)


def _newest_equity() -> FromClause:
    return (
        select(equity.c.at, (equity.c.wallet + equity.c.unrealized).label("equity"), equity.c.deposited)
        .where(equity.c.account_id == accounts.c.id)
        .order_by(equity.c.at.desc())
        .limit(1)
        .lateral()
    )


def _newest_tick() -> ScalarSelect[Any]:
    return select(func.max(stage_runs.c.tick)).where(stage_runs.c.account_id == accounts.c.id).scalar_subquery()


def _standing() -> ScalarSelect[Any]:
    """Return why nothing opens: each breaker that stands, or that nobody has noticed yet to be lifted by time."""
    return (
        select(func.coalesce(func.jsonb_object_agg(breakers.c.breaker, breakers.c.reason), func.jsonb_build_object()))
        .where(breakers.c.account_id == accounts.c.id, breakers.c.lifted_at.is_(None))
        .scalar_subquery()
    )


def _count(table: Table, *conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    return (
        select(func.count())
        .select_from(table)
        .where(table.c.account_id == accounts.c.id, *conditions)
        .scalar_subquery()
    )


def _stop() -> ScalarSelect[Any]:
    """Return the emergency stop in force."""
    told = ("asked_at", "asked_by", "finished_at", "left")
    parts = [part for name in told for part in (literal(name, Text), stops.c[name])]
    return (
        select(func.jsonb_build_object(*parts, type_=JSONB))
        .where(stops.c.account_id == accounts.c.id, stops.c.rearmed_at.is_(None))
        .scalar_subquery()
    )


def _pending() -> ScalarSelect[Any]:
    """Return the id of the change that waits."""
    return (
        select(changes.c.id)
        .where(changes.c.account_id == accounts.c.id, changes.c.state == ChangeState.PENDING)
        .scalar_subquery()
    )


def _models() -> Select[Any]:
    newest = (
        select(model_spending)
        .where(model_spending.c.account_id == accounts.c.id)
        .order_by(model_spending.c.day.desc())
        .limit(1)
        .lateral()
    )
    return select(
        accounts.c.id.label("account"),
        func.coalesce(model_health.c.failures, 0).label("failures"),
        model_health.c.manage_only_since,
        func.coalesce(model_health.c.reason, "").label("reason"),
        model_health.c.asks_again_at,
        cast(newest.c.day, Text).label("day"),
        newest.c.spent,
        newest.c.reserved,
    ).select_from(
        accounts.outerjoin(model_health, model_health.c.account_id == accounts.c.id).outerjoin(newest, true())
    )


def _last_runs() -> Select[Any]:
    stage = func.unnest(literal(list(Stage), ARRAY(Text))).table_valued("name").render_derived(name="stage")
    last = (
        select(stage_runs)
        .where(stage_runs.c.account_id == accounts.c.id, stage_runs.c.stage == stage.c.name)
        .order_by(stage_runs.c.tick.desc())
        .limit(1)
        .lateral()
    )
    columns = [column for column in last.columns if column.name != "account_id"]
    return select(last.c.account_id.label("account"), *columns).select_from(
        accounts.join(stage, true()).join(last, true())
    )
