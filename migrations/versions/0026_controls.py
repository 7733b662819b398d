"""Accounts that are configured over the API, emergency stops, what is done by hand, and changes that wait."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE accounts
            ADD COLUMN entry jsonb NOT NULL DEFAULT '{}',
            ADD COLUMN version integer NOT NULL DEFAULT 1,
            ADD COLUMN mode text,
            ADD COLUMN removed_at timestamptz
    """)
    op.execute("""
        CREATE TABLE stops (
            account_id text PRIMARY KEY REFERENCES accounts (id),
            asked_at timestamptz NOT NULL,
            asked_by text NOT NULL,
            "left" jsonb NOT NULL,
            finished_at timestamptz,
            rearmed_at timestamptz
        )
    """)
    op.execute("""
        CREATE TABLE errands (
            account_id text NOT NULL REFERENCES accounts (id),
            key text NOT NULL,
            tick timestamptz NOT NULL,
            PRIMARY KEY (account_id, key),
            UNIQUE (account_id, tick)
        )
    """)
    op.execute("""
        CREATE TABLE changes (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            account_id text NOT NULL REFERENCES accounts (id),
            kind text NOT NULL,
            wanted jsonb NOT NULL,
            raises jsonb NOT NULL,
            proposed_by text NOT NULL,
            proposed_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            words jsonb NOT NULL,
            state text NOT NULL,
            decided_by text,
            decided_at timestamptz
        )
    """)
    op.execute("CREATE UNIQUE INDEX changes_pending ON changes (account_id) WHERE state = 'pending'")
    op.execute("CREATE INDEX changes_by_account ON changes (account_id, id)")


def downgrade() -> None:
    op.execute("DROP TABLE changes")
    op.execute("DROP TABLE errands")
    op.execute("DROP TABLE stops")
    op.execute("""
        ALTER TABLE accounts
            DROP COLUMN removed_at, DROP COLUMN mode, DROP COLUMN version, DROP COLUMN entry
    """)
