"""Breakers, and peaks that take no deposit which the ledger has yet to tell of for a profit."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE breakers (
            account_id text NOT NULL REFERENCES accounts (id),
            breaker text NOT NULL,
            at timestamptz NOT NULL,
            lifts_at timestamptz,
            lifted_at timestamptz,
            flatten boolean NOT NULL,
            reason text NOT NULL,
            saw jsonb NOT NULL,
            PRIMARY KEY (account_id, breaker)
        )
    """)
    op.execute("DROP INDEX equity_by_profit")
    op.execute("CREATE INDEX equity_by_profit ON equity (account_id, (wallet + unrealized - deposited - unexplained))")


def downgrade() -> None:
    op.execute("DROP INDEX equity_by_profit")
    op.execute("CREATE INDEX equity_by_profit ON equity (account_id, (wallet + unrealized - deposited))")
    op.execute("DROP TABLE breakers")
