"""The main job: three accounts trade real recorded prices unattended, and the books are the exchange's own.

Reads the recorded one-minute candles of BTC, ETH, SOL, XRP, BNB and ADA from 2025-05-06 16:00 on (about five days)
where they lie beside the project, and a synthetic market where they do not.
"""

from pathlib import Path

from pydantic import SecretStr

from emulators.aster import Venue, recorded_market, synthetic_market
from scripts.rehearse import DEFAULT_ACCOUNTS, rehearse
from shared.settings import TestingSettings

RECORDING = Path(__file__).parents[3] / "shared" / "data" / "binance-um-1m-2025-05"
CYCLES = 500


async def test_the_books_of_three_accounts_equal_the_exchanges_after_500_cycles_each(database_url: str) -> None:
    market = recorded_market(RECORDING) if RECORDING.exists() else synthetic_market(seed=7)
    settings = TestingSettings(accounts_file=DEFAULT_ACCOUNTS, database_url=SecretStr(database_url))

    results = await rehearse(settings, Venue(market), cycles=CYCLES)

    assert [each.account_id for each in results] == ["swift", "steady", "contrary"]
    for each in results:
        assert each.cycles >= CYCLES
        assert each.failures == ()
        assert each.differences == []
        assert each.ours.funding() != 0
    for leg in ("entry", "exit", "stop", "target"):
        assert sum(each.theirs.kinds()[leg] for each in results) > 20
