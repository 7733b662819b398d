"""Tokens at the command line, for whoever can reach the database: `python -m api.tokens create|list|revoke`."""

import argparse
import asyncio
import sys

from pydantic import ValidationError

from api.credentials import draw_token
from api.routes.tokens import TokenWanted
from api.terminal import on_record, say, say_rows, who
from shared.complaints import one_clear_line
from shared.db.tokens import TokenTable
from shared.db.unit_of_work import Database
from shared.domain.access import Scope
from shared.domain.errors import BadRequest
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
    async with on_record(database, "api.tokens create", {**given, "prefix": drawn.prefix}):
        made = await TokenTable(database).create(wanted.drawn(drawn, created_by=who()))
    say(f"token {made['id']}, shown once: {drawn.text}")


async def _list(database: Database) -> None:
    page = await TokenTable(database).page(limit=MOST, before=None)
    say_rows(COLUMNS, page.rows)


async def _revoke(database: Database, token_id: int) -> None:
    async with on_record(database, "api.tokens revoke", {"id": token_id}):
        revoked = await TokenTable(database).revoke(token_id)
    say(f"token {token_id} ({revoked['name']}) lets nobody in any longer")


if __name__ == "__main__":
    sys.exit(main())
