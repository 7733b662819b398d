"""The record of each decision, by content; what other models made of the same cycle, and how entries would end."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE documents (
        name text PRIMARY KEY,
        body text NOT NULL,
        last_used date NOT NULL
    )
    """)
    op.execute("""
    CREATE TABLE records (
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        manifest text NOT NULL,
        PRIMARY KEY (account_id, tick)
    )
    """)
    op.execute("CREATE INDEX records_by_manifest ON records (manifest text_pattern_ops)")
    op.execute("""
    CREATE TABLE prompt_versions (
        version text PRIMARY KEY,
        text text NOT NULL,
        first_used_at timestamptz NOT NULL DEFAULT now()
    )
    """)
    op.execute("""
    CREATE TABLE opinions (
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        model text NOT NULL,
        prompt_version text NOT NULL,
        purpose text NOT NULL,
        at timestamptz NOT NULL,
        judgement jsonb,
        cost numeric NOT NULL DEFAULT '0',
        latency_ms integer NOT NULL DEFAULT '0',
        PRIMARY KEY (account_id, tick, model, prompt_version)
    )
    """)
    op.execute("""
    CREATE TABLE proposals (
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        model text NOT NULL,
        prompt_version text NOT NULL,
        asset text NOT NULL,
        proposal jsonb NOT NULL,
        approved boolean NOT NULL,
        due_at timestamptz NOT NULL,
        score jsonb,
        PRIMARY KEY (account_id, tick, model, prompt_version, asset)
    )
    """)
    op.execute("CREATE INDEX proposals_to_score ON proposals (due_at) WHERE score IS NULL")


def downgrade() -> None:
    op.execute("DROP TABLE proposals, opinions, prompt_versions, records, documents")
