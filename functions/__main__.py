"""
What is done by hand.

    python -m functions fetch --account main           one stage, or the whole cycle; prints the result as JSON
    python -m functions replay-decision main@2025-05-06T16:05:00Z
    python -m functions preview-prompt --account main
    python -m functions compare-models --account main
    python -m functions prune-records

Exit code 1 when a stage failed or a decision came out otherwise, 2 for what cannot work.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

from functions import decisions_by_hand
from functions.invoke import DOORS, invoke
from shared.complaints import one_clear_line
from shared.logs import set_up_logging
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, read_settings


def main() -> int:
    """Do what the command line says; 0 when it was done, 1 when a stage of a cycle failed."""
    parser = argparse.ArgumentParser(prog="python -m functions", description="What is done by hand.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for door in DOORS:
        command = commands.add_parser(door, help=f"run {door} for a cycle", description=f"Run {door} for a cycle.")
        command.add_argument("--account", required=True, help="the account's id")
        command.add_argument("--tick", help="the candle close it serves, such as 2025-05-06T16:05Z (default: the last)")
    decisions_by_hand.add_commands(commands)
    chosen = parser.parse_args()
    with one_clear_line():
        settings = read_settings()
        set_up_logging("functions", level="ERROR", folder=settings.log_folder, config=settings.logging_config)
        with database_server(settings) as connected:
            if chosen.command not in DOORS:
                return asyncio.run(decisions_by_hand.run(connected, chosen))
            event = {"account": chosen.account} | ({"tick": chosen.tick} if chosen.tick else {})
            outcome = asyncio.run(_run(connected, chosen.command, event))
    print(json.dumps(outcome, indent=2, ensure_ascii=False))  # noqa: T201 - the result is the output
    failed = any(isinstance(part, dict) and "error" in part for part in outcome.values())
    return 1 if failed else 0


async def _run(settings: Settings, door: str, event: dict[str, Any]) -> dict[str, Any]:
    runtime = await Runtime.open(settings, long_lived=False)
    try:
        return await invoke(runtime, door, event)
    finally:
        await runtime.close()


if __name__ == "__main__":
    sys.exit(main())
