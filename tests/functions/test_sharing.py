"""Market data is fetched once a tick and shared, however many accounts follow."""

import asyncio
from pathlib import Path

import httpx

from functions.invoke import invoke_stage
from shared.domain.cycle import Stage, StageRequest
from tests.house import built_house

TWO_ACCOUNTS = """
accounts:
  - {id: one, symbols: [BTCUSDT, ETHUSDT], interval: 5m}
  - {id: two, symbols: [BTCUSDT], interval: 5m}
"""


async def test_two_accounts_at_one_tick_ask_for_each_candle_once(database_url: str, tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(TWO_ACCOUNTS)
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        if "klines" in request.url.path:
            asked.append(f"{request.url.params['symbol']} {request.url.params['interval']}")

    async with built_house(database_url, accounts_file=accounts) as house:
        house.watch_requests(note)
        ticks = [StageRequest(name, house.request.tick) for name in ("one", "two")]
        await asyncio.gather(*(invoke_stage(house.runtime, Stage.FETCH, tick) for tick in ticks))

    assert sorted(asked) == ["BTCUSDT 4h", "BTCUSDT 5m", "ETHUSDT 4h", "ETHUSDT 5m"]
