"""What a person must know at once, found by how things stand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.account import AccountStatus
from shared.domain.alert import (
    SEVERITY,
    AccountFacts,
    AlertKind,
    HouseFacts,
    Severity,
    alarms,
    missed_cycles,
    pause_after,
)
from shared.domain.reconciliation import Difference

NOW = datetime(2026, 3, 31, 12, 2, tzinfo=UTC)
TICK = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
FIVE = timedelta(minutes=5)
WELL = HouseFacts(exchange_answers=True, closed_until=None, held_back=timedelta(0))
FINE = AccountFacts(
    account_id="main",
    status=AccountStatus.ACTIVE,
    status_reason="",
    interval=FIVE,
    last_tick=TICK,
    breakers={},
    naked={},
    unresolved={},
    spent=Decimal(1),
    budget=Decimal(10),
    manage_only_since=None,
    manage_only_reason="",
    differences=(),
)


def found(house: HouseFacts = WELL, **changes: Any) -> list[tuple[AlertKind, str | None, str]]:
    facts = replace(FINE, **changes)
    return [
        (alarm.kind, alarm.account_id, alarm.subject)
        for alarm in alarms([facts], house, NOW, protection_deadline=timedelta(seconds=30))
    ]


def test_an_account_that_is_well_raises_nothing() -> None:
    assert found() == []
    assert found(last_tick=None, budget=None, spent=Decimal(0)) == []


@pytest.mark.parametrize(
    ("changes", "kind", "subject"),
    [
        ({"status": AccountStatus.HALTED, "status_reason": "the key"}, AlertKind.ACCOUNT_HALTED, ""),
        ({"status": AccountStatus.PAUSED, "status_reason": "no authority yet"}, AlertKind.NO_AUTHORITY, ""),
        ({"breakers": {"drawdown": "21 %"}}, AlertKind.BREAKER_TRIPPED, "drawdown"),
        ({"naked": {"LONG BTCUSDT": NOW - timedelta(seconds=31)}}, AlertKind.POSITION_NAKED, "LONG BTCUSDT"),
        ({"last_tick": TICK - 3 * FIVE}, AlertKind.CYCLES_MISSED, ""),
        ({"unresolved": {"p-1": NOW - timedelta(minutes=6)}}, AlertKind.ORDER_UNRESOLVED, "p-1"),
        ({"spent": Decimal("9.5")}, AlertKind.BUDGET_SPENT, "2026-03-31"),
        ({"manage_only_since": TICK, "manage_only_reason": "503"}, AlertKind.MODELS_DOWN, ""),
        ({"differences": [(7, Difference.LIQUIDATION, TICK, "gone")]}, AlertKind.LIQUIDATION, "7"),
        ({"differences": [(8, Difference.WALLET_UNEXPLAINED, TICK, "odd")]}, AlertKind.WALLET_UNEXPLAINED, ""),
    ],
)
def test_each_rule_names_the_account_and_what_it_is_about(
    changes: dict[str, Any], kind: AlertKind, subject: str
) -> None:
    assert found(**changes) == [(kind, "main", subject)]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": AccountStatus.PAUSED},
        {"naked": {"LONG BTCUSDT": NOW - timedelta(seconds=30)}},
        {"last_tick": TICK - 2 * FIVE},
        {"unresolved": {"p-1": NOW - timedelta(minutes=5)}},
        {"spent": Decimal("9.4")},
        {"spent": Decimal(0), "budget": Decimal(0)},
        {"differences": [(7, Difference.LIQUIDATION, NOW - timedelta(minutes=61), "gone")]},
    ],
)
def test_what_is_not_worth_waking_anybody_raises_nothing(changes: dict[str, Any]) -> None:
    assert found(**changes) == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"exchange_answers": False}, AlertKind.EXCHANGE_DOWN),
        ({"closed_until": NOW + timedelta(seconds=1)}, AlertKind.EXCHANGE_CLOSED),
        ({"held_back": timedelta(seconds=61)}, AlertKind.EVENTS_HELD_BACK),
    ],
)
def test_what_is_about_the_house_names_no_account(changes: dict[str, Any], kind: AlertKind) -> None:
    assert found(replace(WELL, **changes)) == [(kind, None, "")]


def test_every_kind_says_how_bad_it_is() -> None:
    assert SEVERITY.keys() == set(AlertKind)
    assert SEVERITY[AlertKind.POSITION_NAKED] is Severity.CRITICAL


def test_the_tick_that_is_to_be_served_now_is_not_missed() -> None:
    assert [missed_cycles(TICK - n * FIVE, FIVE, NOW) for n in range(4)] == [0, 0, 1, 2]
    assert missed_cycles(None, FIVE, NOW) == 0


def test_the_pause_grows_from_seconds_to_an_hour_and_no_further() -> None:
    pauses = [pause_after(attempts) for attempts in (1, 2, 3, 9, 10, 1000)]

    assert pauses == [timedelta(seconds=seconds) for seconds in (10, 20, 40, 2560, 3600, 3600)]


@pytest.mark.parametrize(("reason", "again"), [("the key", "resumed"), ("emergency stop: ann", "armed again")])
def test_whoever_reads_that_an_account_is_halted_reads_what_lets_it_trade_again(reason: str, again: str) -> None:
    facts = replace(FINE, status=AccountStatus.HALTED, status_reason=reason)

    [alarm] = alarms([facts], WELL, NOW, protection_deadline=timedelta(seconds=30))

    assert alarm.text == f"halted: {reason}; it opens nothing until it is {again}"
