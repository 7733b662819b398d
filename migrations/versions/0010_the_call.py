"""What a model was asked for besides the prompt, what a day may cost, and how an account's models have been doing."""

from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None

ADDED = {
    "purpose": "text NOT NULL DEFAULT 'decision'",
    "turn": "integer NOT NULL DEFAULT 0",
    "prompt_turns": "jsonb NOT NULL DEFAULT '[]'",
    "parameters": "jsonb NOT NULL DEFAULT '{}'",
    "cached_tokens": "integer NOT NULL DEFAULT 0",
    "reasoning_tokens": "integer NOT NULL DEFAULT 0",
    "estimated": "boolean NOT NULL DEFAULT false",
}


def upgrade() -> None:
    for name, kind in ADDED.items():
        op.execute(f"ALTER TABLE model_calls ADD COLUMN {name} {kind}")
        op.execute(f"ALTER TABLE model_calls ALTER COLUMN {name} DROP DEFAULT")
    op.execute("""
    CREATE TABLE model_spending (
        account_id text NOT NULL REFERENCES accounts (id),
        day date NOT NULL,
        reserved numeric NOT NULL,
        spent numeric NOT NULL,
        PRIMARY KEY (account_id, day)
    )
    """)
    op.execute("""
    CREATE TABLE model_health (
        account_id text NOT NULL REFERENCES accounts (id) PRIMARY KEY,
        failures integer NOT NULL,
        manage_only_since timestamptz,
        reason text NOT NULL,
        asks_again_at timestamptz
    )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE model_health, model_spending")
    for name in ADDED:
        op.execute(f"ALTER TABLE model_calls DROP COLUMN {name}")
