"""A lease for each duty: a model that thinks no longer keeps protection waiting."""

from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE leases ADD COLUMN duty text NOT NULL DEFAULT 'act'")
    op.execute("ALTER TABLE leases ALTER COLUMN duty DROP DEFAULT")
    op.execute("ALTER TABLE leases DROP CONSTRAINT leases_pkey, ADD PRIMARY KEY (account_id, duty)")


def downgrade() -> None:
    op.execute("DELETE FROM leases WHERE duty <> 'act'")
    op.execute("ALTER TABLE leases DROP CONSTRAINT leases_pkey, ADD PRIMARY KEY (account_id)")
    op.execute("ALTER TABLE leases DROP COLUMN duty")
