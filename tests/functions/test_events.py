"""Events: the JSON that names a cycle, from a person, over HTTP or from a cloud scheduler."""

from datetime import timedelta
from typing import Any

import pytest

from functions.events import BadEvent, read_event
from shared.domain.cycle import StageRequest
from tests.builders import TICK

INTERVALS = {"main": timedelta(minutes=5), "slow": timedelta(hours=4)}
NOW = TICK + timedelta(minutes=3, seconds=20)


def read(event: Any) -> StageRequest:
    return read_event(event, intervals=INTERVALS, now=NOW)


@pytest.mark.parametrize(
    ("event", "tick"),
    [
        ({"account": "main", "tick": "2026-03-02T11:55:00Z"}, TICK - timedelta(minutes=5)),
        ({"account": "main", "tick": "2026-03-02T13:00:00+01:00"}, TICK),  # whatever the offset, kept in UTC
        ({"account": "main"}, TICK),
        ({"account": "slow"}, TICK),
        ({"account": "main", "time": "2026-03-02T11:58:31Z"}, TICK - timedelta(minutes=5)),
        ({"account": "slow", "time": "2026-03-02T11:58:31Z"}, TICK - timedelta(hours=4)),
    ],
)
def test_an_event_names_one_cycle(event: dict[str, str], tick: Any) -> None:
    request = read(event)

    assert request == StageRequest(event["account"], tick)
    assert request.tick.isoformat().endswith("+00:00")


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (None, 'the event must be a JSON object such as {"account": "main"}'),
        ([], 'the event must be a JSON object such as {"account": "main"}'),
        ("main", 'the event must be a JSON object such as {"account": "main"}'),
        ({}, "no account None is configured: there is main, slow"),
        ({"account": "other"}, "no account 'other' is configured: there is main, slow"),
        ({"account": ["main"]}, "no account ['main'] is configured: there is main, slow"),
        (
            {"account": "main", "ticks": "2026-03-02T11:55:00Z"},
            "the event has an unknown field 'ticks': it takes account, tick and time",
        ),
        (
            {"account": "main", "tick": "five past twelve"},
            "tick must be a time such as 2025-05-06T16:05:00Z, not 'five past twelve'",
        ),
        ({"account": "main", "tick": 1772452800}, "tick must be a time such as 2025-05-06T16:05:00Z, not 1772452800"),
        ({"account": "main", "time": None}, "time must be a time such as 2025-05-06T16:05:00Z, not None"),
        (
            {"account": "main", "tick": "2026-03-02T11:55:00"},
            "tick needs an offset from UTC, such as 2026-03-02T11:55:00Z",
        ),
    ],
)
def test_an_event_that_names_no_cycle_says_what_is_wrong_with_it(event: Any, says: str) -> None:
    with pytest.raises(BadEvent) as caught:
        read(event)

    assert str(caught.value) == says
