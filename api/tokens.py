"""Tokens at the command line, for whoever can reach the database: `python -m api.tokens create|list|revoke`."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import ValidationError

from api.credentials import draw_token
from api.errors import as_problem, internal_error
from api.routes.tokens import TokenWanted
from shared.complaints import one_clear_line
from shared.db.audit import Action, AuditTrail
from shared.db.tokens import BY_HAND, TokenTable
from shared.db.unit_of_work import Database
from shared.domain.access import Scope
from shared.domain.errors import BadRequest, PerpetuaError
from shared.server import database_server
from shared.settings import Settings, read_settings

COLUMNS = ("id", "name", "prefix", "scope", "account", "created_at", "expires_at", "last_used_at", "revoked_at")
MOST = 10_000


def main() -> int:
    """Do what the command line says; 0 once it is done."""
    parser = argparse.ArgumentParser(prog="python -m api.tokens", description="Make, list, revoke tokens.")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a token and show it, once")
    create.add_argument("name", help="whose it is: small letters, digits, - and _; never used twice")
    create.add_argument("--scope", choices=[scope.value for scope in Scope], default=Scope.READ.value)
    create.add_argument("--account", help="confine it to this account")
    create.add_argument("--expires-in", metavar="TIME", help="such as 12h or 90d (default: until it is revoked)")
    commands.add_parser("list", help="show all tokens")
    revoke = commands.add_parser("revoke", help="end a token, for good")
    revoke.add_argument("id", type=int, help="as `list` shows it")
    chosen = parser.parse_args()
    with one_clear_line(), database_server(read_settings()) as settings:
        asyncio.run(_run(settings, chosen))
    return 0


async def _run(settings: Settings, chosen: argparse.Namespace) -> None:
    assert settings.database_url is not None  # noqa: S101 - of a server that answers
    database = Database(settings.database_url.get_secret_value(), long_lived=False)
    try:
        match chosen.command:
            case "create":
                await _create(database, chosen)
            case "list":
                await _list(database)
            case "revoke":
                await _revoke(database, chosen.id)
    finally:
        await database.close()


async def _create(database: Database, chosen: argparse.Namespace) -> None:
    given = {"name": chosen.name, "scope": chosen.scope, "account": chosen.account, "expires_in": chosen.expires_in}
    try:
        wanted = TokenWanted.model_validate(given)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False)[0]
        raise BadRequest(f"{problem['loc'][0]}: {problem['msg'].removeprefix('Value error, ')}") from None
    drawn = draw_token()
    async with _on_record(database, "create", {**given, "prefix": drawn.prefix}):
        made = await TokenTable(database).create(wanted.drawn(drawn, created_by=_who()))
    _say(f"token {made['id']}, shown once: {drawn.text}")


async def _list(database: Database) -> None:
    page = await TokenTable(database).page(limit=MOST, before=None)
    rows = [COLUMNS, *([str(row[name] or "-") for name in COLUMNS] for row in page.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    for row in rows:
        _say("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


async def _revoke(database: Database, token_id: int) -> None:
    async with _on_record(database, "revoke", {"id": token_id}):
        revoked = await TokenTable(database).revoke(token_id)
    _say(f"token {token_id} ({revoked['name']}) lets nobody in any longer")


@asynccontextmanager
async def _on_record(database: Database, command: str, given: Mapping[str, Any]) -> AsyncIterator[None]:
    trail = AuditTrail(database)
    number = await trail.begin(Action(action=f"python -m api.tokens {command}", caller=_who(), body=given))
    try:
        yield
    except PerpetuaError as exc:
        problem = as_problem(exc) or internal_error()
        await trail.end(number, problem.status, problem.code)
        raise
    await trail.end(number, 200)


def _who() -> str:
    """By hand: whoever the system says is at the terminal."""
    return f"{getpass.getuser()}{BY_HAND}"


def _say(line: str) -> None:
    print(line)  # noqa: T201 - this is the voice


if __name__ == "__main__":
    sys.exit(main())
