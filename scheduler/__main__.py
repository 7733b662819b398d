"""The scheduler as a process: `python -m scheduler` runs every configured account until it is told to stop."""

import asyncio
import signal
import sys

from scheduler.attending import Attendant
from scheduler.local import LocalScheduler
from scheduler.watch import Watcher
from shared.complaints import one_clear_line
from shared.logs import set_up_logging
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, read_settings


def main() -> int:
    """Run until SIGINT or SIGTERM; a cycle under way is finished first."""
    with one_clear_line():
        settings = read_settings()
        set_up_logging(
            "scheduler", level=settings.log_level, folder=settings.log_folder, config=settings.logging_config
        )
        with database_server(settings) as connected:
            asyncio.run(_run(connected))
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    runtime = await Runtime.open(settings, long_lived=True)
    try:
        await runtime.verify()
        scheduler = LocalScheduler(runtime)
        watcher = Watcher(runtime, scheduler.turn) if settings.streams else None
        attendant = Attendant(runtime)
        await scheduler.start()
        attendant.start()
        if watcher:
            watcher.start()
        await stop.wait()
        if watcher:
            await watcher.stop()
        await scheduler.stop()
        await attendant.stop()
    finally:
        await runtime.close()


if __name__ == "__main__":
    sys.exit(main())
