"""
How things stand, as Prometheus reads it.

Many processes do the work, and containers that live for a second: what they do is read from the database, where each of
them writes it; only what this process does itself is measured here. Ages and delays are in the exchange's time, which
on paper may run faster than ours, where no description says otherwise.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from shared.db.gauges import Gauges
from shared.domain.account import AccountStatus
from shared.domain.alert import missed_cycles
from shared.domain.market import Timeframe
from shared.domain.order import OrderState
from shared.domain.reconciliation import Difference
from shared.domain.tally import Counted

BOUNDS = ("0.1", "0.5", "1", "2.5", "5", "10", "30", "60", "120", "+Inf")
"""Of the durations of stages, as the database counts them."""

# name in the totals, name told, what it says, labels: from account (a), subject (s) and outcome (o)
_TOTALS = (
    (
        "stage_runs",
        "perpetua_stage_runs",
        "Stages that came to their end.",
        {"account": "a", "stage": "s", "outcome": "o"},
    ),
    ("stage_failures", "perpetua_stage_failures", "Stages that failed.", {"account": "a", "stage": "s", "error": "o"}),
    ("missed_cycles", "perpetua_missed_cycles", "Ticks that no cycle served.", {"account": "a"}),
    (
        "exchange_calls",
        "perpetua_exchange_calls",
        "Requests to the exchange, written down at the end of each stage.",
        {"call": "s", "outcome": "o"},
    ),
    ("model_calls", "perpetua_model_calls", "Questions to models.", {"account": "a", "model": "s", "outcome": "o"}),
    ("model_tokens", "perpetua_model_tokens", "Tokens used.", {"account": "a", "model": "s", "kind": "o"}),
    ("model_cost", "perpetua_model_cost_usd", "What models cost, in USD.", {"account": "a", "model": "s"}),
    (
        "naked_seconds",
        "perpetua_naked_seconds",
        "Seconds in which positions stood without a stop, at most; of spells that are over.",
        {"account": "a"},
    ),
    ("naked_spells", "perpetua_naked_spells", "Times that a position stood without a stop.", {"account": "a"}),
    (
        "discrepancies",
        "perpetua_discrepancies",
        "Differences between ours and the exchange's books.",
        {"account": "a", "kind": "s"},
    ),
    ("orders", "perpetua_orders", "Orders of ours that came to a state.", {"account": "a", "state": "s"}),
)

# Whoever adds up what came within an hour sees nothing in a total that was not there before: these begin with 0.
_FROM_NOTHING: dict[str, tuple[str, ...]] = {
    "missed_cycles": ("",),
    "naked_seconds": ("",),
    "naked_spells": ("",),
    "discrepancies": tuple(Difference),
    "orders": tuple(OrderState),
}


def database_up(up: bool) -> Metric:
    """Say whether there is anything to say but of this process."""
    return GaugeMetricFamily("perpetua_database_up", "Whether the database answers: 1 or 0.", int(up))


def families(gauges: Gauges, *, now: datetime, weight_limit: int) -> Iterator[Metric]:
    """Return what the database knows."""
    yield from _counters(gauges.totals, [row.account for row in gauges.accounts])
    yield _stage_seconds(gauges.totals)
    yield _model_seconds(gauges.totals)
    yield from _accounts(gauges, now)
    yield from _house(gauges, now, weight_limit)
    yield _gauge(
        "perpetua_orders_alive",
        "Orders that rest at the exchange, or may.",
        ("account", "state"),
        (((row.account, row.state), row.number) for row in gauges.orders),
    )
    yield _gauge(
        "perpetua_data_age_seconds",
        "Since the newest stored candle of a series closed, or would have; none stored tells nothing.",
        ("symbol", "timeframe"),
        (
            (
                (row.symbol, row.timeframe),
                max(0.0, (now - Timeframe(row.timeframe).following(row.opened)).total_seconds()),
            )
            for row in gauges.series
            if row.opened is not None
        ),
    )


def _counters(totals: dict[Counted, Decimal], accounts: Iterable[str]) -> Iterator[Metric]:
    by_name: defaultdict[str, list[tuple[Counted, Decimal]]] = defaultdict(list)
    nothing = {
        Counted(name, account, subject): Decimal(0)
        for account in accounts
        for name, subjects in _FROM_NOTHING.items()
        for subject in subjects
    }
    for what, value in (nothing | totals).items():
        by_name[what.name].append((what, value))
    for kept_as, name, told, labels in _TOTALS:
        family = CounterMetricFamily(name, told, labels=list(labels))
        for what, value in by_name[kept_as]:
            parts = {"a": what.account_id or "", "s": what.subject, "o": what.outcome}
            family.add_metric([parts[part] for part in labels.values()], float(value))
        yield family


def _stage_seconds(totals: dict[Counted, Decimal]) -> Metric:
    family = HistogramMetricFamily("perpetua_stage_seconds", "How long stages took.", labels=["account", "stage"])
    kept: defaultdict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for what, value in totals.items():
        if what.name == "stage_seconds":
            kept[what.account_id or "", what.subject][what.outcome] = value
    for labels, counts in kept.items():
        so_far, buckets = 0.0, []
        for bound in BOUNDS:
            so_far += float(counts.get(bound, 0))
            buckets.append((bound if bound == "+Inf" else str(float(bound)), so_far))
        family.add_metric(list(labels), buckets=buckets, sum_value=float(counts.get("sum", 0)))
    return family


def _model_seconds(totals: dict[Counted, Decimal]) -> Metric:
    family = SummaryMetricFamily("perpetua_model_seconds", "How long models took.", labels=["account", "model"])
    calls: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for what, value in totals.items():
        if what.name == "model_calls":
            calls[what.account_id or "", what.subject] += value
    for (account, model), count in calls.items():
        seconds = totals.get(Counted("model_seconds", account, model), Decimal(0))
        family.add_metric([account, model], count_value=int(count), sum_value=float(seconds))
    return family


def _accounts(gauges: Gauges, now: datetime) -> Iterator[Metric]:
    rows = gauges.accounts
    statuses = dict.fromkeys(AccountStatus, 0)
    for row in rows:
        statuses[AccountStatus(row.status)] += 1
    yield _gauge(
        "perpetua_accounts", "Accounts by status.", ("status",), (((s.value,), n) for s, n in statuses.items())
    )
    budgets = [row for row in rows if row.budget is not None]
    for name, told, values in (
        ("perpetua_positions", "Open positions.", [(row.account, row.positions) for row in rows]),
        ("perpetua_exposure_usd", "All positions at their mark prices.", [(row.account, row.exposure) for row in rows]),
        (
            "perpetua_equity_usd",
            "What the account is worth.",
            [(r.account, r.equity) for r in rows if r.equity is not None],
        ),
        (
            "perpetua_cycles_overdue",
            "Ticks that have gone by since the last cycle, the present one left out.",
            [(row.account, missed_cycles(row.last_tick, row.interval, now)) for row in rows],
        ),
        (
            "perpetua_last_cycle_age_seconds",
            "Since the tick of the last cycle that came to its end.",
            [(row.account, (now - row.last_tick).total_seconds()) for row in rows if row.last_tick],
        ),
        (
            "perpetua_naked_now_seconds",
            "Since when a position stands without a stop, the longest; 0 while none does.",
            [(row.account, (now - row.naked_since).total_seconds() if row.naked_since else 0) for row in rows],
        ),
        ("perpetua_model_budget_usd", "A day's USD for models.", [(row.account, row.budget) for row in budgets]),
        (
            "perpetua_model_budget_left_usd",
            "What is left of today's, less what is set aside for questions under way.",
            [(row.account, max(Decimal(0), row.budget - row.spent)) for row in budgets],
        ),
    ):
        yield _gauge(name, told, ("account",), (((account,), value) for account, value in values))


def _house(gauges: Gauges, now: datetime, weight_limit: int) -> Iterator[Metric]:
    closed_for = (gauges.closed_until - now).total_seconds() if gauges.closed_until else 0.0
    for name, told, value in (
        ("perpetua_rate_limit_weight", "Request weight that the exchange allows us a minute.", weight_limit),
        (
            "perpetua_rate_limit_weight_left",
            "What is left of it, of all processes behind our address; what they drew counts as used.",
            max(0, weight_limit - gauges.weight_used),
        ),
        ("perpetua_exchange_closed_seconds", "For how long the exchange refuses us from now on.", max(0.0, closed_for)),
        (
            "perpetua_outbox_held_back_seconds",
            "How long a running transaction has kept later events from readers, in our time.",
            gauges.held_back_seconds,
        ),
    ):
        yield GaugeMetricFamily(name, told, value)
    yield _gauge(
        "perpetua_alerts_waiting",
        "Messages that wait to be delivered.",
        ("channel",),
        (((row.channel,), row.number) for row in gauges.waiting),
    )
    yield _gauge(
        "perpetua_alerts_waiting_seconds",
        "For how long the oldest of them has waited, in our time.",
        ("channel",),
        (((row.channel,), row.seconds) for row in gauges.waiting),
    )
    yield _gauge(
        "perpetua_alerts_standing",
        "Alerts that stand.",
        ("account", "kind", "severity"),
        (((row.account or "", row.kind, row.severity), row.number) for row in gauges.alerts),
    )
    yield _gauge(
        "perpetua_exchange_stream_connected",
        "Whether the exchange's stream of an account, or of none the market's, is listened to: 1 or 0.",
        ("account",),
        (((account or "",), float(each.connected)) for account, each in gauges.streams),
    )
    yield _gauge(
        "perpetua_heartbeat_age_seconds",
        "Since a process was last heard of, in our time.",
        ("process",),
        (((row.name,), row.seconds) for row in gauges.heartbeats),
    )


def _gauge(name: str, told: str, labels: Iterable[str], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=list(labels))
    for parts, value in values:
        family.add_metric(list(parts), float(value))
    return family
