"""Signatures, nonces and timestamps."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from eth_abi import encode

from emulators.aster import Venue, create_app
from emulators.aster.doors.signatures import digest_of, domain_separator, keccak256, legacy_digest, signer_of
from tests.emulators.aster.traders import T0, Trader, Wallet, flat, market_of
from tests.emulators.aster.traders import keyed as hmac_of
from tests.witness import EthAccount, encode_defunct

SIGNER = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
USER = "0x1563915e194d8cfba1943570603f7606a3115508"

A = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=65000.5&newClientOrderId=gk%3Aord%2F1.a_b-C"
    "&nonce=1750000000000001&user=0x1563915e194D8CfBA1943570603F7606A3115508"
    "&signer=0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
)
B = "nonce=1750000000000002&signer=0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
C = (
    "batchOrders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C%22side%22%3A%22BUY%22%2C%22type%22%3A%22LIMIT%22%2C"
    "%22timeInForce%22%3A%22GTC%22%2C%22quantity%22%3A%220.010%22%2C%22price%22%3A%2265000.5%22%7D%5D"
    "&nonce=1750000000000003&user=0x1563915e194D8CfBA1943570603F7606A3115508"
    "&signer=0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
)
VECTORS = [
    (
        A,
        1666,
        "389d9e72e6215a6f7f31d144f5618f08537cad0c269a53dc5a4833d4209180ff",
        "d4162f00d2343895134aecfe98ea2c534e9861bceabf5677febb1455775f0eb6"
        "007cbe7276cec2027159cb2c6fe9a5e81f9ace8ee9504bab5b2d2f9be0f3ecf41c",
    ),
    (
        A,
        714,
        "a410a4695058ad5076f8289189081371d9f74847e97f36833f64b1557e4d63c8",
        "c1e0260a73bb1ea01cc5d91f8b133c00b6b4cb7cdc8c6fa55530257afd4b41e8"
        "0b8359e9e6c430b4ba110a73272f6c1c84589ad36f11ee08d3f9fd1797e96d871c",
    ),
    (
        B,
        1666,
        "e978968f75247d270f7d670289fb0aaaf5382815cfbbfb191cdded0d85ac8002",
        "7015adf98dba662a286c53391314c5602ffac0d46f0ecf21bdece659e4ce179a"
        "32cffac555a534f1458e763f4b6af3a33afb8d813c4a0a5de9f9f76e92ffba821b",
    ),
    (
        B,
        714,
        None,
        "f3615d1ca470dd853342ff27771cbda5f2c46fbb51b221eff7276b9c79cf6159"
        "6065d9e2c37a58bffa4170d894983d13bee73c99c2d7c0deb3c7bf893b9a2ae71b",
    ),
    (
        C,
        1666,
        "85a6cfb5ab5f0b61da23a16326ab5badb516faacd406ae77032e15b3ebf57f90",
        "8394721c36bb4855bdbf47cf4b9ea419c16751c2ea54a12ec5261ea4b9a53784"
        "02bba8d5aeff85f6a7bfaee37f031a220737fd5b281a67c310e35e1df6a15d101b",
    ),
]


def trader(**options: Any) -> Trader:
    return Trader(Venue(market_of(*flat(50_000, 60))), **options)


def test_the_domain_is_that_of_the_exchange() -> None:
    assert domain_separator(1666).hex() == "a95d0a7a6f3f17fcebb0c2336645385ce79cde7523f71ab147fdb7f15e9f37f9"
    assert domain_separator(714).hex() == "fad01b07bed5729a04dbb977fd86da612eba71d668660bf12cf10b3d65b74d94"
    assert keccak256(b"Message(string msg)").hex() == "c4cfb57eea370ef2a92403a7e865b2de262d7ca272333665b54ad7e6a602ef68"


@pytest.mark.parametrize(("message", "chain", "digest", "signature"), VECTORS)
def test_published_wallet_signatures_are_recognized(
    message: str, chain: int, digest: str | None, signature: str
) -> None:
    if digest is not None:
        assert digest_of(message.encode(), chain).hex() == digest
    assert signer_of(digest_of(message.encode(), chain), signature) == SIGNER
    assert Wallet(chain=chain).signature(message) == signature


@pytest.mark.parametrize(
    "written",
    [
        lambda signature: signature,
        lambda signature: "0x" + signature,
        lambda signature: "0X" + signature.upper(),
        lambda signature: signature[:-2] + signature[-2:].upper(),
        lambda signature: signature[:-2] + f"{int(signature[-2:], 16) - 27:02x}",
    ],
)
def test_a_signature_may_be_written_in_many_ways(written: Any) -> None:
    message, chain, _, signature = VECTORS[0]

    assert signer_of(digest_of(message.encode(), chain), written(signature)) == SIGNER


@pytest.mark.parametrize("signature", ["", "zz", "0x1234", "00" * 65, "ff" * 64 + "1b", VECTORS[0][3][:-2] + "1d"])
def test_a_signature_that_is_none_is_nobodys(signature: str) -> None:
    assert signer_of(digest_of(A.encode(), 1666), signature) != SIGNER


async def test_a_wallet_that_signs_correctly_has_an_account_with_the_start_balance() -> None:
    assert (await trader().get("balance"))[0]["balance"] == "10000.00000000"


@pytest.mark.parametrize("place", ["query", "body"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_parameters_may_stand_in_the_query_or_in_the_body_of_any_method(method: str, place: str) -> None:
    one = trader()
    order = await one.order("BUY", "LIMIT", quantity="0.01", price="49000", timeInForce="GTC")
    wanted: dict[str, Any] = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    if method == "POST":
        wanted = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    signed = one.wallet.signed(wanted, one.nonce())

    if place == "query":
        answer = await one.http.request(method, f"/fapi/v3/order?{signed}")
    else:
        answer = await one.http.request(method, "/fapi/v3/order", content=signed)

    assert (answer.status_code, answer.json()["symbol"]) == (200, "BTCUSDT")


async def test_the_bytes_received_are_what_counts_not_how_we_would_encode_them() -> None:
    """JavaScript leaves !'()* alone and writes a space as %20; Python does neither."""
    one = trader()
    message = f"note=it's%20(odd)!*&nonce={one.nonce()}&signer={one.wallet.address}"

    answer = await one.http.get(f"/fapi/v3/balance?{message}&signature={one.wallet.signature(message)}")

    assert answer.status_code == 200


