"""
A process that asks for more than it can have: the cycles of its accounts at every tick, and greedy reads in between.

    python -m tests.functions.greedy TICKS

Set up by the environment. Prints one line of JSON at its end: what the cycles' stages failed of, if of anything, and
how many reads were told to wait.
"""

import asyncio
import json
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

from functions.invoke import invoke_cycle
from scheduler.plan import next_due
from shared.domain.cycle import StageRequest, tick_at
from shared.domain.errors import RateLimited
from shared.runtime import Runtime
from shared.settings import read_settings
from tests.house import ScriptedModel

DELAY = timedelta(seconds=2)


class Greedy:
    """Everything that one process does."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.failures: list[Any] = []
        self.limited = 0
        self.cycles = 0

    async def run(self, ticks: int) -> None:
        """Run the cycles of so many ticks, reading in between."""
        clock, interval = self.runtime.clock, min(self.runtime.intervals.values())
        reading = [asyncio.create_task(self._read(account_id)) for account_id in self.runtime.intervals]
        for _ in range(ticks):
            now = clock.now()
            await asyncio.sleep((next_due(now, interval, DELAY) - now).total_seconds() / self.runtime.speed)
            tick = tick_at(clock.now(), interval)
            requests = [StageRequest(account_id, tick) for account_id in self.runtime.intervals]
            for outcome in await asyncio.gather(*(invoke_cycle(self.runtime, request) for request in requests)):
                self.cycles += 1
                self._note(outcome)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    async def _read(self, account_id: str) -> None:
        """Ask for the ledger, at a weight of thirty, again and again."""
        exchange = self.runtime.exchange(account_id)
        while True:
            with suppress(RateLimited):
                await exchange.histories.incomes(since=self.runtime.clock.now())
                continue
            self.limited += 1

    def _note(self, outcome: dict[str, Any]) -> None:
        self.failures += [part for part in outcome.values() if isinstance(part, dict) and "error" in part]


async def main(ticks: int) -> None:
    """Do it all and print the line."""
    runtime = Runtime(read_settings(), long_lived=True, model_transport=ScriptedModel())
    try:
        await runtime.record_accounts()
        await runtime.synchronise()
        greedy = Greedy(runtime)
        await greedy.run(ticks)
    finally:
        await runtime.close()
    said = {"cycles": greedy.cycles, "failures": greedy.failures, "limited": greedy.limited}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
