"""The main job: three accounts trade real recorded prices unattended, and the books are the exchange's own.

Reads the recorded one-minute candles of BTC, ETH, SOL, XRP, BNB and ADA from 2025-05-06 16:00 on (about three days)
where they lie beside the project, and a synthetic market where they do not.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDING = ROOT.parent / "shared" / "data" / "binance-um-1m-2025-05"
AN_ACCOUNT = re.compile(
    r"^(\w+): (\d+) cycles; filled: (\d+) entry, (\d+) exit, (\d+) stop, (\d+) target$", re.MULTILINE
)


def test_the_books_of_three_accounts_equal_the_exchanges_after_250_cycles_each() -> None:
    market = str(RECORDING) if RECORDING.exists() else "synthetic"

    done = subprocess.run(
        [sys.executable, "-m", "scripts.rehearse", "--market", market, "--cycles", "250"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )

    accounts = {name: [int(count) for count in counts] for name, *counts in AN_ACCOUNT.findall(done.stdout)}
    assert done.returncode == 0, done.stdout + done.stderr
    assert accounts.keys() == {"swift", "steady", "contrary"}
    assert all(cycles >= 250 for cycles, *_ in accounts.values())
    for leg in range(1, 5):
        assert sum(counts[leg] for counts in accounts.values()) >= 5
    assert done.stdout.count("books: equal to the last decimal") == 3
