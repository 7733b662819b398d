"""Who may: tokens, the sessions of pages, what was done by whom, and the answers to requests that carry a key."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE tokens (
            id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            name text NOT NULL UNIQUE,
            prefix text NOT NULL UNIQUE,
            hash text NOT NULL UNIQUE,
            scope text NOT NULL,
            account_id text REFERENCES accounts (id),
            created_by text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            last_used_at timestamptz,
            revoked_at timestamptz
        )
    """)
    op.execute("""
        CREATE TABLE sessions (
            hash text PRIMARY KEY,
            token_hash text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX sessions_by_end ON sessions (expires_at)")
    op.execute("""
        CREATE TABLE audit (
            id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            at timestamptz NOT NULL DEFAULT now(),
            caller text,
            scope text,
            client text,
            action text NOT NULL,
            path text,
            account_id text,
            request_id text,
            idempotency_key text,
            body jsonb
        )
    """)
    op.execute("CREATE INDEX audit_by_account ON audit (account_id, at, id)")
    op.execute("CREATE INDEX audit_by_caller ON audit (caller, at, id)")
    op.execute("CREATE INDEX audit_by_time ON audit (at, id)")
    op.execute("""
        CREATE TABLE audit_outcomes (
            audit_id bigint PRIMARY KEY REFERENCES audit (id),
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            status integer NOT NULL,
            code text
        )
    """)
    op.execute("""
        CREATE FUNCTION refuse_to_change_the_audit_trail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit trail is only ever added to: no % of %', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
        END $$
    """)
    for table in ("audit", "audit_outcomes"):
        op.execute(f"""
            CREATE TRIGGER {table}_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_audit_trail()
        """)
    op.execute("""
        CREATE TABLE idempotency_keys (
            caller text NOT NULL,
            key text NOT NULL,
            fingerprint text NOT NULL,
            claimed_at timestamptz NOT NULL DEFAULT now(),
            ended_at timestamptz,
            status integer,
            headers jsonb,
            body text,
            PRIMARY KEY (caller, key)
        )
    """)
    op.execute("CREATE INDEX idempotency_keys_by_age ON idempotency_keys (claimed_at)")


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_keys")
    op.execute("DROP TABLE audit_outcomes")
    op.execute("DROP TABLE audit")
    op.execute("DROP FUNCTION refuse_to_change_the_audit_trail")
    op.execute("DROP TABLE sessions")
    op.execute("DROP TABLE tokens")
