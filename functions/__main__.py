"""One stage by hand: `python -m functions fetch --account main` prints the stage's result as JSON."""

import argparse
import asyncio
import json
import sys
from typing import Any

from functions.invoke import DOORS, invoke
from shared.complaints import one_clear_line
from shared.logs import set_up_logging
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, read_settings


def main() -> int:
    """Run the stage that the command line names; 0 when it was done, 1 when a stage of a cycle failed."""
    parser = argparse.ArgumentParser(prog="python -m functions", description="Run one stage of a cycle by hand.")
    parser.add_argument("stage", choices=DOORS, help="which stage, or the whole cycle")
    parser.add_argument("--account", required=True, help="the account's id")
    parser.add_argument("--tick", help="the candle close it serves, such as 2025-05-06T16:05:00Z (default: the last)")
    chosen = parser.parse_args()
    event = {"account": chosen.account} | ({"tick": chosen.tick} if chosen.tick else {})
    with one_clear_line():
        settings = read_settings()
        set_up_logging("functions", level="ERROR", folder=settings.log_folder, config=settings.logging_config)
        with database_server(settings) as connected:
            outcome = asyncio.run(_run(connected, chosen.stage, event))
    print(json.dumps(outcome, indent=2, ensure_ascii=False))  # noqa: T201 - the result is the output
    failed = any(isinstance(part, dict) and "error" in part for part in outcome.values())
    return 1 if failed else 0


async def _run(settings: Settings, stage: str, event: dict[str, Any]) -> dict[str, Any]:
    runtime = await Runtime.open(settings, long_lived=False)
    try:
        return await invoke(runtime, stage, event)
    finally:
        await runtime.close()


if __name__ == "__main__":
    sys.exit(main())
