"""An index for every list and each of its filters, and of each decision the model it came from."""

from alembic import op

revision = "0025"
down_revision = "0023"
branch_labels = None
depends_on = None

INDEXES = {
    "model_calls_by_purpose": "model_calls (purpose, at, id)",
    "model_calls_by_account_and_purpose": "model_calls (account_id, purpose, at, id)",
    "model_calls_by_model": "model_calls (asked_model, at, id)",
    "model_calls_by_account_and_model": "model_calls (account_id, asked_model, at, id)",
    "decisions_by_asset": "decisions (asset, tick, account_id, position)",
    "decisions_by_account_and_asset": "decisions (account_id, asset, tick, position)",
    "decisions_by_action": "decisions (action, tick, account_id, position)",
    "decisions_by_account_and_action": "decisions (account_id, action, tick, position)",
    "decisions_by_verdict": "decisions (verdict, tick, account_id, position)",
    "decisions_by_account_and_verdict": "decisions (account_id, verdict, tick, position)",
    "decisions_by_model": "decisions (model, tick, account_id, position)",
    "decisions_by_account_and_model": "decisions (account_id, model, tick, position)",
    "orders_by_time": "orders (created_at, id)",
    "orders_by_account_and_time": "orders (account_id, created_at, id)",
    "orders_by_symbol": "orders (symbol, created_at, id)",
    "orders_by_account_and_symbol": "orders (account_id, symbol, created_at, id)",
    "orders_by_state": "orders (state, created_at, id)",
    "orders_by_account_and_state": "orders (account_id, state, created_at, id)",
    "fills_by_time": "fills (at, account_id, symbol, trade_id)",
    "fills_by_account_and_time": "fills (account_id, at, symbol, trade_id)",
    "fills_by_symbol": "fills (symbol, at, account_id, trade_id)",
    "fills_by_account_and_symbol": "fills (account_id, symbol, at, trade_id)",
    "fills_by_order": "fills (account_id, venue_order_id)",
    "discrepancies_by_kind": "discrepancies (kind, at, id)",
    "discrepancies_by_account_and_kind": "discrepancies (account_id, kind, at, id)",
    "discrepancies_by_symbol": "discrepancies (symbol, at, id)",
    "discrepancies_by_account_and_symbol": "discrepancies (account_id, symbol, at, id)",
    "events_by_account": "events (account_id, xid, id)",
    "events_by_kind": "events (kind, xid, id)",
    "events_by_account_and_kind": "events (account_id, kind, xid, id)",
}
BEFORE = {
    "decisions_by_asset": "decisions (account_id, asset, tick)",
    "fills_by_account_and_time": "fills (account_id, at)",
    "fills_by_time": "fills (at)",
}


def upgrade() -> None:
    op.execute("ALTER TABLE decisions ADD COLUMN model text")
    op.execute("""
        UPDATE decisions SET model = (
            SELECT answered_model FROM model_calls
            WHERE model_calls.account_id = decisions.account_id AND model_calls.tick = decisions.tick
                AND content IS NOT NULL AND purpose IN ('decision', 'fallback')
            ORDER BY model_calls.id DESC LIMIT 1
        )
    """)
    op.execute(f"DROP INDEX {', '.join(BEFORE)}")
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")


def downgrade() -> None:
    op.execute(f"DROP INDEX {', '.join(INDEXES)}")
    for name, columns in BEFORE.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")
    op.execute("ALTER TABLE decisions DROP COLUMN model")
