"""
What a signature costs: `python -m scripts.benchmarks.signing`.

Our signature of an order's message against eth_account's of the very same one, as it is when installed alone (in pure
Python) and with coincurve beside it. Interleaved in one run, so that the ratios hold whatever the machine; and the
import of each side in a Python of its own.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from eth_account import Account
from eth_account.messages import encode_typed_data

from shared.exchange.auth import MAINNET_CHAIN, SignerWallet, WalletSigner

KEY = "0x" + "11" * 32
NOW = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.010",
    "price": "65000.5",
    "newClientOrderId": "pp-entry-0123456789abcdef01234567",
    "newOrderRespType": "RESULT",
}
BACKENDS = {"eth_account": "NativeECCBackend", "eth_account, coincurve": "CoinCurveECCBackend"}
IMPORTS = {"ours": "shared.exchange.auth", "eth_account": "eth_account, eth_account.messages"}


def their_signature(message: str, backend: str) -> str:
    """Return what the library signs of the exchange's typed data, with one of its ways to do the arithmetic."""
    os.environ["ECC_BACKEND_CLASS"] = f"eth_keys.backends.{backend}"
    typed = encode_typed_data(
        domain_data={
            "name": "AsterSignTransaction",
            "version": "1",
            "chainId": MAINNET_CHAIN,
            "verifyingContract": "0x" + "0" * 40,
        },
        message_types={"Message": [{"name": "msg", "type": "string"}]},
        message_data={"msg": message},
    )
    return str(Account.sign_message(typed, KEY).signature.hex())


def microseconds(act: Callable[[], object]) -> float:
    """Return how long *act* takes."""
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e6


def import_milliseconds(modules: str) -> float:
    """Return how long a new Python takes to import *modules*, less what it takes to do nothing."""
    best = {
        program: min(
            microseconds(lambda program=program: subprocess.run([sys.executable, "-c", program], check=True))
            for _ in range(5)
        )
        for program in ("pass", f"import {modules}")
    }
    return (best[f"import {modules}"] - best["pass"]) / 1e3


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=500)
    runs = options.parse_args().runs
    signer = WalletSigner(SignerWallet(KEY))
    message, _, signature = signer.sign(ORDER, NOW).content.rpartition("&signature=0x")
    for name, backend in BACKENDS.items():
        if signature != their_signature(message, backend):
            raise SystemExit(f"ours and that of {name} differ")
    times: dict[str, list[float]] = {name: [] for name in ("ours", *BACKENDS, "ours, sent")}
    for _ in range(runs):
        times["ours"].append(microseconds(lambda: signer.signature(message)))
        for name, backend in BACKENDS.items():
            times[name].append(microseconds(lambda backend=backend: their_signature(message, backend)))
        times["ours, sent"].append(microseconds(lambda: signer.sign(ORDER, NOW)))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"Python {platform.python_version()}, {runs} signatures each, interleaved; medians")
    for name, median in medians.items():
        print(f"{name:24}{median:8.0f} µs   {median / medians['ours']:6.1f} times ours")
    for name, modules in IMPORTS.items():
        print(f"import of {name:14}{import_milliseconds(modules):8.0f} ms")


if __name__ == "__main__":
    main()
