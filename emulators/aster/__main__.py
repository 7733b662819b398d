"""
The paper exchange as a server.

    python -m emulators.aster --market synthetic --speed 60 --port 3001

Prints one line when it is ready. Bad input is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn, TypeVar

import uvicorn

from . import create_app
from .doors.auth import MAINNET
from .doors.settings import Settings
from .habits import Habits
from .holdings.journal import UnusableState
from .prices.live import live_market
from .prices.market import Market, UnusableMarket
from .prices.recorded import recorded_market
from .prices.symbols import known_symbols
from .prices.synthetic import START, SYMBOLS, synthetic_market
from .streams.streams import keepalive
from .venue import MAKER_FEE, START_BALANCE, TAKER_FEE, Venue

Switches = TypeVar("Switches", Settings, Habits)
ASTER = "https://fapi.asterdex.com"
SYNTHETIC, LIVE = "synthetic", "live"


class BadInput(Exception):
    """Something the user asked for cannot be; the text says what."""


class AnnouncingServer(uvicorn.Server):
    """A server that says in one line when it is ready."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(self._line + "\n")
        sys.stdout.flush()


class OneLineParser(argparse.ArgumentParser):
    """Words of the command line that make no sense are bad input like any other."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)


def arguments() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="python -m emulators.aster", description="A paper AsterDEX futures exchange.")
    parser.add_argument(
        "--market",
        default=SYNTHETIC,
        help=f"'{SYNTHETIC}', a file or folder of candles, or '{LIVE}[:URL]' for a venue's public prices ({ASTER})",
    )
    parser.add_argument("--symbols", help="comma-separated, such as BTCUSDT,ETHUSDT; default: all there are")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=float, default=1.0, help="market time per real time (default 1)")
    pace.add_argument("--stepped", action="store_true", help="stand still until POST /emulator/advance")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3001, help="0 takes any free one")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic market")
    parser.add_argument("--start", help="when trading begins, ISO 8601; times without a zone are UTC")
    parser.add_argument("--state", type=Path, help="folder that keeps the books; without one they die with the process")
    parser.add_argument("--balance", default=str(START_BALANCE), help="USDT of a new account")
    parser.add_argument("--maker-fee", default=str(MAKER_FEE), help="fraction of an order's value")
    parser.add_argument("--taker-fee", default=str(TAKER_FEE), help="fraction of an order's value")
    parser.add_argument("--chain", type=int, default=MAINNET, help="chain id wallets sign for")
    _offer(parser, Settings, "doors: limits, and what nobody knows for sure about who is let in")
    _offer(parser, Habits, "habits: what nobody knows for sure about how the exchange trades")
    return parser


def _offer(parser: argparse.ArgumentParser, kind: type[Switches], title: str) -> None:
    """Make every field an option."""
    group = parser.add_argument_group(title)
    for each in fields(kind):
        name, meaning = f"--{each.name.replace('_', '-')}", f"{each.metadata['help']} (default {_shown(each.default)})"
        if isinstance(each.default, bool):
            group.add_argument(name, action=argparse.BooleanOptionalAction, default=each.default, help=meaning)
        elif each.metadata["choices"]:
            group.add_argument(name, type=int, default=each.default, choices=each.metadata["choices"], help=meaning)
        else:
            optional = "None" in str(each.type)
            group.add_argument(name, type=_count_or_never if optional else _count, default=each.default, help=meaning)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no count")
    return int(text)


def _count_or_never(text: str) -> int | None:
    return None if text == "never" else _count(text)


def _shown(default: object) -> str:
    return "never" if default is None else str(default).lower()


def market_of(options: argparse.Namespace) -> Market:
    """Return the market the options ask for."""
    kind: str = options.market
    start = None if options.start is None else _milliseconds(options.start)
    named = None if options.symbols is None else tuple(options.symbols.upper().split(","))
    if kind == SYNTHETIC:
        unknown = set(named or ()) - set(known_symbols())
        if unknown:
            raise BadInput(f"--symbols: {min(unknown)} is unknown; there are {', '.join(known_symbols())}")
        return synthetic_market(seed=options.seed, symbols=named or SYMBOLS, start=START if start is None else start)
    if kind == LIVE or kind.startswith(f"{LIVE}:"):
        if start is not None:
            raise BadInput("--start: a live market begins now")
        return live_market(kind.removeprefix(LIVE).removeprefix(":") or ASTER, named or SYMBOLS)
    return recorded_market(kind, symbols=named, start=start)


def serve(options: argparse.Namespace) -> None:
    """Serve until stopped."""
    if not options.speed > 0:
        raise BadInput(f"--speed: must be more than 0, not {options.speed}")
    if not 0 <= options.port <= 65_535:
        raise BadInput(f"--port: {options.port} is no port")
    balance, maker, taker = (_amount(options, name) for name in ("balance", "maker_fee", "taker_fee"))
    market = market_of(options)
    habits, settings = _chosen(Habits, options), _chosen(Settings, options)
    venue = Venue(market, balance=balance, maker_fee=maker, taker_fee=taker, state=options.state, habits=habits)
    with closing(venue), _listener(options.host, options.port) as listener:
        speed = None if options.stepped else options.speed
        app = create_app(venue, speed=speed, chain=options.chain, settings=settings)
        host, port = listener.getsockname()[:2]
        now = datetime.fromtimestamp(venue.now / 1000, UTC).isoformat(timespec="seconds")
        line = f"aster emulator ready on http://{host}:{port} with {','.join(market.instruments)}, market time {now}"
        sockets = keepalive(speed, settings.ping_ms)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, **sockets)
        # uvicorn has closed everything by the time it hands the signal on.
        with suppress(KeyboardInterrupt):
            asyncio.run(AnnouncingServer(config, line).serve(sockets=[listener]))


def _chosen(kind: type[Switches], options: argparse.Namespace) -> Switches:
    return kind(**{each.name: getattr(options, each.name) for each in fields(kind)})


def _listener(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port))
    except OSError as exc:
        raise BadInput(f"--port: cannot listen on {host}:{port}: {exc}") from exc
    # asyncio sees to this only for sockets whose protocol number is not 0. Without it the second packet of every
    # answer, its body, waits up to 40 ms for the client's system to acknowledge the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _milliseconds(iso: str) -> int:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError as exc:
        raise BadInput(f"--start: {iso!r} is no ISO 8601 time") from exc
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _amount(options: argparse.Namespace, name: str) -> Decimal:
    text: str = getattr(options, name)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise BadInput(f"--{name.replace('_', '-')}: {text!r} is no amount")
    return amount


def main(words: Sequence[str] | None = None) -> int:
    """Serve as the words of the command line say, and return the exit code."""
    try:
        serve(arguments().parse_args(words))
    except (BadInput, UnusableMarket, UnusableState) as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
