"""Round trips, and what each day of an account came to: kept as it happens, so that no report reads every trade."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What there is already is booked when the account is next looked at: see shared/db/books.py.
    op.execute("""
        CREATE TABLE round_trips (
            account_id text NOT NULL REFERENCES accounts (id),
            symbol text NOT NULL,
            position_side text NOT NULL,
            first_trade_id bigint NOT NULL,
            last_trade_id bigint NOT NULL,
            direction text NOT NULL,
            entry_order bigint NOT NULL,
            exit_order bigint,
            opened_at timestamptz NOT NULL,
            closed_at timestamptz,
            held numeric NOT NULL,
            entered numeric NOT NULL,
            entry_value numeric NOT NULL,
            exited numeric NOT NULL,
            exit_value numeric NOT NULL,
            realized numeric NOT NULL,
            fees numeric NOT NULL,
            trades integer NOT NULL,
            funding numeric NOT NULL DEFAULT 0,
            tick timestamptz,
            model text,
            stop_price numeric,
            exit text,
            PRIMARY KEY (account_id, symbol, position_side, first_trade_id)
        )
    """)
    op.execute("CREATE INDEX round_trips_by_account_and_end ON round_trips (account_id, closed_at)")
    op.execute("CREATE INDEX round_trips_by_end ON round_trips (closed_at)")
    op.execute("CREATE INDEX round_trips_by_symbol_and_end ON round_trips (account_id, symbol, closed_at)")
    op.execute("""
        CREATE TABLE trading_days (
            account_id text NOT NULL REFERENCES accounts (id),
            day date NOT NULL,
            trades integer NOT NULL,
            turnover numeric NOT NULL,
            fees numeric NOT NULL,
            funding numeric NOT NULL,
            trips integer NOT NULL,
            wins integer NOT NULL,
            losses integer NOT NULL,
            gained numeric NOT NULL,
            lost numeric NOT NULL,
            returns double precision NOT NULL,
            squares double precision NOT NULL,
            PRIMARY KEY (account_id, day)
        )
    """)
    op.execute("""
        CREATE TABLE equity_days (
            account_id text NOT NULL REFERENCES accounts (id),
            day date NOT NULL,
            first_at timestamptz NOT NULL,
            at timestamptz NOT NULL,
            equity numeric NOT NULL,
            deposited numeric NOT NULL,
            growth numeric NOT NULL,
            peak numeric NOT NULL,
            high numeric NOT NULL,
            high_at timestamptz NOT NULL,
            deepest numeric NOT NULL,
            deepest_at timestamptz NOT NULL,
            drawdown numeric NOT NULL,
            PRIMARY KEY (account_id, day)
        )
    """)
    op.execute("""
        CREATE INDEX incomes_of_funding ON incomes (account_id, symbol, at) WHERE kind = 'FUNDING_FEE'
    """)


def downgrade() -> None:
    op.execute("DROP INDEX incomes_of_funding")
    op.execute("DROP TABLE equity_days")
    op.execute("DROP TABLE trading_days")
    op.execute("DROP TABLE round_trips")
