"""
The audit trail: who did what, from where, on which account, and what came of it.

An action is written down before it is done: what cannot be put on record is not done, and what was cut short stands
there without an outcome. Rows are only ever added, and a trigger refuses everything else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Insert, Integer, insert, literal, select

from shared.db.tables import audit, audit_outcomes
from shared.db.unit_of_work import Database
from shared.db.values import CleanText


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that is about to be done, or refused. *action* is a method and the path's pattern, or a command."""

    action: str
    caller: str | None = None
    scope: str | None = None
    client: str | None = None
    path: str | None = None
    account_id: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    body: Mapping[str, Any] | None = None
    """Without secrets."""


class AuditTrail:
    """The trail. Each call is a transaction and raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, action: Action) -> int:
        """Write down what is about to be done; return the number to tell its outcome by."""
        async with self._database.transaction() as connection:
            number: int = (
                await connection.execute(insert(audit).values(asdict(action)).returning(audit.c.id))
            ).scalar_one()
            return number

    async def end(self, number: int, status: int, code: str | None = None) -> None:
        """Write down what came of it, in the numbers of HTTP; *code* is that of its problem."""
        async with self._database.transaction() as connection:
            await connection.execute(_outcome(number, status, code))

    async def add(self, action: Action, status: int, code: str | None = None) -> None:
        """Write down what is over already."""
        async with self._database.transaction() as connection:
            number = (await connection.execute(insert(audit).values(asdict(action)).returning(audit.c.id))).scalar_one()
            await connection.execute(_outcome(number, status, code))


def _outcome(number: int, status: int, code: str | None) -> Insert:
    told = [audit.c.id, audit.c.account_id, literal(status, Integer), literal(code, CleanText)]
    return insert(audit_outcomes).from_select(
        ["audit_id", "account_id", "status", "code"], select(*told).where(audit.c.id == number)
    )
