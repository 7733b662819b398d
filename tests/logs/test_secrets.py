"""Secrets: masked by value, by shape and by the name they go under, at any depth."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.secrets import MASK, mask, mask_text, remember

HEX = "0123456789abcdef" * 4


def test_a_remembered_value_is_masked_wherever_it_stands() -> None:
    remember(["correct-horse"])

    assert mask_text("key=correct-horse;correct-horse!") == f"key={MASK};{MASK}!"


def test_a_secret_that_begins_like_another_leaves_no_tail() -> None:
    remember(["horse-1", "horse-123456", "my-horse-1"])

    assert mask_text("horse-123456 my-horse-1") == f"{MASK} {MASK}"


def test_words_too_short_to_be_secrets_stay() -> None:
    remember(["paper", "", None])

    assert mask_text("paper trading") == "paper trading"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sk-or-v1-abcdef0123456789", MASK),
        ("Authorization: Bearer abc.def-0123456789", f"Authorization: Bearer {MASK}"),
        (f"POST /order?a=1&signature={HEX}{HEX}01", f"POST /order?a=1&signature={MASK}"),
        (f"POST /order?signature=0x{HEX}{HEX}1b&a=1", f"POST /order?signature={MASK}&a=1"),
        (f"key {HEX}", f"key {MASK}"),
        (f"key 0x{HEX.upper()}.", f"key {MASK}."),
        ("postgresql://trader:hunter2@db:5432/p", f"postgresql://{MASK}@db:5432/p"),
        ("redis://:hunter2@db", f"redis://{MASK}@db"),
    ],
)
def test_what_looks_like_a_secret_is_masked_unremembered(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://fapi.asterdex.com:443/fapi/v3/order",
        "order pp-entry-0123456789abcdef01234567 at 100.5",
        "0x52908400098527886E0F7030069857D2E4169EE7",  # an address is public
        "2026-03-02T12:00:00+00:00",
    ],
)
def test_what_people_need_to_read_stays(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "API_SECRET", "client_secret", "private_key", "privateKey", "db_password", "api_token"),
        *("Authorization", "signature", "X-MBX-APIKEY"),
    ],
)
def test_whatever_goes_under_a_secret_name_is_masked(name: str) -> None:
    assert mask({name: "x"}) == {name: MASK}


def test_tokens_of_a_language_model_are_no_secret() -> None:
    assert mask({"prompt_tokens": 812, "total_tokens": 900}) == {"prompt_tokens": 812, "total_tokens": 900}


def test_an_absent_secret_is_seen_to_be_absent() -> None:
    assert mask({"api_key": None, "password": ""}) == {"api_key": None, "password": ""}


def test_secrets_are_masked_at_any_depth_and_the_rest_is_left_as_it_is() -> None:
    remember(["correct-horse"])
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    nested = {
        "headers": [{"X-MBX-APIKEY": "x"}, ("a", "correct-horse")],
        "correct-horse": {7: frozenset({"correct-horse"})},
        "price": Decimal("1.5"),
        "at": moment,
        "sent": True,
    }

    assert mask(nested) == {
        "headers": [{"X-MBX-APIKEY": MASK}, ["a", MASK]],
        MASK: {"7": [MASK]},
        "price": Decimal("1.5"),
        "at": moment,
        "sent": True,
    }


SECRET = "correct-horse-battery"
shapes: st.SearchStrategy[Any] = st.recursive(
    st.text().map(lambda text: f"{text}{SECRET}") | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(SECRET), inner) | st.tuples(inner),
    max_leaves=8,
)


@given(value=shapes)
def test_no_structure_hides_a_secret(value: Any) -> None:
    remember([SECRET])

    assert SECRET not in repr(mask(value))
