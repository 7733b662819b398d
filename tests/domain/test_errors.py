"""Failures carry what the caller needs to decide what to do next."""

import pytest

from shared.domain import errors
from shared.domain.errors import ModelUnavailable, PerpetuaError, RateLimited, Refused


def test_a_failure_of_the_exchange_keeps_its_words_and_its_code() -> None:
    refused = Refused("Margin is insufficient.", code=-2019)

    assert (str(refused), refused.code) == ("Margin is insufficient.", -2019)
    assert Refused("no code").code is None


@pytest.mark.parametrize("kind", [RateLimited, ModelUnavailable])
def test_who_is_told_to_wait_is_told_how_long(kind: type[RateLimited | ModelUnavailable]) -> None:
    assert kind("slow down", retry_after=2.5).retry_after == 2.5
    assert kind("slow down").retry_after is None


def test_every_failure_has_one_root_and_a_place_in_the_picture() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]

    assert [kind for kind in kinds if not issubclass(kind, PerpetuaError)] == []
    assert [
        kind.__name__ for kind in kinds if f"{kind.__name__} " not in (errors.__doc__ or "").replace("\n", " ")
    ] == []
