"""The first tables: accounts and all that is told of them, and the candles they share."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE accounts (
        id text NOT NULL,
        status text NOT NULL,
        status_reason text NOT NULL DEFAULT '',
        config jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE candles (
        symbol text NOT NULL,
        timeframe text NOT NULL,
        opened timestamptz NOT NULL,
        open numeric NOT NULL,
        high numeric NOT NULL,
        low numeric NOT NULL,
        close numeric NOT NULL,
        volume numeric NOT NULL,
        PRIMARY KEY (symbol, timeframe, opened)
    ) PARTITION BY RANGE (opened)
    """,
    """
    CREATE TABLE answers (
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        reasoning text NOT NULL,
        repairs jsonb NOT NULL,
        unread jsonb NOT NULL,
        PRIMARY KEY (account_id, tick)
    )
    """,
    """
    CREATE TABLE decisions (
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        position integer NOT NULL,
        asset text NOT NULL,
        action text NOT NULL,
        verdict text NOT NULL,
        code text,
        decision jsonb NOT NULL,
        review jsonb NOT NULL,
        PRIMARY KEY (account_id, tick, position)
    )
    """,
    "CREATE INDEX decisions_by_asset ON decisions (account_id, asset, tick)",
    "CREATE INDEX decisions_by_time ON decisions (tick, account_id, position)",
    "CREATE INDEX decisions_that_moved ON decisions (account_id, tick) WHERE action <> 'hold'",
    """
    CREATE TABLE diary (
        id bigint GENERATED ALWAYS AS IDENTITY,
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        at timestamptz NOT NULL,
        text text NOT NULL,
        body jsonb NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX diary_by_account_and_time ON diary (account_id, at, id)",
    "CREATE INDEX diary_by_time ON diary (at, id)",
    """
    CREATE TABLE discrepancies (
        id bigint GENERATED ALWAYS AS IDENTITY,
        account_id text NOT NULL REFERENCES accounts (id),
        at timestamptz NOT NULL,
        kind text NOT NULL,
        symbol text,
        ours text NOT NULL,
        theirs text NOT NULL,
        action text NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX discrepancies_by_account_and_time ON discrepancies (account_id, at, id)",
    "CREATE INDEX discrepancies_by_time ON discrepancies (at, id)",
    """
    CREATE TABLE equity (
        account_id text NOT NULL REFERENCES accounts (id),
        at timestamptz NOT NULL,
        wallet numeric NOT NULL,
        unrealized numeric NOT NULL,
        deposited numeric NOT NULL,
        unexplained numeric NOT NULL,
        PRIMARY KEY (account_id, at)
    )
    """,
    "CREATE INDEX equity_by_profit ON equity (account_id, (wallet + unrealized - deposited))",
    "CREATE INDEX equity_by_time ON equity (at, account_id)",
    """
    CREATE TABLE events (
        id bigint GENERATED ALWAYS AS IDENTITY,
        xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        account_id text NOT NULL REFERENCES accounts (id),
        kind text NOT NULL,
        at timestamptz NOT NULL,
        body jsonb NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX events_in_order ON events (xid, id)",
    """
    CREATE TABLE fills (
        account_id text NOT NULL REFERENCES accounts (id),
        symbol text NOT NULL,
        trade_id bigint NOT NULL,
        venue_order_id bigint NOT NULL,
        side text NOT NULL,
        price numeric NOT NULL,
        quantity numeric NOT NULL,
        realized_pnl numeric NOT NULL,
        commission numeric NOT NULL,
        commission_asset text NOT NULL,
        maker boolean NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (account_id, symbol, trade_id)
    )
    """,
    "CREATE INDEX fills_by_account_and_time ON fills (account_id, at)",
    "CREATE INDEX fills_by_time ON fills (at)",
    """
    CREATE TABLE incomes (
        account_id text NOT NULL REFERENCES accounts (id),
        kind text NOT NULL,
        transaction_id text NOT NULL,
        symbol text,
        amount numeric NOT NULL,
        asset text NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (account_id, kind, transaction_id)
    )
    """,
    "CREATE INDEX incomes_by_account_and_time ON incomes (account_id, at)",
    """
    CREATE TABLE leases (
        account_id text NOT NULL REFERENCES accounts (id),
        fence bigint NOT NULL,
        holder text NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (account_id)
    )
    """,
    """
    CREATE TABLE model_calls (
        id bigint GENERATED ALWAYS AS IDENTITY,
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        at timestamptz NOT NULL,
        asked_model text NOT NULL,
        answered_model text,
        provider text,
        prompt_version text NOT NULL,
        prompt_system text NOT NULL,
        prompt_user text NOT NULL,
        content text,
        raw jsonb NOT NULL,
        prompt_tokens integer NOT NULL,
        completion_tokens integer NOT NULL,
        cost numeric NOT NULL,
        latency_ms integer NOT NULL,
        error text,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX model_calls_by_account_and_time ON model_calls (account_id, at, id)",
    "CREATE INDEX model_calls_by_cycle ON model_calls (account_id, tick)",
    "CREATE INDEX model_calls_by_time ON model_calls (at, id)",
    """
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY,
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz,
        leg text NOT NULL,
        attempt integer NOT NULL,
        symbol text NOT NULL,
        client_order_id text NOT NULL,
        side text NOT NULL,
        type text NOT NULL,
        quantity numeric,
        stop_price numeric,
        reduce_only boolean NOT NULL,
        state text NOT NULL,
        venue_order_id bigint,
        executed_quantity numeric NOT NULL DEFAULT '0',
        average_price numeric NOT NULL DEFAULT '0',
        reason text,
        sent_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (id),
        UNIQUE (account_id, client_order_id),
        UNIQUE (account_id, tick, symbol, leg, attempt)
    )
    """,
    """
    CREATE INDEX orders_alive ON orders (account_id, id)
        WHERE state IN ('INTENDED', 'UNRESOLVED', 'NEW', 'PARTIALLY_FILLED')
    """,
    "CREATE INDEX orders_by_account ON orders (account_id, id)",
    "CREATE INDEX orders_by_venue_id ON orders (account_id, venue_order_id)",
    """
    CREATE TABLE positions (
        account_id text NOT NULL REFERENCES accounts (id),
        symbol text NOT NULL,
        direction text NOT NULL,
        quantity numeric NOT NULL,
        entry_price numeric NOT NULL,
        mark_price numeric NOT NULL,
        unrealized numeric NOT NULL,
        leverage integer NOT NULL,
        liquidation_price numeric,
        at timestamptz NOT NULL,
        PRIMARY KEY (account_id, symbol, direction)
    )
    """,
    """
    CREATE TABLE snapshots (
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        body jsonb NOT NULL,
        taken_at timestamptz NOT NULL,
        PRIMARY KEY (account_id, tick)
    )
    """,
    """
    CREATE TABLE stage_runs (
        account_id text NOT NULL REFERENCES accounts (id),
        tick timestamptz NOT NULL,
        stage text NOT NULL,
        result jsonb NOT NULL,
        started_at timestamptz NOT NULL,
        finished_at timestamptz NOT NULL,
        PRIMARY KEY (account_id, tick, stage)
    )
    """,
    "CREATE INDEX stage_runs_by_stage ON stage_runs (account_id, stage, tick)",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("""
    DROP TABLE stage_runs, snapshots, positions, orders, model_calls, leases, incomes, fills,
        events, equity, discrepancies, diary, decisions, answers, candles, accounts
    """)