async def test_a_client_that_signs_before_it_encodes_is_understood() -> None:
    one = trader()
    plain = f"newClientOrderId=a:b/c&symbol=BTCUSDT&nonce={one.nonce()}&signer={one.wallet.address}"
    encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in (p.split("=") for p in plain.split("&")))

    answer = await one.http.get(f"/fapi/v3/openOrders?{encoded}&signature={one.wallet.signature(plain)}")

    assert (answer.status_code, answer.json()) == (200, [])


async def test_the_signature_need_not_come_last() -> None:
    one = trader()
    message = f"nonce={one.nonce()}&signer={one.wallet.address}"

    answer = await one.http.get(f"/fapi/v3/balance?signature={one.wallet.signature(message)}&{message}")

    assert answer.status_code == 200


async def test_a_changed_byte_breaks_the_signature() -> None:
    one = trader()
    signed = one.wallet.signed({"symbol": "BTCUSDT"}, one.nonce())

    answer = await one.http.get(f"/fapi/v3/positionRisk?{signed.replace('BTCUSDT', 'BTCUSDU')}")

    assert (answer.status_code, answer.json()["code"]) == (400, -1022)


async def test_the_code_of_a_bad_signature_can_be_the_one_others_have_seen() -> None:
    one = trader(signature_refusal=-1000)

    answer = await one.http.get(f"/fapi/v3/balance?nonce=1&signer={SIGNER}&signature=00")

    assert answer.json() == {"code": -1000, "msg": "Signature check failed"}


