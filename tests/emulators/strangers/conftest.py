"""What strangers leave behind goes with them."""

import decimal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _decimals() -> Iterator[None]:
    """ccxt says how decimals are rounded for whoever comes after it in its thread: here until the test ends."""
    with decimal.localcontext():
        yield
