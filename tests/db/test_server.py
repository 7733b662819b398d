"""Where nobody names a data folder, the one in use is meant: never another copy's."""

from pathlib import Path

import pytest

from shared.db.embedded import embedded_postgres
from shared.server import POSTGRES, database_server, in_use, lead_to
from shared.settings import SettingsError, TestingSettings


@pytest.fixture(autouse=True)
def _a_folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_copy_that_runs_is_meant_whichever_was_started_last() -> None:
    ours = lead_to("synthetic-8")
    with embedded_postgres(ours / POSTGRES, durable=False) as url:
        lead_to("synthetic-9")  # another copy came, and went

        assert in_use() == ours
        with database_server(TestingSettings()) as connected:
            assert connected.database_url is not None
            assert connected.database_url.get_secret_value() == url


def test_of_several_copies_that_run_one_has_to_be_named() -> None:
    first, second = lead_to("synthetic-8"), lead_to("synthetic-9")
    with (
        embedded_postgres(first / POSTGRES, durable=False),
        embedded_postgres(second / POSTGRES, durable=False),
        pytest.raises(SettingsError, match=r"several are in use, .*synthetic-8, .*synthetic-9: say which") as refused,
    ):
        in_use()

    assert str(refused.value).endswith("DATA_FOLDER=.perpetua/synthetic-8")


def test_where_none_runs_it_is_the_one_last_traded_on_or_one_for_what_is_done_by_hand() -> None:
    assert in_use().name == "by-hand"
    lead_to("synthetic-8")
    assert in_use().resolve().name == "synthetic-8"
