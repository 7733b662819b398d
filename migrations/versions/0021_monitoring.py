"""Totals that the database keeps as it writes, spells without a stop, alerts with their deliveries, heartbeats."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ADD = "ON CONFLICT (name, account_id, subject, outcome) DO UPDATE SET value = kept.value + excluded.value"


def upgrade() -> None:
    op.execute("""
    CREATE TABLE tallies (
        name text NOT NULL,
        account_id text REFERENCES accounts (id),
        subject text NOT NULL DEFAULT '',
        outcome text NOT NULL DEFAULT '',
        value numeric NOT NULL,
        CONSTRAINT tallies_name_account_id_subject_outcome_key
            UNIQUE NULLS NOT DISTINCT (name, account_id, subject, outcome)
    )
    """)
    op.execute("""
    CREATE TABLE naked_spells (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account_id text NOT NULL REFERENCES accounts (id),
        symbol text NOT NULL,
        direction text NOT NULL,
        since timestamptz NOT NULL,
        until timestamptz
    )
    """)
    op.execute("CREATE INDEX naked_spells_by_account_and_time ON naked_spells (account_id, since)")
    op.execute("CREATE UNIQUE INDEX naked_now ON naked_spells (account_id, symbol, direction) WHERE until IS NULL")
    op.execute("""
    CREATE TABLE alerts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL,
        account_id text REFERENCES accounts (id),
        subject text NOT NULL,
        severity text NOT NULL,
        text text NOT NULL,
        raised_at timestamptz NOT NULL,
        resolved_at timestamptz,
        acknowledged_at timestamptz,
        acknowledged_by text
    )
    """)
    op.execute("""
    CREATE UNIQUE INDEX alerts_standing ON alerts (kind, account_id, subject) NULLS NOT DISTINCT
    WHERE resolved_at IS NULL
    """)
    op.execute("CREATE INDEX alerts_by_account ON alerts (account_id, id)")
    op.execute("""
    CREATE TABLE deliveries (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        alert_id bigint NOT NULL REFERENCES alerts (id),
        news text NOT NULL,
        channel text NOT NULL,
        queued_at timestamptz NOT NULL DEFAULT now(),
        due_at timestamptz NOT NULL DEFAULT now(),
        attempts integer NOT NULL DEFAULT 0,
        delivered_at timestamptz,
        failure text,
        UNIQUE (alert_id, news, channel)
    )
    """)
    op.execute("CREATE INDEX deliveries_waiting ON deliveries (channel, due_at) WHERE delivered_at IS NULL")
    op.execute("CREATE TABLE heartbeats (name text PRIMARY KEY, at timestamptz NOT NULL)")
    _keep_totals()


def downgrade() -> None:
    for table in ("stage_runs", "discrepancies", "model_calls", "orders", "naked_spells"):
        op.execute(f"DROP TRIGGER tally ON {table}")
    op.execute("DROP TRIGGER tally_changes ON orders")
    for function in ("stage_runs", "discrepancies", "model_calls", "new_orders", "changed_orders", "naked_spells"):
        op.execute(f"DROP FUNCTION tally_{function}()")
    op.execute("DROP TABLE heartbeats, deliveries, alerts, naked_spells, tallies")


def _keep_totals() -> None:
    """Count in the transaction that writes, whoever writes: no way of writing can forget to, and no reader counts."""
    # A stage's run, how long it took, and the ticks that went by unserved before the one that this cycle served.
    _function(
        "stage_runs",
        """
        SELECT 'stage_runs', account_id, stage, CASE WHEN result ? 'refused' THEN 'refused' ELSE 'done' END, 1
        FROM added
        UNION ALL
        SELECT 'stage_seconds', account_id, stage, coalesce(
            (SELECT min(bound)::text FROM unnest(ARRAY[0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120]) bound
             WHERE finished_at - started_at <= bound * interval '1 second'), '+Inf'), 1
        FROM added
        UNION ALL
        SELECT 'stage_seconds', account_id, stage, 'sum', greatest(0, extract(epoch FROM finished_at - started_at))
        FROM added
        UNION ALL
        SELECT 'missed_cycles', added.account_id, '', '',
            floor(extract(epoch FROM added.tick - before.tick)
                  / extract(epoch FROM (accounts.config ->> 'interval')::interval)) - 1
        FROM added
        JOIN accounts ON accounts.id = added.account_id
        CROSS JOIN LATERAL (
            SELECT max(tick) AS tick FROM stage_runs
            WHERE account_id = added.account_id AND stage = 'reconcile' AND tick <> added.tick
        ) before
        WHERE added.stage = 'reconcile'
            AND added.tick - before.tick >= 2 * (accounts.config ->> 'interval')::interval
        """,
    )
    _trigger("tally", "stage_runs", "INSERT", "REFERENCING NEW TABLE AS added", "stage_runs")
    _function("discrepancies", "SELECT 'discrepancies', account_id, kind, '', 1 FROM added")
    _trigger("tally", "discrepancies", "INSERT", "REFERENCING NEW TABLE AS added", "discrepancies")
    _function(
        "model_calls",
        """
        SELECT 'model_calls', account_id, asked_model, CASE
            WHEN error IS NOT NULL THEN 'failed' WHEN content IS NULL THEN 'asked_back' ELSE 'answered' END, 1
        FROM added
        UNION ALL
        SELECT 'model_seconds', account_id, asked_model, '', latency_ms / 1000.0 FROM added
        UNION ALL
        SELECT 'model_cost', account_id, asked_model, '', cost FROM added
        UNION ALL
        SELECT 'model_tokens', account_id, asked_model, 'prompt', prompt_tokens FROM added
        UNION ALL
        SELECT 'model_tokens', account_id, asked_model, 'completion', completion_tokens FROM added
        """,
    )
    _trigger("tally", "model_calls", "INSERT", "REFERENCING NEW TABLE AS added", "model_calls")
    # Orders of ours, by each state that they come to.
    _function("new_orders", "SELECT 'orders', account_id, state, '', 1 FROM added WHERE leg <> 'external'")
    _trigger("tally", "orders", "INSERT", "REFERENCING NEW TABLE AS added", "new_orders")
    _function(
        "changed_orders",
        """
        SELECT 'orders', added.account_id, added.state, '', 1
        FROM added JOIN replaced USING (id) WHERE added.state <> replaced.state AND added.leg <> 'external'
        """,
    )
    changes = "REFERENCING OLD TABLE AS replaced NEW TABLE AS added"
    _trigger("tally_changes", "orders", "UPDATE", changes, "changed_orders")
    op.execute(f"""
    CREATE FUNCTION tally_naked_spells() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR OLD.until IS NULL THEN
            INSERT INTO tallies AS kept (name, account_id, value)
            VALUES ('naked_seconds', NEW.account_id, greatest(0, extract(epoch FROM NEW.until - NEW.since))),
                ('naked_spells', NEW.account_id, 1)
            {ADD};
        END IF;
        RETURN NULL;
    END $$
    """)  # noqa: S608 - every word of it stands in this file
    op.execute("""
    CREATE TRIGGER tally AFTER INSERT OR UPDATE ON naked_spells
    FOR EACH ROW WHEN (NEW.until IS NOT NULL) EXECUTE FUNCTION tally_naked_spells()
    """)


def _function(name: str, counted: str) -> None:
    # In one order everywhere, so that two transactions never wait for each other crosswise.
    op.execute(f"""
    CREATE FUNCTION tally_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tallies AS kept (name, account_id, subject, outcome, value)
        SELECT name, account_id, subject, outcome, sum(value)
        FROM ({counted}) AS counted (name, account_id, subject, outcome, value)
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        {ADD};
        RETURN NULL;
    END $$
    """)  # noqa: S608 - every word of it stands in this file


def _trigger(name: str, table: str, when: str, sees: str, function: str) -> None:
    op.execute(f"""
    CREATE TRIGGER {name} AFTER {when} ON {table} {sees}
    FOR EACH STATEMENT EXECUTE FUNCTION tally_{function}()
    """)
