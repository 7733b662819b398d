"""Settings are read from a folder and an environment of the test's own."""

import os
from pathlib import Path

import pytest

from shared.settings import OUR_PREFIXES, Settings


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting is set, and there is no `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.startswith(OUR_PREFIXES):
            monkeypatch.delenv(name)
