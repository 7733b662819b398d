"""The position an order and a trade act on, whose a position is, and the modes an account was found in."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE accounts ADD COLUMN modes jsonb")
    op.execute("ALTER TABLE positions ADD COLUMN adopted boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE fills ADD COLUMN position_side text")
    op.execute("ALTER TABLE orders ADD COLUMN direction text")
    # Until now there was one-way mode only, where the side tells: what does not reduce opens.
    op.execute("""
    UPDATE orders SET direction = CASE
        WHEN (side = 'BUY') = (reduce_only OR quantity IS NULL) THEN 'SHORT' ELSE 'LONG' END
    """)
    op.execute("ALTER TABLE orders ALTER COLUMN direction SET NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE orders DROP COLUMN direction")
    op.execute("ALTER TABLE fills DROP COLUMN position_side")
    op.execute("ALTER TABLE positions DROP COLUMN adopted")
    op.execute("ALTER TABLE accounts DROP COLUMN modes")
