"""What a person at a terminal is told when something cannot work: one clear line, and exit code 2."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shared.db.embedded import PostgresUnavailable
from shared.domain.errors import PerpetuaError
from shared.secrets import mask_text


@contextmanager
def one_clear_line() -> Iterator[None]:
    """Turn every failure we have a name for into its own line on stderr and exit code 2. Defects keep their stack."""
    try:
        yield
    except (PerpetuaError, PostgresUnavailable) as exc:
        for line in str(exc).splitlines():
            print(f"perpetua: {mask_text(line)}", file=sys.stderr)  # noqa: T201 - this is the voice
        sys.exit(2)
