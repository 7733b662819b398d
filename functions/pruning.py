"""
What of the outbox is kept no longer. The local scheduler sees to it once a day; where there is none, run

    python -m functions.pruning
"""

import asyncio
import sys

from shared.complaints import one_clear_line
from shared.db.outbox import Outbox
from shared.db.unit_of_work import Database
from shared.server import database_server
from shared.settings import Settings, read_settings


async def prune_events(database: Database, settings: Settings) -> int:
    """Take away the events older than EVENT_RETENTION; return how many there were. Raises DatabaseUnavailable."""
    return await Outbox(database).prune(settings.event_retention)


def main() -> int:
    """Prune once."""
    with one_clear_line(), database_server(read_settings()) as connected:
        pruned = asyncio.run(_prune(connected))
    print(f"{pruned:,} events taken away")  # noqa: T201 - the result is the output
    return 0


async def _prune(settings: Settings) -> int:
    assert settings.database_url is not None  # noqa: S101 - `database_server` sees to it
    database = Database(settings.database_url.get_secret_value(), long_lived=False)
    try:
        return await prune_events(database, settings)
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
