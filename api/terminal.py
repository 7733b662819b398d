"""What commands at a terminal have in common: who sits there, what they do goes on record, and how rows are shown."""

import getpass
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from api.errors import as_problem, internal_error
from shared.db.audit import Action, AuditTrail
from shared.db.tokens import BY_HAND
from shared.db.unit_of_work import Database


def who() -> str:
    """By hand: whoever the system says is at the terminal."""
    return f"{getpass.getuser()}{BY_HAND}"


@asynccontextmanager
async def on_record(
    database: Database, command: str, given: Mapping[str, Any], *, account: str | None = None
) -> AsyncIterator[None]:
    """Put on record that the *command* is about to be done with what is *given*, and what comes of it."""
    trail = AuditTrail(database)
    number = await trail.begin(Action(action=f"python -m {command}", caller=who(), account_id=account, body=given))
    try:
        yield
    except Exception as exc:
        problem = as_problem(exc) or internal_error()
        await trail.end(number, problem.status, problem.code)
        raise
    await trail.end(number, 200)


def say(line: str) -> None:
    """Write a line."""
    print(line)  # noqa: T201 - this is the voice


def say_rows(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write *rows* below each other, with `-` for what is not there."""
    lines = [columns, *([_word(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        say("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())


def _word(value: Any) -> str:
    return ("; ".join(value) if isinstance(value, list) else str(value or "")) or "-"