async def test_a_signature_for_the_other_chain_is_refused() -> None:
    one = Trader(Venue(market_of(*flat(50_000, 1))), wallet=Wallet(chain=714))
    on_testnet = Trader(Venue(market_of(*flat(50_000, 1))), wallet=Wallet(chain=714), chain=714)

    assert (await one.get("balance"))["code"] == -1022
    assert len(await on_testnet.get("balance")) == 1


@pytest.mark.parametrize(("seconds", "refused"), [(-61, True), (-59, False), (0, False), (59, False), (61, True)])
async def test_a_nonce_lives_for_a_minute_around_the_markets_time(seconds: int, refused: bool) -> None:
    one = trader()

    answer = await one.http.get(f"/fapi/v3/balance?{one.wallet.signed({}, (T0 + seconds * 1000) * 1000)}")

    assert (answer.json() == {"code": -4225, "msg": "Nonce Expired"}) == refused


async def test_a_nonce_of_the_real_present_is_as_good() -> None:
    """A client that keeps the real time can trade on a market of another year."""
    one = trader()

    answer = await one.http.get(f"/fapi/v3/balance?{one.wallet.signed({}, time.time_ns() // 1000)}")

    assert answer.status_code == 200


async def test_a_nonce_is_used_once_and_the_oldest_hundred_bound_what_is_still_taken() -> None:
    one = trader()

    async def use(nonce: int) -> Any:
        return (await one.http.get(f"/fapi/v3/positionSide/dual?{one.wallet.signed({}, nonce)}")).json()

    first = T0 * 1000 + 1000
    assert "code" not in await use(first)
    assert (await use(first))["code"] == -4225
    one.venue.advance(T0 + 1000)
    for each in range(1, 100):
        if each % 50 == 0:
            one.venue.advance(T0 + 60_000)  # a new minute of request weight
        await use(first + 2 * each)

    assert (await use(first - 1))["code"] == -4225  # older than all that are kept
    assert "code" not in await use(first + 3)  # out of order, but newer than the oldest
    assert (await use(first + 2))["code"] == -4225  # which was forgotten for it: it may not come back


