"""
What else a page shows tells of itself: alerts, changes that wait, emergency stops, round trips, spells without a stop,
what other models proposed, and that something was done.

An alert may be about the house: its event is of no account. Of the audit trail only the number is told, for the
trail is not for everybody who may listen.
"""

# ruff: noqa: S608 - the statements are made of the words below, and of nobody else's

from alembic import op

from migrations.telling import EVENTS, Told, on_insert, on_update, tell

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

TABLES = {
    "alerts": Told(
        "alert",
        "coalesce(n.resolved_at, n.acknowledged_at, n.raised_at)",
        "id subject severity text raised_at resolved_at acknowledged_at acknowledged_by",
        other="'alert_kind', n.kind",
        key="id",
    ),
    "changes": Told(
        "change",
        "coalesce(n.decided_at, n.proposed_at)",
        "id raises proposed_by proposed_at due_at words state decided_by decided_at",
        other="'change_kind', n.kind",
        key="id",
    ),
    "stops": Told(
        "stop",
        "coalesce(n.rearmed_at, n.finished_at, n.asked_at)",
        "asked_at asked_by left finished_at rearmed_at",
        key="account_id",
    ),
    "round_trips": Told(
        "round_trip",
        "coalesce(n.closed_at, n.opened_at)",
        "symbol position_side direction opened_at closed_at trades tick model exit",
        "first_trade_id last_trade_id held entered entry_value exited exit_value realized fees funding stop_price",
        key="account_id symbol position_side first_trade_id",
    ),
    "naked_spells": Told("naked", "coalesce(n.until, n.since)", "id symbol direction since until", key="id"),
    "proposals": Told(
        "proposal",
        "n.tick",
        "tick model prompt_version asset approved due_at score",
        key="account_id tick model prompt_version asset",
    ),
}

# The account is as it was asked for: there may be none of that name.
DONE = f"""
    {EVENTS} SELECT a.id, 'audit', n.at, jsonb_build_object('id', n.id)
    FROM {{rows}} LEFT JOIN accounts a ON a.id = n.account_id ORDER BY n.id
"""


def upgrade() -> None:
    op.execute("ALTER TABLE events ALTER COLUMN account_id DROP NOT NULL")
    for table, told in TABLES.items():
        tell(table, "insert", on_insert(told))
        tell(table, "update", on_update(told))
    tell("audit", "insert", DONE.format(rows="new_rows n"))
    tell("audit_outcomes", "insert", DONE.format(rows="new_rows o JOIN audit n ON n.id = o.audit_id"))


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP FUNCTION tell_{table}_insert, tell_{table}_update CASCADE")
    op.execute("DROP FUNCTION tell_audit_insert, tell_audit_outcomes_insert CASCADE")
    op.execute("DELETE FROM events WHERE account_id IS NULL")
    op.execute("ALTER TABLE events ALTER COLUMN account_id SET NOT NULL")
