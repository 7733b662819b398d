"""Which database: the one that DATABASE_URL names, or a server of our own in the data folder."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from shared.db.embedded import embedded_postgres, is_running
from shared.settings import CURRENT_DATA, Settings, SettingsError

POSTGRES = "postgres"
"""Where in a data folder the database is."""


def lead_to(name: str) -> Path:
    """Have the default data folder be the one of that name beside it, where no other one is in use; return that one."""
    folder = CURRENT_DATA.parent / name
    folder.mkdir(parents=True, exist_ok=True)
    CURRENT_DATA.unlink(missing_ok=True)
    CURRENT_DATA.symlink_to(name)
    return folder


def in_use() -> Path:
    """Return the data folder that is meant where none is named: the one in use, else the one last traded on.

    Raises SettingsError where several are in use.
    """
    beside = [each for each in sorted(CURRENT_DATA.parent.glob("*")) if each.name != CURRENT_DATA.name]
    running = [each for each in beside if is_running(each / POSTGRES)]
    if len(running) > 1:
        names = ", ".join(map(str, running))
        raise SettingsError(f"DATA_FOLDER: several are in use, {names}: say which is meant, DATA_FOLDER={running[0]}")
    if running:
        return running[0]
    return CURRENT_DATA if CURRENT_DATA.exists() else lead_to("by-hand")


@contextmanager
def database_server(settings: Settings) -> Iterator[Settings]:
    """Yield the settings with a database that answers, migrated to the newest form.

    Without DATABASE_URL a server is started in DATA_FOLDER for as long as the block lasts; where another process of
    ours runs one already, that one is used. Where the folder was left to us, it is that of the copy that runs. Enter
    from the main thread. Raises PostgresUnavailable, SettingsError.
    """
    if settings.database_url is not None:
        yield settings
        return
    folder = in_use() if settings.data_folder == CURRENT_DATA else settings.data_folder
    # Migrations cost a third of a second to import, and a named database is migrated by whoever deploys it.
    from shared.db.migrate import upgrade  # noqa: PLC0415

    with embedded_postgres(folder.resolve() / POSTGRES, binaries=settings.postgres_bin) as url:
        asyncio.run(upgrade(url))
        yield settings.model_copy(update={"database_url": SecretStr(url)})
