"""
Changes that wait, at the command line: `python -m api.changes list|approve|withdraw`.

Whoever is at the terminal is a person like every holder of a token: one word of two.
"""

import argparse
import asyncio
import sys

from api.errors import Problem
from api.routes.changes import speak, take_back
from api.terminal import on_record, say, say_rows, who
from shared.complaints import one_clear_line
from shared.db.reports import Reports
from shared.db.tokens import TokenTable
from shared.domain.access import Caller, Scope
from shared.domain.authority import ChangeState
from shared.domain.errors import BadRequest
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, read_settings

COLUMNS = ("id", "account", "kind", "state", "proposed_by", "due_at", "words", "raises")
MOST = 1000


def main() -> int:
    """Do what the command line says; 0 once it is done."""
    parser = argparse.ArgumentParser(prog="python -m api.changes", description="See, approve, withdraw what waits.")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("list", help="show what waits")
    shown.add_argument("--all", action="store_true", help="what is over, too")
    for name, what in (("approve", "say that you are for a change"), ("withdraw", "have a change wait no longer")):
        command = commands.add_parser(name, help=what)
        command.add_argument("id", type=int, help="as `list` shows it")
    chosen = parser.parse_args()
    with one_clear_line(), database_server(read_settings()) as settings:
        asyncio.run(_run(settings, chosen))
    return 0


async def _run(settings: Settings, chosen: argparse.Namespace) -> None:
    runtime = Runtime(settings, long_lived=False)
    try:
        if chosen.command == "list":
            state = None if chosen.all else ChangeState.PENDING
            say_rows(COLUMNS, (await Reports(runtime.database).changes(state=state, limit=MOST)).rows)
        else:
            await runtime.require_time()
            await _decide(runtime, chosen.command, chosen.id)
    except Problem as exc:
        raise BadRequest(exc.detail) from None
    finally:
        await runtime.close()


async def _decide(runtime: Runtime, command: str, number: int) -> None:
    here = Caller(name=who(), scope=Scope.ADMIN)
    async with on_record(runtime.database, f"api.changes {command}", {"id": number}):
        if command == "approve":
            change = await speak(runtime, TokenTable(runtime.database), here, number)
        else:
            change = await take_back(runtime, here, number)
    say(f"change {number} of account {change.account_id} is {change.state}")


if __name__ == "__main__":
    sys.exit(main())
