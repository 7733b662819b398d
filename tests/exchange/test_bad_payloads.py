"""Whatever is wrong with an answer, it is either read right or called unreadable: no other failure, no guess."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.errors import VenueError
from shared.exchange import account_wire, market_wire
from shared.exchange.failures import element_of
from shared.exchange.fields import Unreadable, parse
from tests.exchange.conftest import SAMPLES

LATE = datetime(2100, 1, 1, tzinfo=UTC)
READERS: dict[str, Callable[[Any], Any]] = {
    "exchangeInfo": market_wire.read_instruments,
    "klines": lambda payload: market_wire.read_candles(payload, closed_by=LATE),
    "premiumIndex": lambda payload: market_wire.read_quotes(payload, ["BTCUSDT"]),
    "accountWithJoinMargin": account_wire.read_account,
    "positionRisk": account_wire.read_positions,
    "positionRisk hedge": account_wire.read_positions,
    "positionSide/dual": account_wire.read_hedged,
    "order": account_wire.read_order,
    "placed order": account_wire.read_order,
    "cancelled order": account_wire.read_order,
    "allOrders": account_wire.read_orders,
    "forceOrders": account_wire.read_orders,
    "userTrades": account_wire.read_fills,
    "income": account_wire.read_incomes,
    "balance": account_wire.read_balances,
    "commissionRate": account_wire.read_fees,
    "leverageBracket": account_wire.read_brackets,
    "adlQuantile": account_wire.read_adl_quantiles,
    "positionMargin/history": account_wire.read_margin_changes,
    "multiAssetsMargin": account_wire.read_multi_assets,
    "positionMargin": account_wire.read_done,
    "leverage": account_wire.read_done,
    "marginType": account_wire.read_done,
    "allOpenOrders": account_wire.read_done,
}
WRONG = (None, True, -1, 1.5, "", "NaN", "Infinity", "x", 10**30, [], {}, [[]], [None], {"x": {}}, "1e999")


def places(payload: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where there is something in *payload*, itself first."""
    yield path
    inner = payload.items() if isinstance(payload, dict) else enumerate(payload) if isinstance(payload, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def changed(payload: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    copy = json.loads(json.dumps({"whole": payload}))
    holder: Any = copy
    for key in ("whole", *path)[:-1]:
        holder = holder[key]
    change(holder, ("whole", *path)[-1])
    return copy.get("whole")


@pytest.mark.parametrize("name", READERS)
def test_a_recorded_answer_is_read_to_something_unless_it_only_says_that_it_was_done(name: str) -> None:
    found = READERS[name](parse(json.dumps(SAMPLES[name]).encode()))

    assert (found is None) is (READERS[name] is account_wire.read_done)


@pytest.mark.parametrize("name", READERS)
def test_an_answer_with_anything_wrong_in_it_is_read_or_unreadable(name: str) -> None:
    def put(wrong: Any) -> Callable[[Any, Any], None]:
        return lambda holder, key: holder.__setitem__(key, wrong)

    complaints = []
    for path in places(SAMPLES[name]):
        for change in (*(put(wrong) for wrong in WRONG), lambda holder, key: holder.__delitem__(key)):
            payload = changed(SAMPLES[name], path, change)
            try:
                READERS[name](parse(json.dumps(payload).encode()))
            except Unreadable as exc:
                complaints.append(str(exc))

    assert complaints
    assert not [complaint for complaint in complaints if "\n" in complaint]


@pytest.mark.parametrize("name", READERS)
def test_an_answer_with_something_new_in_it_is_read_as_before(name: str) -> None:
    def widened(payload: Any) -> Any:
        if isinstance(payload, dict):
            return {"neverSeen": [1, {"a": None}], **{key: widened(value) for key, value in payload.items()}}
        return [widened(value) for value in payload] if isinstance(payload, list) else payload

    known = parse(json.dumps(SAMPLES[name]).encode())

    assert READERS[name](widened(known)) == READERS[name](known)


@pytest.mark.parametrize("name", READERS)
def test_an_answer_that_breaks_off_is_no_json(name: str) -> None:
    content = json.dumps(SAMPLES[name]).encode()

    for end in range(0, len(content) - 1, 97):
        with pytest.raises(Unreadable, match="no JSON"):
            parse(content[:end])


@pytest.mark.parametrize("element", [{"code": wrong, "msg": wrong} for wrong in WRONG])
def test_an_element_of_a_batch_with_an_odd_code_is_a_failure_or_none(element: Any) -> None:
    failure = element_of(element)

    assert failure is None or isinstance(failure, VenueError)
