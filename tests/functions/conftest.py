"""A house for every test of the stages."""

from collections.abc import AsyncIterator

import pytest

from tests.house import House, built_house


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """The whole house, on a database of its own."""
    async with built_house(database_url) as built:
        yield built
