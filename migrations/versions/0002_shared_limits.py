"""What processes share at the exchange: its limits by address, and the lanes in which they give out nonces."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE allowances (
        name text NOT NULL,
        taken jsonb NOT NULL,
        closed_until timestamptz,
        careful_until timestamptz,
        lifted_at timestamptz,
        PRIMARY KEY (name)
    )
    """)
    op.execute("""
    CREATE TABLE lanes (
        lane integer NOT NULL,
        holder text NOT NULL,
        free_at timestamptz NOT NULL,
        PRIMARY KEY (lane)
    )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE allowances, lanes")
