"""
An index for the lists that had none, by each of their filters; and of each outcome on the trail, whose it is.

What is old may be taken off the trail.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

TRAIL = ("audit", "audit_outcomes")
ENDED = "WHERE closed_at IS NOT NULL"
INDEXES = {
    "round_trips_by_end": f"round_trips (closed_at, account_id, symbol, position_side, first_trade_id) {ENDED}",
    "round_trips_by_account_and_end": (
        f"round_trips (account_id, closed_at, symbol, position_side, first_trade_id) {ENDED}"
    ),
    "round_trips_by_symbol": f"round_trips (symbol, closed_at, account_id, position_side, first_trade_id) {ENDED}",
    "round_trips_by_symbol_and_end": "round_trips (account_id, symbol, closed_at, position_side, first_trade_id)",
    **{
        f"round_trips_by_{column}": (
            f"round_trips ({column}, closed_at, account_id, symbol, position_side, first_trade_id) {ENDED}"
        )
        for column in ("direction", "model", "exit")
    },
    **{
        f"round_trips_by_account_and_{column}": (
            f"round_trips (account_id, {column}, closed_at, symbol, position_side, first_trade_id) {ENDED}"
        )
        for column in ("direction", "model", "exit")
    },
    "changes_by_time": "changes (proposed_at, id)",
    "changes_by_account": "changes (account_id, proposed_at, id)",
    "changes_by_state": "changes (state, proposed_at, id)",
    "changes_by_account_and_state": "changes (account_id, state, proposed_at, id)",
    "alerts_by_time": "alerts (raised_at, id)",
    "alerts_by_account": "alerts (account_id, raised_at, id)",
    "alerts_by_kind": "alerts (kind, raised_at, id)",
    "alerts_by_account_and_kind": "alerts (account_id, kind, raised_at, id)",
    "alerts_now": "alerts (raised_at, id) WHERE resolved_at IS NULL",
    "audit_by_account_and_caller": "audit (account_id, caller, at, id)",
    "audit_by_action": "audit (action, at, id)",
    "audit_by_account_and_action": "audit (account_id, action, at, id)",
    "audit_outcomes_by_code": "audit_outcomes (code, at, audit_id)",
    "audit_outcomes_by_account_and_code": "audit_outcomes (account_id, code, at, audit_id)",
}
BEFORE = {
    "round_trips_by_end": "round_trips (closed_at)",
    "round_trips_by_account_and_end": "round_trips (account_id, closed_at)",
    "round_trips_by_symbol_and_end": "round_trips (account_id, symbol, closed_at)",
    "changes_by_account": "changes (account_id, id)",
    "alerts_by_account": "alerts (account_id, id)",
}


def upgrade() -> None:
    op.execute("ALTER TABLE audit_outcomes ADD COLUMN account_id text")
    for table in TRAIL:
        op.execute(f"DROP TRIGGER {table}_stays ON {table}")
    op.execute("UPDATE audit_outcomes SET account_id = audit.account_id FROM audit WHERE audit.id = audit_id")
    for table in TRAIL:
        op.execute(f"""
            CREATE TRIGGER {table}_stays BEFORE UPDATE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_audit_trail()
        """)
        op.execute(f"""
            CREATE TRIGGER {table}_is_kept BEFORE DELETE ON {table}
            FOR EACH ROW WHEN (OLD.at > now() - interval '30 days')
            EXECUTE FUNCTION refuse_to_change_the_audit_trail()
        """)
    op.execute(f"DROP INDEX {', '.join(BEFORE)}")
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")


def downgrade() -> None:
    op.execute(f"DROP INDEX {', '.join(INDEXES)}")
    for name, columns in BEFORE.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")
    for table in TRAIL:
        op.execute(f"DROP TRIGGER {table}_is_kept ON {table}")
        op.execute(f"DROP TRIGGER {table}_stays ON {table}")
        op.execute(f"""
            CREATE TRIGGER {table}_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_audit_trail()
        """)
    op.execute("ALTER TABLE audit_outcomes DROP COLUMN account_id")
