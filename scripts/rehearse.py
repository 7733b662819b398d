"""
The main job on recorded prices: `scripts/rehearse.sh --market FOLDER --cycles 500`.

Every account of the accounts file trades the recording through the very stages that trade live, as fast as the machine
allows: time stands still while a cycle runs and then moves on to the next tick. At the end the books are held against
the emulated exchange's own, to the last decimal; exit code 1 tells that they differ.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import lcm
from pathlib import Path
from typing import Any

import httpx
from coincurve import PrivateKey
from Crypto.Hash import keccak
from starlette.applications import Starlette

from emulators.aster import UnusableMarket, Venue, create_app, recorded_market, synthetic_market
from emulators.openrouter import create_app as create_models
from functions.invoke import invoke_cycle
from scripts.books import Books, differences, ours, theirs
from shared.clock import SteppedClock
from shared.complaints import one_clear_line
from shared.domain.cycle import StageRequest, tick_at
from shared.logs import set_up_logging
from shared.runtime import Runtime
from shared.server import database_server
from shared.settings import Settings, SettingsError, TestingSettings

DELAY = timedelta(seconds=2)
DEFAULT_ACCOUNTS = Path(__file__).with_name("rehearsal.accounts.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How one account came out."""

    account_id: str
    cycles: int
    failures: tuple[str, ...]
    ours: Books
    theirs: Books

    @property
    def differences(self) -> list[str]:
        """Return where the two books differ."""
        return differences(self.ours, self.theirs)


async def rehearse(
    settings: Settings,
    venue: Venue,
    *,
    cycles: int,
    seed: int = 7,
    watch: Callable[[datetime, Mapping[str, int]], None] = lambda moment, done: None,
) -> list[Rehearsed]:
    """Trade until every account ran *cycles* cycles or the market ended, and return both sides' books."""
    exchange = create_app(venue)
    clock = SteppedClock(_moment(venue.now))
    runtime = Runtime(
        settings,
        long_lived=True,
        clock=clock,
        exchange_transport=httpx.ASGITransport(app=exchange),
        model_transport=httpx.ASGITransport(app=create_models(seed=seed)),
    )
    try:
        await runtime.record_accounts()
        await runtime.verify()
        done: dict[str, int] = dict.fromkeys(runtime.intervals, 0)
        failures: dict[str, list[str]] = {account_id: [] for account_id in done}
        together = timedelta(seconds=lcm(*(int(interval.total_seconds()) for interval in runtime.intervals.values())))
        tick = tick_at(clock.now(), together)
        # It ends where all accounts meet, so that each has reconciled after the last price.
        while not (min(done.values()) >= cycles and tick == tick_at(tick, together)):
            tick = min(tick_at(tick, interval) + interval for interval in runtime.intervals.values())
            clock.advance(tick + DELAY)
            venue.advance(round(clock.now().timestamp() * 1000))
            if venue.ended:
                break
            due = [name for name, interval in runtime.intervals.items() if tick == tick_at(tick, interval)]
            outcomes = await asyncio.gather(*(invoke_cycle(runtime, StageRequest(name, tick)) for name in due))
            for name, outcome in zip(due, outcomes, strict=True):
                done[name] += 1
                failures[name] += _failures(outcome)
            watch(tick, done)
        results = []
        for name, count in done.items():
            mine, since = await ours(runtime.database, name)
            their = theirs(await _their_books(exchange, runtime, name), since=since)
            results.append(
                Rehearsed(account_id=name, cycles=count, failures=tuple(failures[name]), ours=mine, theirs=their)
            )
        return results
    finally:
        await runtime.close()


def _failures(outcome: Mapping[str, Any]) -> list[str]:
    return [
        f"{outcome['tick']} {stage}: {part['error']}: {part['message']}"
        for stage, part in outcome.items()
        if isinstance(part, dict) and "error" in part
    ]


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


async def _their_books(exchange: Starlette, runtime: Runtime, account_id: str) -> dict[str, Any]:
    keys = runtime.accounts[account_id].exchange_keys
    key = keys.private_key or keys.api_key
    assert key is not None  # noqa: S101 - an account without any key was refused when it was configured
    name = _address(key.get_secret_value()) if keys.private_key else key.get_secret_value()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=exchange), base_url="http://exchange") as http:
        answer = await http.get("/emulator/books", params={"account": name})
        document: dict[str, Any] = answer.raise_for_status().json()
        return document


def _address(private_key: str) -> str:
    """Return the wallet address of a key: the last 20 bytes of the hash of its public key."""
    public = PrivateKey(bytes.fromhex(private_key.removeprefix("0x"))).public_key.format(compressed=False)
    return "0x" + keccak.new(digest_bits=256, data=public[1:]).hexdigest()[-40:]


def main() -> int:
    """Rehearse; 0 when every book is the same and no stage failed."""
    parser = argparse.ArgumentParser(prog="scripts/rehearse.sh", description="Trade a recording and audit the books.")
    parser.add_argument("--market", default="synthetic", help="a folder or file of candles, or synthetic (default)")
    parser.add_argument("--accounts", type=Path, default=DEFAULT_ACCOUNTS, help="an accounts.yaml")
    parser.add_argument("--cycles", type=int, default=500, help="cycles an account, at the least (default 500)")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic market and of the emulated model")
    chosen = parser.parse_args()
    with one_clear_line(), tempfile.TemporaryDirectory() as folder:
        set_up_logging("rehearsal", level="CRITICAL", folder=None)
        try:
            market = (
                synthetic_market(seed=chosen.seed) if chosen.market == "synthetic" else recorded_market(chosen.market)
            )
        except UnusableMarket as exc:
            raise SettingsError(f"--market: {exc}") from None
        settings = TestingSettings(accounts_file=chosen.accounts, data_folder=Path(folder))
        with database_server(settings) as connected:
            began = time.monotonic()
            results = asyncio.run(
                rehearse(connected, Venue(market), cycles=chosen.cycles, seed=chosen.seed, watch=_progress)
            )
            print(f"\n{sum(each.cycles for each in results)} cycles in {time.monotonic() - began:.0f} s")
    return _report(results, chosen.cycles)


def _progress(tick: datetime, done: Mapping[str, int]) -> None:
    if sys.stdout.isatty() or tick.hour == tick.minute == 0:
        counts = "  ".join(f"{name} {count}" for name, count in done.items())
        ending = "\r" if sys.stdout.isatty() else "\n"
        print(f"{tick:%Y-%m-%d %H:%M}  cycles: {counts}", end=ending, flush=True)


def _report(results: list[Rehearsed], cycles: int) -> int:
    sound = True
    for each in results:
        kinds = ", ".join(f"{count} {leg}" for leg, count in each.theirs.kinds().items())
        print(f"\n{each.account_id}: {each.cycles} cycles; filled: {kinds}")
        print(f"  wallet {each.ours.wallet}  fees {each.ours.total(4)}  funding {each.ours.funding()}")
        print(f"  {len(each.ours.fills)} trades, {len(each.ours.orders)} orders, open: {dict(each.ours.positions)}")
        for line in each.failures[:5]:
            print(f"  failed: {line}")
        if each.cycles < cycles:
            print(f"  the market ended before {cycles} cycles")
        unequal = each.differences
        print("  books: equal to the last decimal" if not unequal else f"  books: {len(unequal)} differences")
        for line in unequal[:10]:
            print(f"    {line}")
        sound = sound and not unequal and not each.failures and each.cycles >= cycles
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
