"""A set-up that cannot work: one clear line, exit code 2; a defect of ours keeps its stack."""

import pytest

from shared.complaints import one_clear_line
from shared.db.embedded import PostgresUnavailable
from shared.domain.errors import UnknownAccount
from shared.secrets import MASK
from shared.settings import SettingsError


@pytest.mark.parametrize("failure", [SettingsError("a\nb"), UnknownAccount("a\nb"), PostgresUnavailable("a\nb")])
def test_each_line_of_a_failure_we_have_a_name_for_is_said_and_the_exit_code_is_two(
    failure: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left, one_clear_line():
        raise failure

    assert left.value.code == 2
    assert capsys.readouterr() == ("", "perpetua: a\nperpetua: b\n")


def test_a_secret_in_a_failure_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_clear_line():
        raise SettingsError("no answer from postgresql://trader:hunter2@db")

    assert capsys.readouterr().err == f"perpetua: no answer from postgresql://{MASK}@db\n"


def test_a_defect_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), one_clear_line():
        raise ZeroDivisionError


def test_where_nothing_fails_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with one_clear_line():
        pass

    assert capsys.readouterr() == ("", "")
