"""Candles for long histories: their values stand in the index, and what was wrong with them is kept."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DEFECTS = """
    CREATE TABLE candle_defects (
        symbol text NOT NULL,
        timeframe text NOT NULL,
        kind text NOT NULL,
        opened timestamptz NOT NULL,
        until timestamptz NOT NULL,
        detail text NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        times integer NOT NULL DEFAULT '1',
        healed_at timestamptz,
        PRIMARY KEY (symbol, timeframe, kind, opened)
    )
"""


def upgrade() -> None:
    """Rebuild the key of every month: as long as that takes, nobody reads or writes candles."""
    op.execute("ALTER TABLE candles DROP CONSTRAINT candles_pkey")
    op.execute(
        "ALTER TABLE candles ADD PRIMARY KEY (symbol, timeframe, opened) INCLUDE (open, high, low, close, volume)"
    )
    op.execute(DEFECTS)


def downgrade() -> None:
    op.execute("DROP TABLE candle_defects")
    op.execute("ALTER TABLE candles DROP CONSTRAINT candles_pkey")
    op.execute("ALTER TABLE candles ADD PRIMARY KEY (symbol, timeframe, opened)")