async def test_each_signer_has_its_own_nonces() -> None:
    venue = Venue(market_of(*flat(50_000, 1)))
    one, other = Trader(venue), Trader(venue, wallet=Wallet("22" * 32))

    answers = [await each.http.get(f"/fapi/v3/balance?{each.wallet.signed({}, T0 * 1000)}") for each in (one, other)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(venue.ledger.accounts) == 2


async def test_an_agent_trades_for_the_account_that_approved_it_and_for_no_other() -> None:
    one = trader()
    opened = await one.http.post(
        "/emulator/accounts", json={"address": USER.upper().replace("0X", "0x"), "balance": "777", "agents": [SIGNER]}
    )

    named = await one.get("balance", user=USER)
    unnamed = await one.get("balance")
    stranger = await one.get("balance", user="0x" + "ab" * 20)

    assert opened.json() == {"account": USER, "wallet": "777.00000000"}
    assert named[0]["balance"] == unnamed[0]["balance"] == "777.00000000"
    assert stranger == {"code": -1000, "msg": "No agent found"}


async def test_a_wallet_is_its_own_agent_however_its_address_is_written() -> None:
    one = trader()

    assert len(await one.get("balance", user="0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A")) == 1


@pytest.mark.parametrize("missing", ["nonce", "signer", "signature"])
async def test_a_missing_part_of_a_signature_is_named(missing: str) -> None:
    one = trader()
    pairs = one.wallet.signed({}, one.nonce()).split("&")

    answer = await one.http.get("/fapi/v3/balance?" + "&".join(each for each in pairs if not each.startswith(missing)))

    assert answer.json()["code"] == -1102
    assert missing in answer.json()["msg"]


@pytest.mark.parametrize(
    ("options", "code"),
    [({}, -4225), ({"duplicate_nonce": -1021}, -1021), ({"duplicate_nonce": -1000}, -1000)],
)
async def test_the_code_of_a_nonce_used_before_can_be_chosen(options: dict[str, int], code: int) -> None:
    one = trader(**options)
    signed = one.wallet.signed({}, one.nonce())

    answers = [await one.http.get(f"/fapi/v3/balance?{signed}") for _ in range(2)]

    assert answers[0].status_code == 200
    assert answers[1].json() == {"code": code, "msg": "Nonce Duplicated"}


async def test_the_window_of_nonces_and_the_code_outside_it_can_be_those_of_another_time() -> None:
    one = trader(nonce_window_ms=10_000, expired_nonce=-1021)

    late = await one.http.get(f"/fapi/v3/balance?{one.wallet.signed({}, (T0 - 10_001) * 1000)}")
    near = await one.http.get(f"/fapi/v3/balance?{one.wallet.signed({}, (T0 - 10_000) * 1000)}")

    assert late.json() == {"code": -1021, "msg": "Nonce Expired"}
    assert near.status_code == 200


async def test_strict_doors_take_only_what_was_sent_and_only_the_current_scheme() -> None:
    one = trader(unencoded_signatures=False, legacy_signatures=False)
    plain = f"newClientOrderId=a:b/c&nonce={one.nonce()}&signer={one.wallet.address}"
    encoded = plain.replace(":", "%3A").replace("/", "%2F")

    unencoded = await one.http.get(f"/fapi/v3/balance?{encoded}&signature={one.wallet.signature(plain)}")
    legacy = await one.http.get(f"/fapi/v3/balance?{legacy_signed(one, {})}")

    assert [each.json()["code"] for each in (unencoded, legacy)] == [-1022, -1022]


async def test_a_known_wallet_may_be_the_only_one_let_in() -> None:
    one = trader(newcomers=False)

    stranger = await one.get("balance")
    await one.http.post("/emulator/accounts", json={"address": one.wallet.address})

    assert stranger == {"code": -1000, "msg": "No agent found"}
    assert (await one.get("balance"))[0]["balance"] == "10000.00000000"


# The wallet signatures of 2025

DEMO_KEY = "4fd0a42218f3eae43a6ce26d22544e986139a01e5b34a62db53757ffca81bae1"  # public, from the documentation
LEGACY = [
    (
        {
            "positionSide": "BOTH", "price": "0.28694", "quantity": "190", "recvWindow": "50000", "side": "BUY",
            "symbol": "SANDUSDT", "timeInForce": "GTC", "timestamp": "1749545309665", "type": "LIMIT",
            "user": "0x63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e",
            "signer": "0x21cF8Ae13Bb72632562c6Fff438652Ba1a151bb0", "nonce": "1748310859508867",
        },
        DEMO_KEY,
        "0337dd720a21543b80ff861cd3c26646b75b3a6a4b5d45805d4c1d6ad6fc33e6"
        "5f0722778dd97525466560c69fbddbe6874eb4ed6f5fa7e576e486d9b5da67f31b",
    ),
    (
        {
            "price": "65000.5", "quantity": "0.010", "recvWindow": "50000", "side": "BUY", "symbol": "BTCUSDT",
            "timeInForce": "GTC", "timestamp": "1750000000000", "type": "LIMIT",
            "user": "0x1563915e194D8CfBA1943570603F7606A3115508",
            "signer": "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", "nonce": "1750000000000001",
        },
        "11" * 32,
        "d5346c86e3a4f21ac4f3fbb0e6a522c173b2194e6b9ca08939991d28bf72a2b9"
        "1e063a62ab2ab9086fb38773ece4b28ac2af6983c5606f67e30fed36ee14c9491b",
    ),
]  # fmt: skip


def legacy_signed(one: Trader, parameters: dict[str, Any], *, timestamp: int = T0) -> str:
    sent = {
        **{name: str(value) for name, value in parameters.items()},
        "recvWindow": "50000",
        "timestamp": str(timestamp),
        "nonce": str(one.nonce()),
        "user": one.wallet.address,
        "signer": one.wallet.address,
    }
    return urlencode({**sent, "signature": one.wallet.signature_of(legacy_digest(sent))})


@pytest.mark.parametrize(("parameters", "key", "signature"), LEGACY)
def test_published_legacy_signatures_are_recognized_and_reproduced(
    parameters: dict[str, str], key: str, signature: str
) -> None:
    digest = legacy_digest({**parameters, "signature": signature})

    assert signer_of(digest, signature) == parameters["signer"].lower()
    assert Wallet(key).signature_of(digest) == signature


def test_a_second_implementation_signs_the_same_legacy_message() -> None:
    parameters = {**LEGACY[1][0], "newClientOrderId": "gk:ord/1", "note": "ü"}
    names = ("user", "signer", "nonce")
    text = json.dumps({k: v for k, v in parameters.items() if k not in names}, sort_keys=True, separators=(",", ":"))
    values = [text, parameters["user"], parameters["signer"], int(parameters["nonce"])]
    packed = encode(["string", "address", "address", "uint256"], values)

    signed = EthAccount.sign_message(encode_defunct(keccak256(packed)), "0x" + "11" * 32)

    assert Wallet().signature_of(legacy_digest(parameters)) == signed.signature.hex()


async def test_a_legacy_signature_still_opens_the_door() -> None:
    one = trader()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "positionSide": "BOTH"}

    placed = await one.http.post("/fapi/v3/order", content=legacy_signed(one, order))
    listed = await one.http.get(f"/fapi/v3/allOrders?{legacy_signed(one, {'symbol': 'BTCUSDT'})}")
    late = await one.http.get(f"/fapi/v3/balance?{legacy_signed(one, {}, timestamp=T0 - 50_001)}")

    assert placed.status_code == 200
    assert [row["orderId"] for row in listed.json()] == [placed.json()["orderId"]]
    assert late.json()["code"] == -1021


