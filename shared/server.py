"""Which database: the one that DATABASE_URL names, or a server of our own in the data folder."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from shared.db.embedded import embedded_postgres
from shared.settings import CURRENT_DATA, Settings


def lead_to(name: str) -> None:
    """Have the default data folder be the one of that name beside it, for every process to find the same."""
    (CURRENT_DATA.parent / name).mkdir(parents=True, exist_ok=True)
    CURRENT_DATA.unlink(missing_ok=True)
    CURRENT_DATA.symlink_to(name)


@contextmanager
def database_server(settings: Settings) -> Iterator[Settings]:
    """Yield the settings with a database that answers, migrated to the newest form.

    Without DATABASE_URL a server is started in DATA_FOLDER for as long as the block lasts; where another process of
    ours runs one already, that one is used. Enter from the main thread. Raises PostgresUnavailable.
    """
    if settings.database_url is not None:
        yield settings
        return
    if settings.data_folder == CURRENT_DATA and not CURRENT_DATA.exists():
        lead_to("by-hand")
    # Migrations cost a third of a second to import, and a named database is migrated by whoever deploys it.
    from shared.db.migrate import upgrade  # noqa: PLC0415

    with embedded_postgres(settings.data_folder.resolve() / "postgres", binaries=settings.postgres_bin) as url:
        asyncio.run(upgrade(url))
        yield settings.model_copy(update={"database_url": SecretStr(url)})
