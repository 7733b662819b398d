"""
What is kept no longer: old events, sessions and keys that have ended, and of the audit trail what AUDIT_RETENTION says.

The local scheduler sees to it once a day; where there is none, run

    python -m functions.pruning
"""

import asyncio
import sys
from dataclasses import asdict

from shared.complaints import one_clear_line
from shared.db.access_retention import Ended, forget_access
from shared.db.outbox import Outbox
from shared.db.unit_of_work import Database
from shared.server import database_server
from shared.settings import Settings, read_settings


async def prune_events(database: Database, settings: Settings) -> int:
    """Take away the events older than EVENT_RETENTION; return how many there were. Raises DatabaseUnavailable."""
    return await Outbox(database).prune(settings.event_retention)


async def prune_access(database: Database, settings: Settings) -> Ended:
    """Take away what has ended of who came in, and the trail before AUDIT_RETENTION. Raises DatabaseUnavailable."""
    return await forget_access(database, settings.audit_retention)


def main() -> int:
    """Prune once."""
    with one_clear_line(), database_server(read_settings()) as connected:
        events, ended = asyncio.run(_prune(connected))
    print(f"{events:,} events taken away")  # noqa: T201 - the result is the output
    print(", ".join(f"{count:,} {name}" for name, count in asdict(ended).items()), "taken away")  # noqa: T201 - as above
    return 0


async def _prune(settings: Settings) -> tuple[int, Ended]:
    assert settings.database_url is not None  # noqa: S101 - `database_server` sees to it
    database = Database(settings.database_url.get_secret_value(), long_lived=False)
    try:
        return await prune_events(database, settings), await prune_access(database, settings)
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