@pytest.mark.parametrize("changes", [{"user": "me"}, {"user": "0x12"}, {"price": "1"}])
async def test_a_legacy_message_that_is_none_is_refused(changes: dict[str, str]) -> None:
    one = trader()
    sent = {**dict(pair.split("=") for pair in legacy_signed(one, {}).split("&")), **changes}

    assert (await one.http.get(f"/fapi/v3/balance?{urlencode(sent)}")).json()["code"] == -1022


# API keys

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"


@pytest.mark.parametrize(
    ("secret", "query", "body", "timestamp", "signature"),
    [
        (
            SECRET,
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
            "&timestamp=1591702613943",
            "",
            1591702613943,
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            SECRET,
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC",
            "quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943",
            1591702613943,
            "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
        ),
        (
            "gk-test-secret",
            "",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=65000.5&recvWindow=5000"
            "&timestamp=1750000000000",
            1750000000000,
            "8e313e325ebf3af541a27c869c4a58cee698e89588c9d15caec89b6325312376",
        ),
    ],
)
async def test_published_key_signatures_open_the_door(
    secret: str, query: str, body: str, timestamp: int, signature: str
) -> None:
    market = market_of(*flat(9_000, 3))
    venue = Venue(market)
    venue.engine.now = timestamp
    venue.open_account("key-1", secret=secret)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(venue)), base_url="http://venue") as http:
        signed_query = query if body else f"{query}&signature={signature}"
        signed_body = f"{body}&signature={signature}" if body else ""

        answer = await http.post(
            f"/fapi/v1/order?{signed_query}", content=signed_body, headers={"X-MBX-APIKEY": "key-1"}
        )

    # Past the door the order itself is judged: these prices may or may not suit this market.
    assert answer.json().get("code", 0) not in {-1022, -2014, -2015, -1021}


async def keyed(one: Trader, parameters: dict[str, Any], *, key: str | None = "key-1", secret: str = "shh") -> Any:
    message = urlencode(parameters)
    headers = {"X-MBX-APIKEY": key} if key else {}
    return await one.http.get(
        f"/fapi/v2/balance?{message}&signature={hmac_of(secret, message).upper()}", headers=headers
    )


