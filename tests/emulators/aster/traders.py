"""People who trade on the emulator in tests: wallets, traders over ASGI, and markets made by hand."""

from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
from coincurve import PrivateKey

from emulators.aster import Candles, Settings, Venue, create_app
from emulators.aster.doors.signatures import address_of, digest_of
from emulators.aster.prices.intervals import DAY, SPANS
from emulators.aster.prices.recorded import RecordedMarket
from emulators.aster.prices.symbols import instrument

T0 = 1_746_403_200_000  # 2025-05-05T00:00Z
MINUTE = 60_000
USES = count(1)
"""Of nonces, by all traders: a venue that was opened again remembers those used before."""


def keyed(secret: str, message: str) -> str:
    """Return the signature of an API key's secret."""
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


class Wallet:
    """A private key that signs messages as the exchange wants them."""

    def __init__(self, key: str = "11" * 32, chain: int = 1666) -> None:
        self._key = PrivateKey(bytes.fromhex(key))
        self._chain = chain
        self.address = address_of(self._key.public_key)

    def signature(self, message: str) -> str:
        return self.signature_of(digest_of(message.encode(), self._chain))

    def signature_of(self, digest: bytes) -> str:
        raw = self._key.sign_recoverable(digest, hasher=None)
        return (raw[:64] + bytes([raw[64] + 27])).hex()

    def signed(self, parameters: dict[str, Any], nonce: int) -> str:
        message = urlencode({**parameters, "nonce": nonce, "signer": self.address})
        return f"{message}&signature=0x{self.signature(message)}"


class Trader:
    """A wallet that trades on a venue through its application, without a network."""

    def __init__(
        self, venue: Venue, wallet: Wallet | None = None, *, speed: float | None = None, chain: int = 1666, **doors: Any
    ) -> None:
        self.venue = venue
        self.wallet = wallet or Wallet()
        app = create_app(venue, speed=speed, chain=chain, settings=Settings(**doors))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://venue")

    def nonce(self) -> int:
        return self.venue.now * 1000 + next(USES)

    async def ask(self, method: str, path: str, **parameters: Any) -> httpx.Response:
        """Send a signed request, GET in the query, anything else in the body."""
        signed = self.wallet.signed(parameters, self.nonce())
        if method == "GET":
            return await self.http.get(f"{path}?{signed}")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self.http.request(method, path, content=signed, headers=headers)

    async def get(self, name: str, **parameters: Any) -> Any:
        return (await self.ask("GET", f"/fapi/v3/{name}", **parameters)).json()

    async def order(self, side: str, kind: str = "MARKET", **parameters: Any) -> Any:
        """Place an order in BTCUSDT and return the answer's JSON."""
        parameters = {"symbol": "BTCUSDT", "side": side, "type": kind, "newOrderRespType": "RESULT", **parameters}
        return (await self.ask("POST", "/fapi/v3/order", **parameters)).json()

    async def state(self, answer: dict[str, Any]) -> Any:
        """Return the present state of an order that was placed."""
        return await self.get("order", symbol=answer["symbol"], orderId=answer["orderId"])

    async def position(self, symbol: str = "BTCUSDT") -> Any:
        return (await self.get("positionRisk", symbol=symbol))[0]

    async def wallet_balance(self) -> Decimal:
        return Decimal((await self.get("balance"))[0]["balance"])


def market_of(
    *rows: tuple[float, float, float, float],
    symbol: str = "BTCUSDT",
    base: str = "1m",
    funding: dict[int, str] | None = None,
) -> RecordedMarket:
    """
    Return a market of candles (open, high, low, close), the first of which opens when trading begins.

    Before them lies one day at the first open.
    """
    first = rows[0][0]
    history = DAY // SPANS[base]
    prices = np.array([(first,) * 4] * history + list(rows), dtype=np.float64)
    spec = instrument(symbol)
    ticks = np.rint(prices * 10**spec.price_decimals).astype(np.int64)
    times = T0 + (np.arange(len(prices), dtype=np.int64) - history) * SPANS[base]
    opened, high, low, closed = ticks.T
    candles = Candles(SPANS[base], times, opened, high, low, closed, np.full(len(prices), 10_000, np.int64))
    rates = {time // MINUTE: Decimal(rate) for time, rate in (funding or {}).items()}
    return RecordedMarket({symbol: spec}, {symbol: candles}, {symbol: rates}, base=base, start=T0)


def flat(price: float, minutes: int) -> list[tuple[float, float, float, float]]:
    """Return candles in which nothing happens."""
    return [(price,) * 4] * minutes
