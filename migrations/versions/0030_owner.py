"""Whose books these are: the exchange's, and for each account a wallet's. Old ones are whose comes first."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE owner (
            one boolean PRIMARY KEY CHECK (one),
            mode text NOT NULL,
            books text NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE wallets (
            account_id text PRIMARY KEY REFERENCES accounts (id),
            key text NOT NULL,
            name text NOT NULL,
            known_at timestamptz NOT NULL DEFAULT now()
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE wallets")
    op.execute("DROP TABLE owner")