async def test_a_key_opened_by_the_administration_signs_for_its_account() -> None:
    one = trader()
    await one.http.post("/emulator/accounts", json={"apiKey": "key-1", "secret": "shh", "balance": 42})

    good = await keyed(one, {"timestamp": T0})
    wrong_secret = await keyed(one, {"timestamp": T0}, secret="oops")
    unknown = await keyed(one, {"timestamp": T0}, key="key-2")
    keyless = await keyed(one, {"timestamp": T0}, key=None)

    assert good.json()[0]["balance"] == "42.00000000"
    assert (wrong_secret.status_code, wrong_secret.json()["code"]) == (400, -1022)
    assert (unknown.status_code, unknown.json()["code"]) == (401, -2015)
    assert (keyless.status_code, keyless.json()) == (401, {"code": -2014, "msg": "API-key format invalid."})


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"timestamp": T0 - 5000}, None),
        ({"timestamp": T0 - 5001}, -1021),
        ({"timestamp": T0 - 9000, "recvWindow": 10_000}, None),
        ({"timestamp": T0 + 999}, None),
        ({"timestamp": T0 + 1000}, -1021),
        ({"timestamp": T0 - 60_000, "recvWindow": 60_000}, None),
        ({"timestamp": T0, "recvWindow": 60_001}, -1130),
        ({"timestamp": T0, "recvWindow": -1}, -1130),
        ({}, -1102),
        ({"timestamp": "soon"}, -1102),
    ],
)
async def test_a_timestamp_must_lie_in_the_window(parameters: dict[str, Any], code: int | None) -> None:
    one = trader()
    one.venue.open_account("key-1", secret="shh")

    answer = (await keyed(one, parameters)).json()

    assert (answer["code"] if isinstance(answer, dict) else None) == code


async def test_a_timestamp_too_old_and_one_too_new_are_told_apart() -> None:
    one = trader()
    one.venue.open_account("key-1", secret="shh")

    old, new = [await keyed(one, {"timestamp": timestamp}) for timestamp in (T0 - 6000, T0 + 60_000)]

    assert old.json() == {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
    assert new.json() == {"code": -1021, "msg": "Timestamp for this request was 1000ms ahead of the server's time."}


@pytest.mark.parametrize("place", ["query first", "query middle", "body", "split"])
async def test_a_keys_signature_may_stand_anywhere(place: str) -> None:
    one = trader()
    one.venue.open_account("key-1", secret="shh")
    timestamp, symbol = f"timestamp={T0}", "symbol=BTCUSDT"
    signature = f"signature={hmac_of('shh', f'{symbol}&{timestamp}')}"
    split = f"signature={hmac_of('shh', symbol + timestamp)}"
    query, body = {
        "query first": (f"{signature}&{symbol}&{timestamp}", ""),
        "query middle": (f"{symbol}&{signature}&{timestamp}", ""),
        "body": ("", f"{symbol}&{timestamp}&{signature}"),
        "split": (f"{symbol}&{split}", timestamp),
    }[place]

    answer = await one.http.request(
        "DELETE", f"/fapi/v1/allOpenOrders?{query}", content=body, headers={"X-MBX-APIKEY": "key-1"}
    )

    assert answer.status_code == 200


async def test_a_wallet_cannot_use_the_paths_of_keys() -> None:
    one = trader()

    answer = await one.ask("GET", "/fapi/v1/openOrders")

    assert (answer.status_code, answer.json()["code"]) == (401, -2014)


async def test_both_generations_reach_the_same_account_data() -> None:
    one = trader()
    one.venue.open_account("key-1", secret="shh")
    message = f"timestamp={T0}"
    headers = {"X-MBX-APIKEY": "key-1"}

    old = (
        await one.http.get(f"/fapi/v4/account?{message}&signature={hmac_of('shh', message)}", headers=headers)
    ).json()
    new = await one.get("accountWithJoinMargin")
    renamed = await one.get("account")

    assert old == new == renamed


def test_addresses_are_lower_case_hex_of_the_public_key() -> None:
    assert Wallet("11" * 32).address == SIGNER
    assert Wallet("22" * 32).address == USER
