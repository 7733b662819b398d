"""Logging as it was, and no secret known, after every test."""

import logging
from collections.abc import Iterator

import pytest

from shared import secrets

OURS = ("perpetua", "perpetua.app", "perpetua.trading", "perpetua.market_data", "perpetua.llm")


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(secrets, "_known", set())
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    yield
    for logger in map(logging.getLogger, OURS):
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
        logger.propagate, logger.disabled = True, False
        logger.setLevel(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)
