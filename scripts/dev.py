"""
The whole system on one machine: `scripts/dev.sh`.

Starts a database, an emulated exchange, an emulated model, the API and the scheduler, prints each cycle in one
readable line, and stops everything on Ctrl-C; the next start goes on where this one was. Outside paper trading the
emulators stay off: it is the same program against the real services.
"""

import argparse
import asyncio
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emulators.aster import SYMBOLS
from scripts.cycle_line import readable
from scripts.processes import ChildEnded, Children
from shared.accounts import configured_accounts
from shared.complaints import one_clear_line
from shared.server import database_server, lead_to
from shared.settings import CURRENT_DATA, LOOPBACK, Mode, Settings, SettingsError, read_settings


def main() -> int:
    """Run until Ctrl-C; 1 when a process ended by itself."""
    chosen = _arguments()
    with one_clear_line():
        settings = read_settings(**({"accounts_file": chosen.accounts} if chosen.accounts else {}))
        paper = settings.trading_mode is Mode.PAPER
        _require_free(settings.api_port, "API_PORT")
        for url, setting in _emulated(settings).items():
            _require_free(urlsplit(url).port, setting)
        symbols = _symbols(chosen.market, settings)
        name = _market_name(chosen, symbols) if paper else settings.trading_mode.value
        if settings.data_folder == CURRENT_DATA:
            settings = settings.model_copy(update={"data_folder": lead_to(name)})
        folder = settings.data_folder.resolve()
        folder = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        say(f"{settings.trading_mode} trading; everything is kept in {folder}; Ctrl-C stops it all")
        with database_server(settings) as connected:
            return asyncio.run(_run(connected, chosen, symbols))


def say(text: str) -> None:
    """Print a line at once."""
    print(f"perpetua: {text}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/dev.sh", description="Run the whole system on this machine.")
    parser.add_argument(
        "--market",
        default="synthetic",
        help="synthetic (default), a folder or file of recorded candles, or live for the exchange's public prices",
    )
    parser.add_argument(
        "--speed",
        type=float,
        help="how many times faster than life (default 60; live prices: 1); above some 300 cycles miss their ticks",
    )
    parser.add_argument("--seed", type=int, default=8, help="of the synthetic market and of the emulated model")
    parser.add_argument("--accounts", type=Path, help="an accounts.yaml that names several accounts")
    chosen = parser.parse_args()
    live = _kind(chosen.market) == "live"
    if chosen.speed is None:
        chosen.speed = 1 if live else 60
    if chosen.speed <= 0 or (live and chosen.speed != 1):
        parser.error("--speed must be above 0, and is 1 with live prices")
    return chosen


def _kind(market: str) -> str:
    return market.split(":", maxsplit=1)[0]


def _symbols(market: str, settings: Settings) -> list[str]:
    """Return the symbols to tell the market of: those that its own choice lacks, or all where it has none."""
    wanted = {symbol for found in configured_accounts(settings).values() for symbol in found.account.symbols}
    if _kind(market) == "synthetic":
        return [*SYMBOLS, *sorted(wanted - set(SYMBOLS))] if wanted - set(SYMBOLS) else []
    return sorted(wanted) if _kind(market) == "live" else []


def _market_name(chosen: argparse.Namespace, symbols: list[str]) -> str:
    """Name a market's own folder: books and candles of two markets never mix."""
    if _kind(chosen.market) == "synthetic":
        return "-".join(["synthetic", str(chosen.seed), *symbols[len(SYMBOLS) :]])
    return "live-prices" if _kind(chosen.market) == "live" else Path(chosen.market).resolve().name


def _emulated(settings: Settings) -> dict[str, str]:
    """Return the addresses on this machine at which paper trading needs an emulator, each with its setting."""
    urls = {settings.exchange_url: "ASTERDEX_BASE_URL", settings.model_url: "OPENROUTER_BASE_URL"}
    paper = settings.trading_mode is Mode.PAPER
    return {url: setting for url, setting in urls.items() if paper and urlsplit(url).hostname in LOOPBACK}


def _require_free(port: int | None, setting: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError:
            raise SettingsError(f"port {port} is taken: stop what uses it, or choose another with {setting}") from None


def _show(line: str) -> None:
    if text := readable(line):
        print(text, flush=True)


async def _run(settings: Settings, chosen: argparse.Namespace, symbols: list[str]) -> int:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    children, began = Children(), time.monotonic()
    starting = asyncio.create_task(_start(children, settings, chosen, symbols))
    waits: set[asyncio.Task[Any]] = {asyncio.create_task(stop.wait()), starting}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return 0
        await starting
        say(f"ready after {time.monotonic() - began:.1f} s; the dashboard is at http://localhost:{settings.api_port}/")
        waits.add(ending := asyncio.create_task(children.first_to_end()))
        await asyncio.wait(waits - {starting}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            print(f"perpetua: {ending.result()} ended by itself: stopping", file=sys.stderr)
            return 1
        say("stopping")
    except ChildEnded as exc:
        print(f"perpetua: {exc}", file=sys.stderr)
        return 2
    else:
        return 0
    finally:
        for task in waits:
            task.cancel()
        await children.stop()


async def _start(children: Children, settings: Settings, chosen: argparse.Namespace, symbols: list[str]) -> None:
    environment = {"DATABASE_URL": settings.database_url.get_secret_value() if settings.database_url else ""}
    if settings.accounts_file:
        environment["ACCOUNTS_FILE"] = str(settings.accounts_file)
    for url, setting in _emulated(settings).items():
        port = ["--port", str(urlsplit(url).port), "--seed", str(chosen.seed)]
        if setting == "ASTERDEX_BASE_URL":
            state = str(settings.data_folder.resolve() / "exchange")
            market = ["--market", chosen.market, "--speed", str(chosen.speed), "--state", state]
            market += ["--symbols", ",".join(symbols)] if symbols else []
            command = ["-m", "emulators.aster", *port, *market]
        else:
            command = ["-m", "emulators.openrouter", *port]
        await children.start(f"the emulator at {url}", command, environment={}, hear=_show, ready="ready")
    await children.start("the API", ["-m", "api"], environment=environment, hear=_show)
    await _answering(settings.api_port)
    await children.start("the scheduler", ["-m", "scheduler"], environment=environment, hear=_show)


async def _answering(port: int) -> None:
    """Return once somebody listens on *port*."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


if __name__ == "__main__":
    sys.exit(main())
