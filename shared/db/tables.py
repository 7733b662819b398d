"""
The tables. Every row carries its account, but for candles and what processes share at the exchange. `migrations/`
builds what stands here, and a test compares.

Keys make repeating safe: what a cycle writes is unique by (account, tick, …), a fill by the exchange's trade id. What
people page through is indexed by time, and by each filter and time, with an account and without: a page is read from
one place of one index, however many rows lie around it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.values import CleanText, Document, Moment, Money, TransactionId
from shared.domain.decision import Decision, UnreadItem
from shared.domain.outcome import Proposal, Score
from shared.domain.position import Modes
from shared.domain.record import Judgement
from shared.domain.risk import Review
from shared.domain.snapshot import Snapshot

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
    }
)


def _account() -> Column[str]:
    return Column("account_id", CleanText, ForeignKey("accounts.id"), nullable=False)


def _identity() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


accounts = Table(
    "accounts",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("status", CleanText, nullable=False),
    Column("status_reason", CleanText, nullable=False, server_default=""),
    Column("config", JSONB, nullable=False),
    Column("modes", Document[Modes](Modes)),  # null until they are first seen, and again after a person resumes it
    Column("entry", JSONB, nullable=False, server_default=text("'{}'")),  # what was said of it over the API
    Column("version", Integer, nullable=False, server_default="1"),  # of the entry
    Column("mode", CleanText),  # whose exchange it was last configured for
    Column("removed_at", Moment),  # its history stays
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
)

leases = Table(
    "leases",
    metadata,
    _account(),
    Column("duty", CleanText, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("holder", CleanText, nullable=False),
    Column("expires_at", Moment, nullable=False),
    PrimaryKeyConstraint("account_id", "duty"),
)

# Of the house, not of an account: what all that comes from one address shares, and who gives out which nonces.
allowances = Table(
    "allowances",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("taken", JSONB, nullable=False),
    Column("closed_until", Moment),  # by the exchange's clock
    Column("careful_until", Moment),
    Column("lifted_at", Moment),  # the same end as closed_until, by the database's clock
)

lanes = Table(
    "lanes",
    metadata,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("holder", CleanText, nullable=False),
    Column("free_at", Moment, nullable=False),
)

stage_runs = Table(
    "stage_runs",
    metadata,
    _account(),
    Column("tick", Moment, nullable=False),
    Column("stage", CleanText, nullable=False),
    Column("result", JSONB, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    PrimaryKeyConstraint("account_id", "tick", "stage"),
    Index("stage_runs_by_stage", "account_id", "stage", "tick"),
)

candles = Table(
    "candles",
    metadata,
    Column("symbol", CleanText, nullable=False),
    Column("timeframe", CleanText, nullable=False),
    Column("opened", Moment, nullable=False),
    Column("open", Money, nullable=False),
    Column("high", Money, nullable=False),
    Column("low", Money, nullable=False),
    Column("close", Money, nullable=False),
    Column("volume", Money, nullable=False),
    # The values stand in the index too: rows lie in the order they came, a series far apart, and a range of one would
    # be read from as many places of the table as it has candles.
    PrimaryKeyConstraint(
        "symbol", "timeframe", "opened", postgresql_include=["open", "high", "low", "close", "volume"]
    ),
    postgresql_partition_by="RANGE (opened)",
)

candle_defects = Table(
    "candle_defects",
    metadata,
    Column("symbol", CleanText, nullable=False),
    Column("timeframe", CleanText, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("opened", Moment, nullable=False),  # the first candle that is meant
    Column("until", Moment, nullable=False),  # the last one
    Column("detail", CleanText, nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("times", Integer, nullable=False, server_default="1"),
    Column("healed_at", Moment),  # of a gap: when a candle came after all
    PrimaryKeyConstraint("symbol", "timeframe", "kind", "opened"),
)

snapshots = Table(
    "snapshots",
    metadata,
    _account(),
    Column("tick", Moment, nullable=False),
    Column("body", Document[Snapshot](Snapshot), nullable=False),
    Column("taken_at", Moment, nullable=False),
    PrimaryKeyConstraint("account_id", "tick"),
)

model_calls = Table(
    "model_calls",
    metadata,
    _identity(),
    _account(),
    Column("tick", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("purpose", CleanText, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("asked_model", CleanText, nullable=False),
    Column("answered_model", CleanText),
    Column("provider", CleanText),
    Column("prompt_version", CleanText, nullable=False),
    Column("prompt_system", CleanText, nullable=False),
    Column("prompt_user", CleanText, nullable=False),
    Column("prompt_turns", JSONB, nullable=False),
    Column("parameters", JSONB, nullable=False),
    Column("content", CleanText),
    Column("raw", JSONB, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False),
    Column("cost", Money, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("latency_ms", Integer, nullable=False),
    Column("error", CleanText),
    Index("model_calls_by_cycle", "account_id", "tick"),
    Index("model_calls_by_account_and_time", "account_id", "at", "id"),
    Index("model_calls_by_time", "at", "id"),
    Index("model_calls_by_purpose", "purpose", "at", "id"),
    Index("model_calls_by_account_and_purpose", "account_id", "purpose", "at", "id"),
    Index("model_calls_by_model", "asked_model", "at", "id"),
    Index("model_calls_by_account_and_model", "account_id", "asked_model", "at", "id"),
)

# A day's money for models, reserved before a question and settled after it: a process that died leaves its worst case.
model_spending = Table(
    "model_spending",
    metadata,
    _account(),
    Column("day", Date, nullable=False),  # UTC
    Column("reserved", Money, nullable=False),
    Column("spent", Money, nullable=False),
    PrimaryKeyConstraint("account_id", "day"),
)

# How the account's models have been answering. No row: nothing has failed yet.
model_health = Table(
    "model_health",
    metadata,
    _account(),
    Column("failures", Integer, nullable=False),  # cycles in a row without a usable answer
    Column("manage_only_since", Moment),
    Column("reason", CleanText, nullable=False),
    Column("asks_again_at", Moment),
    PrimaryKeyConstraint("account_id"),
)

answers = Table(
    "answers",
    metadata,
    _account(),
    Column("tick", Moment, nullable=False),
    Column("reasoning", CleanText, nullable=False),
    Column("repairs", JSONB, nullable=False),
    Column("unread", Document[tuple[UnreadItem, ...]](tuple[UnreadItem, ...]), nullable=False),
    PrimaryKeyConstraint("account_id", "tick"),
)

decisions = Table(
    "decisions",
    metadata,
    _account(),
    Column("tick", Moment, nullable=False),
    Column("position", Integer, nullable=False),  # within the answer
    Column("asset", CleanText, nullable=False),
    Column("action", CleanText, nullable=False),
    Column("verdict", CleanText, nullable=False),
    Column("code", CleanText),
    Column("model", CleanText),  # that answered; null where none did
    Column("decision", Document[Decision](Decision), nullable=False),
    Column("review", Document[Review](Review), nullable=False),
    PrimaryKeyConstraint("account_id", "tick", "position"),
    Index("decisions_by_time", "tick", "account_id", "position"),
    Index("decisions_by_asset", "asset", "tick", "account_id", "position"),
    Index("decisions_by_account_and_asset", "account_id", "asset", "tick", "position"),
    Index("decisions_by_action", "action", "tick", "account_id", "position"),
    Index("decisions_by_account_and_action", "account_id", "action", "tick", "position"),
    Index("decisions_by_verdict", "verdict", "tick", "account_id", "position"),
    Index("decisions_by_account_and_verdict", "account_id", "verdict", "tick", "position"),
    Index("decisions_by_model", "model", "tick", "account_id", "position"),
    Index("decisions_by_account_and_model", "account_id", "model", "tick", "position"),
    Index("decisions_that_moved", "account_id", "tick", postgresql_where=text("action <> 'hold'")),
)

# What decisions saw and said, named by its SHA-256: what several share is kept once. A decision refers to its manifest,
# the manifest to the parts. What no decision has used since some day can go with the decisions of before that day.
documents = Table(
    "documents",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("body", CleanText, nullable=False),
    Column("last_used", Date, nullable=False),
)

records = Table(
    "records",
    metadata,
    _account(),
    Column("tick", Moment, nullable=False),
    Column("manifest", CleanText, nullable=False),
    PrimaryKeyConstraint("account_id", "tick"),
    Index("records_by_manifest", "manifest", postgresql_ops={"manifest": "text_pattern_ops"}),
)

# Every template that was ever put before a model, as it stood then.
prompt_versions = Table(
    "prompt_versions",
    metadata,
    Column("version", CleanText, primary_key=True),
    Column("text", CleanText, nullable=False),
    Column("first_used_at", Moment, nullable=False, server_default=func.now()),
)

# What each model made of a cycle: the one that decided it, and those that were asked the same and moved nothing.
opinions = Table(
    "opinions",
    metadata,
    _account(),
    Column("tick", Moment, nullable=False),
    Column("model", CleanText, nullable=False),
    Column("prompt_version", CleanText, nullable=False),
    Column("purpose", CleanText, nullable=False),
    Column("at", Moment, nullable=False),
    Column("judgement", Document[Judgement](Judgement)),  # null until it has answered, or failed to
    Column("cost", Money, nullable=False, server_default="0"),
    Column("latency_ms", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("account_id", "tick", "model", "prompt_version"),
)

# The entries among them, and how each would have ended.
proposals = Table(
    "proposals",
    metadata,
    _account(),
    Column("tick", Moment, nullable=False),
    Column("model", CleanText, nullable=False),
    Column("prompt_version", CleanText, nullable=False),
    Column("asset", CleanText, nullable=False),
    Column("proposal", Document[Proposal](Proposal), nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("score", Document[Score](Score)),
    PrimaryKeyConstraint("account_id", "tick", "model", "prompt_version", "asset"),
    Index("proposals_to_score", "due_at", postgresql_where=text("score IS NULL")),
)

orders = Table(
    "orders",
    metadata,
    _identity(),
    _account(),
    Column("tick", Moment),  # null for somebody else's order: it belongs to no cycle of ours
    Column("leg", CleanText, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("symbol", CleanText, nullable=False),
    Column("client_order_id", CleanText, nullable=False),
    Column("side", CleanText, nullable=False),
    Column("direction", CleanText, nullable=False),  # of the position it opens or ends
    Column("type", CleanText, nullable=False),
    Column("quantity", Money),  # null: the whole position
    Column("stop_price", Money),
    Column("reduce_only", Boolean, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("venue_order_id", BigInteger),
    Column("executed_quantity", Money, nullable=False, server_default="0"),
    Column("average_price", Money, nullable=False, server_default="0"),
    Column("reason", CleanText),
    Column("sent_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("updated_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("account_id", "client_order_id"),
    UniqueConstraint("account_id", "tick", "symbol", "leg", "attempt"),
    Index("orders_by_venue_id", "account_id", "venue_order_id"),
    Index(
        "orders_alive",
        "account_id",
        "id",
        postgresql_where=text("state IN ('INTENDED', 'UNRESOLVED', 'NEW', 'PARTIALLY_FILLED')"),
    ),
    Index("orders_by_account", "account_id", "id"),
    Index("orders_by_time", "created_at", "id"),
    Index("orders_by_account_and_time", "account_id", "created_at", "id"),
    Index("orders_by_symbol", "symbol", "created_at", "id"),
    Index("orders_by_account_and_symbol", "account_id", "symbol", "created_at", "id"),
    Index("orders_by_state", "state", "created_at", "id"),
    Index("orders_by_account_and_state", "account_id", "state", "created_at", "id"),
)

fills = Table(
    "fills",
    metadata,
    _account(),
    Column("symbol", CleanText, nullable=False),
    Column("trade_id", BigInteger, nullable=False),
    Column("venue_order_id", BigInteger, nullable=False),
    Column("side", CleanText, nullable=False),
    Column("price", Money, nullable=False),
    Column("quantity", Money, nullable=False),
    Column("realized_pnl", Money, nullable=False),
    Column("commission", Money, nullable=False),
    Column("commission_asset", CleanText, nullable=False),
    Column("maker", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
    Column("position_side", CleanText),  # null in one-way mode
    PrimaryKeyConstraint("account_id", "symbol", "trade_id"),
    Index("fills_by_time", "at", "account_id", "symbol", "trade_id"),
    Index("fills_by_account_and_time", "account_id", "at", "symbol", "trade_id"),
    Index("fills_by_symbol", "symbol", "at", "account_id", "trade_id"),
    Index("fills_by_account_and_symbol", "account_id", "symbol", "at", "trade_id"),
    Index("fills_by_order", "account_id", "venue_order_id"),
)

incomes = Table(
    "incomes",
    metadata,
    _account(),
    Column("kind", CleanText, nullable=False),
    Column("transaction_id", CleanText, nullable=False),  # the exchange's, unique within a kind
    Column("symbol", CleanText),
    Column("amount", Money, nullable=False),
    Column("asset", CleanText, nullable=False),
    Column("at", Moment, nullable=False),
    PrimaryKeyConstraint("account_id", "kind", "transaction_id"),
    Index("incomes_by_account_and_time", "account_id", "at"),
    Index("incomes_of_funding", "account_id", "symbol", "at", postgresql_where=text("kind = 'FUNDING_FEE'")),
)

# Positions from flat to flat, the open ones among them, put together from fills as these come in.
round_trips = Table(
    "round_trips",
    metadata,
    _account(),
    Column("symbol", CleanText, nullable=False),
    Column("position_side", CleanText, nullable=False),  # BOTH in one-way mode
    Column("first_trade_id", BigInteger, nullable=False),
    Column("last_trade_id", BigInteger, nullable=False),
    Column("direction", CleanText, nullable=False),
    Column("entry_order", BigInteger, nullable=False),  # the exchange's id
    Column("exit_order", BigInteger),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),  # null while it is open
    Column("held", Money, nullable=False),
    Column("entered", Money, nullable=False),
    Column("entry_value", Money, nullable=False),
    Column("exited", Money, nullable=False),
    Column("exit_value", Money, nullable=False),
    Column("realized", Money, nullable=False),
    Column("fees", Money, nullable=False),
    Column("trades", Integer, nullable=False),
    Column("funding", Money, nullable=False, server_default="0"),  # what it paid the account while the trip lasted
    Column("tick", Moment),  # of the entry, and what follows from it; null where no order of ours opened it
    Column("model", CleanText),
    Column("stop_price", Money),  # the first
    Column("exit", CleanText),
    PrimaryKeyConstraint("account_id", "symbol", "position_side", "first_trade_id"),
    Index("round_trips_by_symbol_and_end", "account_id", "symbol", "closed_at", "position_side", "first_trade_id"),
    *(
        Index(name, *columns, "position_side", "first_trade_id", postgresql_where=text("closed_at IS NOT NULL"))
        for name, columns in {
            "round_trips_by_end": ("closed_at", "account_id", "symbol"),
            "round_trips_by_account_and_end": ("account_id", "closed_at", "symbol"),
            "round_trips_by_symbol": ("symbol", "closed_at", "account_id"),
            "round_trips_by_direction": ("direction", "closed_at", "account_id", "symbol"),
            "round_trips_by_account_and_direction": ("account_id", "direction", "closed_at", "symbol"),
            "round_trips_by_model": ("model", "closed_at", "account_id", "symbol"),
            "round_trips_by_account_and_model": ("account_id", "model", "closed_at", "symbol"),
            "round_trips_by_exit": ("exit", "closed_at", "account_id", "symbol"),
            "round_trips_by_account_and_exit": ("account_id", "exit", "closed_at", "symbol"),
        }.items()
    ),
)

# What trading came to, by UTC day: of trades and funding when they were, of round trips when they ended.
trading_days = Table(
    "trading_days",
    metadata,
    _account(),
    Column("day", Date, nullable=False),
    Column("trades", Integer, nullable=False),
    Column("turnover", Money, nullable=False),
    Column("fees", Money, nullable=False),
    Column("funding", Money, nullable=False),
    Column("trips", Integer, nullable=False),
    Column("wins", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("gained", Money, nullable=False),
    Column("lost", Money, nullable=False),
    Column("returns", Double, nullable=False),
    Column("squares", Double, nullable=False),
    PrimaryKeyConstraint("account_id", "day"),
)

positions = Table(
    "positions",
    metadata,
    _account(),
    Column("symbol", CleanText, nullable=False),
    Column("direction", CleanText, nullable=False),  # part of the key: hedge mode holds both
    Column("quantity", Money, nullable=False),
    Column("entry_price", Money, nullable=False),
    Column("mark_price", Money, nullable=False),
    Column("unrealized", Money, nullable=False),
    Column("leverage", Integer, nullable=False),
    Column("liquidation_price", Money),
    Column("at", Moment, nullable=False),
    Column("adopted", Boolean, nullable=False, server_default=false()),  # no order of ours opened it: it has no plan
    PrimaryKeyConstraint("account_id", "symbol", "direction"),
)

equity = Table(
    "equity",
    metadata,
    _account(),
    Column("at", Moment, nullable=False),
    Column("wallet", Money, nullable=False),
    Column("unrealized", Money, nullable=False),
    Column("deposited", Money, nullable=False),
    Column("unexplained", Money, nullable=False),
    PrimaryKeyConstraint("account_id", "at"),
    Index("equity_by_time", "at", "account_id"),
    Index("equity_by_profit", "account_id", text("(wallet + unrealized - deposited - unexplained)")),
)

# The curve by UTC day, deposits taken out: what is kept of it however long it gets.
equity_days = Table(
    "equity_days",
    metadata,
    _account(),
    Column("day", Date, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("equity", Money, nullable=False),
    Column("deposited", Money, nullable=False),
    Column("growth", Money, nullable=False),
    Column("peak", Money, nullable=False),
    Column("high", Money, nullable=False),
    Column("high_at", Moment, nullable=False),
    Column("deepest", Money, nullable=False),
    Column("deepest_at", Moment, nullable=False),
    Column("drawdown", Money, nullable=False),
    PrimaryKeyConstraint("account_id", "day"),
)

# Each breaker of an account as it was tripped last.
breakers = Table(
    "breakers",
    metadata,
    _account(),
    Column("breaker", CleanText, nullable=False),
    Column("at", Moment, nullable=False),
    Column("lifts_at", Moment),  # null: a person has to
    Column("lifted_at", Moment),  # null while it stands, and until it was noticed that time has lifted it
    Column("flatten", Boolean, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("saw", JSONB, nullable=False),
    PrimaryKeyConstraint("account_id", "breaker"),
)

# The emergency stop of an account, as it was asked for last.
stops = Table(
    "stops",
    metadata,
    _account(),
    Column("asked_at", Moment, nullable=False),
    Column("asked_by", CleanText, nullable=False),
    Column("left", JSONB, nullable=False),  # in words, after the last attempt
    Column("finished_at", Moment),  # when nothing was left
    Column("rearmed_at", Moment),  # null while it is in force
    PrimaryKeyConstraint("account_id"),
)

# One row at most: the exchange whose books these are.
owner = Table(
    "owner",
    metadata,
    Column("one", Boolean, primary_key=True),
    Column("mode", CleanText, nullable=False),
    Column("books", CleanText, nullable=False),  # what a paper exchange calls them; empty where it does not tell
    CheckConstraint("one"),
)

# What each account trades with at that exchange.
wallets = Table(
    "wallets",
    metadata,
    _account(),
    Column("key", CleanText, nullable=False),  # what tells its key from others: no secret
    Column("name", CleanText, nullable=False),  # what the exchange calls it; empty where it does not tell
    Column("known_at", Moment, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("account_id"),
)

# What people had done by hand: the key they named it by, and the moment that its orders are named by.
errands = Table(
    "errands",
    metadata,
    _account(),
    Column("key", CleanText, nullable=False),
    Column("tick", Moment, nullable=False),
    PrimaryKeyConstraint("account_id", "key"),
    UniqueConstraint("account_id", "tick"),
)

# What is to be allowed to accounts and is not yet: at `due_at`, or by the word of a second person.
changes = Table(
    "changes",
    metadata,
    _identity(),
    _account(),
    Column("kind", CleanText, nullable=False),
    Column("wanted", JSONB, nullable=False),  # the account as it would be
    Column("raises", JSONB, nullable=False),  # what of it is more than now, in words
    Column("proposed_by", CleanText, nullable=False),
    Column("proposed_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("words", JSONB, nullable=False),  # who is for it
    Column("state", CleanText, nullable=False),
    Column("decided_by", CleanText),
    Column("decided_at", Moment),
    Index("changes_pending", "account_id", unique=True, postgresql_where=text("state = 'pending'")),
    Index("changes_by_time", "proposed_at", "id"),
    Index("changes_by_account", "account_id", "proposed_at", "id"),
    Index("changes_by_state", "state", "proposed_at", "id"),
    Index("changes_by_account_and_state", "account_id", "state", "proposed_at", "id"),
)

discrepancies = Table(
    "discrepancies",
    metadata,
    _identity(),
    _account(),
    Column("at", Moment, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("symbol", CleanText),
    Column("ours", CleanText, nullable=False),
    Column("theirs", CleanText, nullable=False),
    Column("action", CleanText, nullable=False),
    Index("discrepancies_by_account_and_time", "account_id", "at", "id"),
    Index("discrepancies_by_time", "at", "id"),
    Index("discrepancies_by_kind", "kind", "at", "id"),
    Index("discrepancies_by_account_and_kind", "account_id", "kind", "at", "id"),
    Index("discrepancies_by_symbol", "symbol", "at", "id"),
    Index("discrepancies_by_account_and_symbol", "account_id", "symbol", "at", "id"),
)

diary = Table(
    "diary",
    metadata,
    _identity(),
    _account(),
    Column("tick", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("text", CleanText, nullable=False),
    Column("body", JSONB, nullable=False),
    Index("diary_by_account_and_time", "account_id", "at", "id"),
    Index("diary_by_time", "at", "id"),
)

# Identities are given out before commit, so a reader of "id > last seen" would pass over a slow transaction's rows.
# In the order of (xid, id), and short of the oldest running transaction, nothing ever appears behind a reader.
# Most are written by triggers on the other tables: see the migrations that made them.
events = Table(
    "events",
    metadata,
    _identity(),
    Column("xid", TransactionId, nullable=False, server_default=func.pg_current_xact_id()),
    Column("account_id", CleanText, ForeignKey("accounts.id")),  # null: of the house
    Column("kind", CleanText, nullable=False),
    Column("at", Moment, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("told_at", Moment, nullable=False, server_default=func.now()),  # by the database's clock
    Index("events_in_order", "xid", "id"),
    Index("events_by_account", "account_id", "xid", "id"),
    Index("events_by_kind", "kind", "xid", "id"),
    Index("events_by_account_and_kind", "account_id", "kind", "xid", "id"),
)

# Who may ask for what. Only the hash of a token is kept, and its row outlives it: the audit trail names it.
tokens = Table(
    "tokens",
    metadata,
    _identity(),
    Column("name", CleanText, nullable=False, unique=True),
    Column("prefix", CleanText, nullable=False, unique=True),  # how its own begins, for people to know it by
    Column("hash", CleanText, nullable=False, unique=True),
    Column("scope", CleanText, nullable=False),
    Column("account_id", CleanText, ForeignKey("accounts.id")),  # the only one it is for; null: all
    Column("created_by", CleanText, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("expires_at", Moment),
    Column("last_used_at", Moment),
    Column("revoked_at", Moment),
)

# A page's stand-in for a token, named by that token's hash: it is worth as much, as long as the token is.
sessions = Table(
    "sessions",
    metadata,
    Column("hash", CleanText, primary_key=True),
    Column("token_hash", CleanText, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("expires_at", Moment, nullable=False),
    Index("sessions_by_end", "expires_at"),
)

# What people and their programs did, written before it is done; what came of it, after. A trigger refuses every change.
audit = Table(
    "audit",
    metadata,
    _identity(),
    Column("at", Moment, nullable=False, server_default=func.now()),
    Column("caller", CleanText),  # null: nobody we know
    Column("scope", CleanText),
    Column("client", CleanText),
    Column("action", CleanText, nullable=False),
    Column("path", CleanText),
    Column("account_id", CleanText),  # as it was asked for: there may be none of that name
    Column("request_id", CleanText),
    Column("idempotency_key", CleanText),
    Column("body", JSONB(none_as_null=True)),
    Index("audit_by_account", "account_id", "at", "id"),
    Index("audit_by_caller", "caller", "at", "id"),
    Index("audit_by_account_and_caller", "account_id", "caller", "at", "id"),
    Index("audit_by_action", "action", "at", "id"),
    Index("audit_by_account_and_action", "account_id", "action", "at", "id"),
    Index("audit_by_time", "at", "id"),
)

audit_outcomes = Table(
    "audit_outcomes",
    metadata,
    Column("audit_id", BigInteger, ForeignKey("audit.id"), primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False, server_default=func.clock_timestamp()),
    Column("status", Integer, nullable=False),  # as over HTTP
    Column("code", CleanText),
    Column("account_id", CleanText),  # as in the trail: a list by code and account is read in the order of an index
    Index("audit_outcomes_by_code", "code", "at", "audit_id"),
    Index("audit_outcomes_by_account_and_code", "account_id", "code", "at", "audit_id"),
)

# A request that named itself, and how it was answered. Without an end it is under way, or was cut short.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("caller", CleanText, nullable=False),
    Column("key", CleanText, nullable=False),
    Column("fingerprint", CleanText, nullable=False),
    Column("claimed_at", Moment, nullable=False, server_default=func.now()),
    Column("ended_at", Moment),
    Column("status", Integer),
    Column("headers", JSONB(none_as_null=True)),
    Column("body", CleanText),
    PrimaryKeyConstraint("caller", "key"),
    Index("idempotency_keys_by_age", "claimed_at"),
)

# What happened, as totals that only grow: triggers add to them in the transaction that writes what they count, and
# processes add what they alone saw. What is read every few seconds is never counted anew.
tallies = Table(
    "tallies",
    metadata,
    Column("name", CleanText, nullable=False),
    Column("account_id", CleanText, ForeignKey("accounts.id")),  # null: of the house
    Column("subject", CleanText, nullable=False, server_default=""),
    Column("outcome", CleanText, nullable=False, server_default=""),
    Column("value", Money, nullable=False),
    UniqueConstraint("name", "account_id", "subject", "outcome", postgresql_nulls_not_distinct=True),
)

# When a position stood without a stop of its full size. `until` is null while it does.
naked_spells = Table(
    "naked_spells",
    metadata,
    _identity(),
    _account(),
    Column("symbol", CleanText, nullable=False),
    Column("direction", CleanText, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment),
    Index("naked_spells_by_account_and_time", "account_id", "since"),
    Index("naked_now", "account_id", "symbol", "direction", unique=True, postgresql_where=text("until IS NULL")),
)

# What a person must know. While it stands there is one row of it, however often it is seen.
alerts = Table(
    "alerts",
    metadata,
    _identity(),
    Column("kind", CleanText, nullable=False),
    Column("account_id", CleanText, ForeignKey("accounts.id")),  # null: of the house
    Column("subject", CleanText, nullable=False),
    Column("severity", CleanText, nullable=False),
    Column("text", CleanText, nullable=False),
    Column("raised_at", Moment, nullable=False),
    Column("resolved_at", Moment),
    Column("acknowledged_at", Moment),
    Column("acknowledged_by", CleanText),
    Index(
        "alerts_standing",
        "kind",
        "account_id",
        "subject",
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=text("resolved_at IS NULL"),
    ),
    Index("alerts_by_time", "raised_at", "id"),
    Index("alerts_by_account", "account_id", "raised_at", "id"),
    Index("alerts_by_kind", "kind", "raised_at", "id"),
    Index("alerts_by_account_and_kind", "account_id", "kind", "raised_at", "id"),
    Index("alerts_now", "raised_at", "id", postgresql_where=text("resolved_at IS NULL")),
)

# Each piece of news on its way to each channel. Times are the database's: no market's clock keeps a message waiting.
deliveries = Table(
    "deliveries",
    metadata,
    _identity(),
    Column("alert_id", BigInteger, ForeignKey("alerts.id"), nullable=False),
    Column("news", CleanText, nullable=False),
    Column("channel", CleanText, nullable=False),
    Column("queued_at", Moment, nullable=False, server_default=func.now()),
    Column("due_at", Moment, nullable=False, server_default=func.now()),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("delivered_at", Moment),
    Column("failure", CleanText),
    UniqueConstraint("alert_id", "news", "channel"),
    Index("deliveries_waiting", "channel", "due_at", postgresql_where=text("delivered_at IS NULL")),
)

# When each of our processes last said that it is there, by the database's clock.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("at", Moment, nullable=False),
)

# Whether the exchange's streams are listened to, as whoever does says every few seconds, by the database's clock.
exchange_streams = Table(
    "exchange_streams",
    metadata,
    Column("account_id", CleanText, ForeignKey("accounts.id")),  # null: the market's
    Column("connected", Boolean, nullable=False),
    Column("heard_at", Moment),
    Column("at", Moment, nullable=False),
    UniqueConstraint("account_id", postgresql_nulls_not_distinct=True),
)

# One row at most: the last event that was taken away for its age.
pruned_events = Table(
    "pruned_events",
    metadata,
    Column("one", Boolean, primary_key=True),
    Column("xid", TransactionId, nullable=False),
    Column("id", BigInteger, nullable=False),
    CheckConstraint("one"),
)
