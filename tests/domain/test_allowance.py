"""No sixty seconds, wherever they begin, see more than the limit; urgent requests have a reserve; refusals are kept."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.allowance import CAREFUL, LONGEST_BAN, Allowance, Grant, Report, ordinary_room, slice_of

NOW = datetime(2025, 6, 15, 12, 0, 5, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LIMIT = 2400
ORDINARY = 1920


def settle(account: Allowance, now: datetime = NOW, wanted: int = 0, **fields: Any) -> Grant:
    return account.settle(Report(now=now, limit=LIMIT, **{"wanted": wanted, "least": wanted, **fields}))


def test_what_is_asked_for_is_granted_while_there_is_room() -> None:
    account = Allowance()

    assert settle(account, wanted=ORDINARY).amount == ORDINARY
    assert settle(account, wanted=1) == Grant(amount=0, wait=65)


def test_less_than_is_wanted_is_granted_if_it_is_of_use() -> None:
    account = Allowance()
    settle(account, wanted=ORDINARY - 50)

    assert settle(account, wanted=60, least=40).amount == 50


def test_an_urgent_request_draws_on_the_reserve_for_what_it_needs_and_no_more() -> None:
    account = Allowance()
    settle(account, wanted=ORDINARY)

    assert settle(account, wanted=60, least=1, urgent=True).amount == 1
    assert settle(account, wanted=480, urgent=True).amount == 0
    assert settle(account, wanted=479, urgent=True).amount == 479
    assert settle(account, wanted=1, urgent=True).wait == 65


def test_while_there_is_room_an_urgent_request_draws_like_any_other() -> None:
    assert settle(Allowance(), wanted=60, least=1, urgent=True).amount == 60


def test_what_was_not_used_is_taken_back_and_never_more() -> None:
    account = Allowance()
    settle(account, wanted=60)

    settle(account, spent={slice_of(NOW): -20})
    assert account.used() == 40
    settle(account, spent={slice_of(NOW): -100, slice_of(NOW) - 1: -5})
    assert account.used() == 0


def test_what_others_at_the_address_use_counts_but_never_against_the_reserve() -> None:
    account = Allowance()
    settle(account, wanted=60, told=500)
    assert account.used() == 560

    settle(account, told=5000)
    assert account.used() == ORDINARY
    assert settle(account, wanted=1).amount == 0
    assert settle(account, wanted=1, urgent=True).amount == 1


def test_a_refusal_closes_for_everybody_and_halves_the_room_of_ordinary_requests_afterwards() -> None:
    account = Allowance()

    settle(account, closed_for=30, careful=True)

    assert settle(account, wanted=1, urgent=True) == Grant(amount=0, wait=30, closed_for=30, careful_for=300)
    after = NOW + 30 * SECOND
    assert settle(account, after, wanted=ORDINARY, least=1).amount == ORDINARY // 2
    assert settle(account, after, wanted=ORDINARY, urgent=True).amount == 0
    assert settle(account, after, wanted=1000, urgent=True).amount == 1000
    assert settle(account, NOW + CAREFUL, wanted=ORDINARY).amount == ORDINARY


def test_the_longer_of_two_refusals_holds() -> None:
    account = Allowance()
    settle(account, closed_for=120)

    settle(account, closed_for=10)

    assert settle(account, wanted=1).closed_for == 120


def test_nobody_is_shut_out_by_a_clock_that_was_wrong() -> None:
    account = Allowance()
    settle(account, NOW + 30 * LONGEST_BAN, wanted=ORDINARY, closed_for=60)

    assert settle(account, wanted=ORDINARY).amount == ORDINARY


@pytest.mark.parametrize("seed", range(5))
def test_no_sixty_seconds_see_more_than_the_limit(seed: int) -> None:
    dice, account = random.Random(seed), Allowance()
    used: list[tuple[datetime, int]] = []
    now = NOW
    for _ in range(3000):
        now += SECOND * dice.expovariate(1)
        urgent = dice.random() < 0.1
        wanted = dice.choice((1, 5, 40, 60, 200))
        grant = settle(account, now, wanted, urgent=urgent)
        if grant.amount:
            used.append((now, grant.amount))
        else:
            assert 0 < grant.wait <= 70
    for start, _ in used:
        assert sum(amount for at, amount in used if start <= at < start + MINUTE) <= LIMIT


def test_a_wait_is_as_long_as_it_takes() -> None:
    account = Allowance()
    settle(account, wanted=1000)
    later = NOW + 20 * SECOND
    settle(account, later, wanted=900)

    wait = settle(account, later, wanted=100).wait

    assert settle(account, later + (wait - 0.001) * SECOND, wanted=100).amount == 0
    assert settle(account, later + wait * SECOND, wanted=100).amount == 100


def test_the_reserve_is_a_fifth() -> None:
    assert ordinary_room(LIMIT) == ORDINARY
    assert ordinary_room(LIMIT, careful=True) == ORDINARY // 2
