"""
Rows tell of themselves: what each table's change is called in the outbox, and what is told of it.

A trigger a statement, so that it costs one insert however many rows change; an update that changes nothing of what is
told tells nothing. Money, quantities and the exchange's ids are text, as everywhere outside. A hint goes out with the
commit, and how far the outbox was pruned is kept, so that a reader who comes too late can be told so.
"""

# ruff: noqa: S608 - the statements are made of the words below, and of nobody else's

from alembic import op

from migrations.telling import EVENTS, Told, on_insert, on_update, tell

revision = "0020"
down_revision = "0012"
branch_labels = None
depends_on = None


TABLES = {
    "accounts": Told("account", "n.updated_at", "status status_reason config", was="status", key="id", account="id"),
    "orders": Told(
        "order",
        "n.updated_at",
        "id symbol leg attempt tick client_order_id side direction type reduce_only state reason sent_at",
        "quantity stop_price venue_order_id executed_quantity average_price",
        was="state",
    ),
    "fills": Told(
        "fill",
        "n.at",
        "symbol side commission_asset maker position_side",
        "trade_id venue_order_id price quantity realized_pnl commission",
        key="account_id symbol trade_id",
    ),
    "positions": Told(
        "position_changed",
        "n.at",
        "symbol direction leverage adopted",
        "quantity entry_price mark_price unrealized liquidation_price",
        added="position_opened",
        key="account_id symbol direction",
    ),
    "decisions": Told(
        "decision",
        "n.tick",
        "tick position asset action verdict code",
        other=", ".join(
            [f"'{name}', n.decision -> '{name}'" for name in ("allocation_usd", "leverage", "confidence")]
            + [f"'{name}', n.decision -> '{name}'" for name in ("stop_loss", "take_profit")]
            + [f"'{name}', n.review -> '{name}'" for name in ("direction", "quantity", "price")]
        ),
        key="account_id tick position",
    ),
    "stage_runs": Told("stage", "n.finished_at", "stage tick result started_at", key="account_id tick stage"),
    "equity": Told("equity", "n.at", text="wallet unrealized deposited unexplained", key="account_id at"),
    "incomes": Told(
        "income",
        "n.at",
        "transaction_id symbol asset",
        "amount",
        "'income_kind', n.kind",
        key="account_id kind transaction_id",
    ),
    "discrepancies": Told("discrepancy", "n.at", "id symbol ours theirs action", other="'discrepancy_kind', n.kind"),
    "diary": Told("diary", "n.at", "id tick text body"),
    "breakers": Told(
        "breaker",
        "coalesce(n.lifted_at, n.at)",
        "breaker lifts_at lifted_at flatten reason saw",
        other="'standing', n.lifted_at IS NULL, 'tripped_at', n.at",
        key="account_id breaker",
    ),
    "model_calls": Told(
        "model_call",
        "n.at",
        "id tick purpose turn asked_model answered_model provider prompt_version prompt_tokens cached_tokens "
        "completion_tokens reasoning_tokens estimated latency_ms error",
        "cost",
    ),
}

ENDS = "leg <> 'entry' AND type IN ('STOP', 'STOP_MARKET', 'TAKE_PROFIT', 'TAKE_PROFIT_MARKET')"
RESTS = "state IN ('NEW', 'PARTIALLY_FILLED')"

# All that rests at the exchange and ends the position: whether it is enough, a reader can tell by the quantity.
PROTECTION_OF = f"""
    CREATE FUNCTION protection_of(account text, of_symbol text, of_direction text) RETURNS jsonb
    LANGUAGE sql STABLE AS $$
        SELECT jsonb_build_object(
            'symbol', of_symbol,
            'direction', of_direction,
            'stops', coalesce(jsonb_agg(told ORDER BY id) FILTER (WHERE type LIKE 'STOP%'), '[]'),
            'targets', coalesce(jsonb_agg(told ORDER BY id) FILTER (WHERE type NOT LIKE 'STOP%'), '[]')
        )
        FROM (
            SELECT id, type, jsonb_build_object(
                'client_order_id', client_order_id,
                'type', type,
                'stop_price', stop_price::text,
                'quantity', quantity::text
            ) AS told
            FROM orders
            WHERE account_id = account AND symbol = of_symbol AND direction = of_direction AND {RESTS} AND {ENDS}
        ) AS resting
    $$
"""


def upgrade() -> None:
    for table, told in TABLES.items():
        tell(table, "insert", on_insert(told))
        tell(table, "update", on_update(told))
    tell("positions", "delete", on_insert(TABLES["positions"], "position_closed", "now()", rows="old_rows"))
    op.execute(PROTECTION_OF)
    touched = "SELECT n.account_id, 'protection', max(n.updated_at), protection_of(n.account_id, n.symbol, n.direction)"
    group = "GROUP BY n.account_id, n.symbol, n.direction"
    tell(
        "orders",
        "insert",
        f"{EVENTS} {touched} FROM new_rows n WHERE {ENDS} AND {RESTS} {group}",
        name="protection",
    )
    tell(
        "orders",
        "update",
        f"""
        {EVENTS} {touched} FROM (SELECT * FROM new_rows WHERE {ENDS}) n JOIN old_rows o USING (id)
        WHERE (o.state, o.stop_price, o.quantity) IS DISTINCT FROM (n.state, n.stop_price, n.quantity) {group}
        """,
        name="protection",
    )
    op.execute("""
        CREATE FUNCTION hint_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM told) THEN
                PERFORM pg_notify('events', '');
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER hint AFTER INSERT ON events REFERENCING NEW TABLE AS told
        FOR EACH STATEMENT EXECUTE FUNCTION hint_of_events()
    """)
    op.execute("ALTER TABLE events ADD COLUMN told_at timestamptz NOT NULL DEFAULT now()")
    op.execute(
        "CREATE TABLE pruned_events (one boolean PRIMARY KEY CHECK (one), xid xid8 NOT NULL, id bigint NOT NULL)"
    )


def downgrade() -> None:
    op.execute("DROP TABLE pruned_events")
    op.execute("ALTER TABLE events DROP COLUMN told_at")
    op.execute("DROP FUNCTION hint_of_events CASCADE")
    for table in TABLES:
        op.execute(f"DROP FUNCTION tell_{table}_insert, tell_{table}_update CASCADE")
    op.execute("DROP FUNCTION tell_positions_delete, tell_protection_insert, tell_protection_update CASCADE")
    op.execute("DROP FUNCTION protection_of")
