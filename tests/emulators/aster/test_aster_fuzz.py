"""Whatever is sent, the exchange answers in its own words: it never breaks."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from emulators.aster import Settings, Venue, create_app
from emulators.aster.app import ENDPOINTS
from emulators.aster.doors.signatures import digest_of
from tests.emulators.aster.traders import T0, Wallet, flat, market_of

NAMES = st.sampled_from(
    [
        *("symbol", "side", "type", "quantity", "price", "stopPrice", "timeInForce", "reduceOnly", "closePosition"),
        *("newClientOrderId", "positionSide", "workingType", "priceProtect", "newOrderRespType", "activationPrice"),
        *(
            "callbackRate",
            "orderId",
            "origClientOrderId",
            "orderIdList",
            "origClientOrderIdList",
            "batchOrders",
            "limit",
        ),
        *("startTime", "endTime", "fromId", "interval", "pair", "leverage", "marginType", "dualSidePosition", "amount"),
        *("builder", "feeRate", "maxFeeRate", "agentAddress", "agentName", "expired", "canPerpTrade", "ipWhitelist"),
        *("user", "signatureChainId", "timestamp", "recvWindow", "countdownTime", "multiAssetsMargin", "autoCloseType"),
        *("stpMode", "pegPriceType", "pegOffset", "incomeType", "asset", "clientTranId", "kindType"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *(
                "BTCUSDT",
                "BUY",
                "SELL",
                "LIMIT",
                "MARKET",
                "STOP_MARKET",
                "TRAILING_STOP_MARKET",
                "GTC",
                "true",
                "false",
            ),
            *("0", "1", "-1", "0.01", "50000", "49000.1", "1e5", "NaN", "Infinity", "9" * 30, "1m", "1M", "[]", "[1]"),
            *(
                "{}",
                "null",
                '[{"symbol":"BTCUSDT"}]',
                "[[]]",
                "[{}]",
                '["a"]',
                str(T0),
                str(T0 - 10**9),
                "BOTH",
                "LONG",
            ),
            *("ISOLATED", "CROSSED", "0x" + "11" * 20, "RESULT", "MARK_PRICE", "GTX", "FOK", "TAKE_PROFIT", "STOP"),
        ]
    ),
    st.text(max_size=20),
    st.integers().map(str),
    st.decimals().map(str),
)
REQUESTS = st.tuples(st.sampled_from(sorted(ENDPOINTS)), st.dictionaries(NAMES, VALUES, max_size=12))


async def answers(requests: list[tuple[tuple[str, str], dict[str, str]]]) -> list[httpx.Response]:
    """Send correctly signed requests, however odd, one after the other."""
    wallet, venue = Wallet(), Venue(market_of(*flat(50_000, 60)))
    doors = Settings(weight_limit=10**9, order_limit=10**9)
    transport = httpx.ASGITransport(create_app(venue, settings=doors))
    found = []
    async with httpx.AsyncClient(transport=transport, base_url="http://venue") as http:
        for number, ((method, path), parameters) in enumerate(requests):
            sent: dict[str, Any] = {**parameters, "nonce": venue.now * 1000 + number, "signer": wallet.address}
            message = urlencode(sent, errors="replace").encode()
            signature = wallet.signature_of(digest_of(message, 1666)).encode()
            found.append(await http.request(method, path, content=message + b"&signature=" + signature))
            venue.advance(venue.now + 1_000)
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=8))
def test_whatever_is_asked_is_answered_in_the_exchanges_words(requests: Any) -> None:
    for answer in asyncio.run(answers(requests)):
        body = answer.json()
        if answer.status_code == 200:
            assert isinstance(body, (dict, list, bool))
        else:
            assert answer.status_code in {400, 401, 404, 429}
            assert body.keys() == {"code", "msg"}
            assert body["code"] < 0
            assert body["msg"]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(ENDPOINTS)), st.binary(max_size=200), st.binary(max_size=50))
def test_bytes_that_mean_nothing_are_refused(endpoint: tuple[str, str], body: bytes, key: bytes) -> None:
    async def answer() -> httpx.Response:
        app = create_app(Venue(market_of(*flat(50_000, 2))))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://venue") as http:
            return await http.request(*endpoint, content=body, headers=[(b"x-mbx-apikey", key.hex().encode())])

    assert asyncio.run(answer()).status_code in {200, 400, 401}
