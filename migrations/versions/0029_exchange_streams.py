"""Whether the exchange's streams are listened to, as the process says that does; it tells of every change."""

from alembic import op

from migrations.telling import Told, on_insert, on_update, tell

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

TOLD = Told("exchange_stream", "n.at", "connected", key="account_id")
SAME = "o.account_id IS NOT DISTINCT FROM n.account_id"  # null: the market's


def upgrade() -> None:
    op.execute("""
        CREATE TABLE exchange_streams (
            account_id text REFERENCES accounts (id),
            connected boolean NOT NULL,
            heard_at timestamptz,
            at timestamptz NOT NULL,
            CONSTRAINT exchange_streams_account_id_key UNIQUE NULLS NOT DISTINCT (account_id)
        )
    """)
    tell("exchange_streams", "insert", on_insert(TOLD))
    tell("exchange_streams", "update", on_update(TOLD).replace("o.account_id = n.account_id", SAME))


def downgrade() -> None:
    op.execute("DROP TABLE exchange_streams")
    op.execute("DROP FUNCTION tell_exchange_streams_insert, tell_exchange_streams_update")
