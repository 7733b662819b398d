"""When an account only manages what is open, when it asks all the same, and how it recovers."""

from datetime import UTC, datetime, timedelta

from shared.domain.model_health import LONGEST_SILENCE, ModelHealth

NOW = datetime(2025, 5, 6, 16, 5, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


def failed(health: ModelHealth, now: datetime = NOW) -> ModelHealth:
    return health.failed("HTTP 503", now, allowed=3, asks_again_after=HALF_AN_HOUR)


def test_a_failure_or_two_change_nothing() -> None:
    health = failed(failed(ModelHealth()))

    assert health == ModelHealth(failures=2)
    assert health.may_ask(NOW)


def test_the_third_in_a_row_makes_the_account_manage_only_and_ask_now_and_then() -> None:
    health = failed(failed(failed(ModelHealth())))

    assert health.manage_only_since == NOW
    assert health.reason == "3 cycles in a row without a usable answer, the last: HTTP 503"
    assert not health.may_ask(NOW + HALF_AN_HOUR - timedelta(seconds=1))
    assert health.may_ask(NOW + HALF_AN_HOUR)


def test_a_failure_while_managing_puts_the_next_question_off_and_keeps_the_beginning() -> None:
    later = NOW + HALF_AN_HOUR
    health = failed(failed(failed(failed(ModelHealth()))), later)

    assert health.manage_only_since == NOW
    assert health.failures == 4
    assert health.asks_again_at == later + HALF_AN_HOUR


def closed(until: datetime | None) -> ModelHealth:
    return ModelHealth().closed("HTTP 402: no credit", NOW, until=until, asks_again_after=HALF_AN_HOUR)


def test_a_service_that_turned_us_away_is_asked_when_it_says_that_this_may_have_changed() -> None:
    tonight = NOW + timedelta(hours=7)

    assert closed(tonight).asks_again_at == tonight
    assert closed(tonight).manage_only_since == NOW
    assert closed(None).asks_again_at == NOW + HALF_AN_HOUR
    assert closed(NOW - timedelta(hours=1)).asks_again_at == NOW + HALF_AN_HOUR


def test_no_service_can_silence_an_account_for_more_than_a_day() -> None:
    assert closed(NOW + timedelta(days=4000)).asks_again_at == NOW + LONGEST_SILENCE


def test_a_spent_budget_is_looked_at_in_every_cycle() -> None:
    health = ModelHealth().spent("spent", NOW)

    assert health.manage_only_since == NOW
    assert health.may_ask(NOW)
