"""Agents and builders: who may sign for an account, and who may charge it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from emulators.aster import Venue
from emulators.aster.doors.signatures import digest_of, management_digest
from tests.emulators.aster.traders import T0, Trader, Wallet, flat, market_of
from tests.witness import EthAccount, encode_typed_data

OWNER, AGENT = Wallet("22" * 32), Wallet("11" * 32)
BUILDER = "0x1F5877C19e3777Cfd15F9d57253eA4aA5254Ec39"
DAY = 24 * 60 * 60_000
RIGHTS = {"canSpotTrade": "false", "canPerpTrade": "true", "canWithdraw": "false"}
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def agent_of(owner: Venue | None = None, **options: Any) -> Trader:
    """Return an agent who trades on a venue, which knows neither him nor his owner yet."""
    return Trader(owner or Venue(market_of(*flat(50_000, 60))), wallet=AGENT, **options)


async def manage(
    one: Trader, method: str, name: str, kind: str, fields: dict[str, Any], *, wallet: Wallet = OWNER, chain: int = 1666
) -> httpx.Response:
    """Send a management message, signed by a main wallet, as the exchange's demo code does."""
    values = {**fields, "asterChain": "Mainnet", "user": OWNER.address, "nonce": str(one.nonce())}
    signature = wallet.signature_of(management_digest(kind, list(values.items()), chain))
    sent = {**values, "signature": "0x" + signature, "signatureChainId": chain}
    return await one.http.request(method, f"/fapi/v3/{name}", content=urlencode(sent), headers=FORM)


async def approve(one: Trader, **terms: Any) -> httpx.Response:
    fields = {
        "agentName": "perpetua",
        "agentAddress": AGENT.address,
        "ipWhitelist": "",
        "expired": str(T0 + DAY),
        **RIGHTS,
        **terms,
    }
    return await manage(one, "POST", "approveAgent", "ApproveAgent", fields)


async def test_an_agent_once_approved_trades_for_its_owner() -> None:
    one = agent_of()
    before = await one.get("balance", user=OWNER.address)

    approved = await approve(one)
    named = await one.ask("POST", "/fapi/v3/order", **ORDER, user=OWNER.address)
    unnamed = await one.ask("POST", "/fapi/v3/order", **ORDER)
    books = await one.http.get(f"/emulator/books?account={OWNER.address}")

    assert before == {"code": -1000, "msg": "No agent found"}
    assert approved.json() == {"code": 200, "msg": "success"}
    assert [named.status_code, unnamed.status_code] == [200, 200]
    assert len(books.json()["orders"]) == 2


async def test_agents_are_listed_as_the_exchange_lists_them() -> None:
    one = agent_of()
    await approve(one)

    assert await one.get("agent") == [
        {
            "agentAddress": AGENT.address,
            "agentName": "perpetua",
            "ipWhitelist": "",
            "expired": T0 + DAY,
            "source": "API",
            "canRead": True,
            "canSpotTrade": False,
            "canPerpTrade": True,
            "canWithdraw": False,
        }
    ]


async def test_an_agent_that_may_not_trade_may_still_look() -> None:
    one = agent_of()
    await approve(one, canPerpTrade="false")

    refused = await one.ask("POST", "/fapi/v3/order", **ORDER)
    leverage = await one.ask("POST", "/fapi/v3/leverage", symbol="BTCUSDT", leverage=3)
    looked = await one.ask("GET", "/fapi/v3/balance")
    await manage(one, "POST", "updateAgent", "UpdateAgent", {"agentAddress": AGENT.address, **RIGHTS})
    allowed = await one.ask("POST", "/fapi/v3/order", **ORDER)

    assert [(each.status_code, each.json()["code"]) for each in (refused, leverage)] == [(401, -2015)] * 2
    assert [looked.status_code, allowed.status_code] == [200, 200]


async def test_an_agent_may_come_from_its_whitelist_only() -> None:
    one = agent_of()
    await approve(one, ipWhitelist="10.0.0.1,10.0.0.2")

    elsewhere = await one.ask("GET", "/fapi/v3/balance")
    fields = {"agentAddress": AGENT.address, "ipWhitelist": "10.0.0.1, 127.0.0.1", **RIGHTS}
    await manage(one, "POST", "updateAgent", "UpdateAgent", fields)
    here = await one.ask("GET", "/fapi/v3/balance")

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (401, -2015)
    assert here.status_code == 200


async def test_an_agent_expires_and_can_be_dismissed() -> None:
    one = agent_of()
    await approve(one, expired=str(T0 + 30_000))
    before = await one.get("balance")
    one.venue.advance(T0 + 30_000)
    expired = await one.get("balance")
    await approve(one)
    again = await one.get("balance")
    await manage(one, "DELETE", "agent", "DelAgent", {"agentAddress": AGENT.address})
    dismissed = await one.get("balance", user=OWNER.address)

    assert before[0]["asset"] == again[0]["asset"] == "USDT"
    assert expired == dismissed == {"code": -1000, "msg": "No agent found"}


async def test_only_the_owner_can_manage_and_only_with_the_right_message() -> None:
    one = agent_of()
    fields = {"agentAddress": AGENT.address}
    await approve(one)

    by_agent = await manage(one, "DELETE", "agent", "DelAgent", fields, wallet=AGENT)
    other_type = await manage(one, "DELETE", "agent", "UpdateAgent", fields)
    unknown = await manage(one, "DELETE", "agent", "DelAgent", {"agentAddress": "0x" + "ab" * 20})
    malformed = await manage(one, "DELETE", "agent", "DelAgent", {"agentAddress": "me"})

    assert [each.json()["code"] for each in (by_agent, other_type)] == [-1022, -1022]
    assert unknown.json() == {"code": -1000, "msg": "No agent found"}
    assert malformed.json()["code"] == -1102


async def test_the_chain_of_a_management_message_is_the_one_it_names() -> None:
    one = agent_of()
    fields = {"builder": BUILDER, "maxFeeRate": "0.001", "builderName": "b"}

    answers = [await manage(one, "POST", "approveBuilder", "ApproveBuilder", fields, chain=each) for each in (56, 1666)]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_the_published_management_signature_is_reproduced() -> None:
    fields = [
        ("builder", BUILDER),
        ("maxFeeRate", "0.001"),
        ("builderName", "ccxt"),
        ("asterChain", "Mainnet"),
        ("user", OWNER.address),
        ("nonce", "1750000000000004"),
    ]

    digest = management_digest("ApproveBuilder", fields, 1666)

    assert digest.hex() == "45b745bb92f4840c5faf6023df3568372db94c4fc4327441a1f9c764da945df9"
    assert OWNER.signature_of(digest) == (
        "bc3d9d6e2a220c334f592bf2d382cd71776c37d58aacae93e87c8833e121a7d5"
        "7f591f59183ec11601899ec43298c838a8a7583b289ed3436d4caf03c355a6451c"
    )


def test_a_second_implementation_signs_the_same_management_message() -> None:
    """eth_account, given the typed data as the exchange's demo code builds it."""
    values: dict[str, Any] = {
        "AgentName": "perpetua", "AgentAddress": AGENT.address, "IpWhitelist": "1.2.3.4", "Expired": T0,
        "CanSpotTrade": True, "CanPerpTrade": False, "CanWithdraw": False, "AsterChain": "Mainnet",
        "User": OWNER.address, "Nonce": 1750000000000004,
    }  # fmt: skip
    types = {bool: "bool", int: "uint256", str: "string"}
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
    message = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain],
                "ApproveAgent": [{"name": name, "type": types[type(value)]} for name, value in values.items()],
            },
            "primaryType": "ApproveAgent",
            "domain": {
                "name": "AsterSignTransaction",
                "version": "1",
                "chainId": 56,
                "verifyingContract": "0x" + "00" * 20,
            },
            "message": values,
        }
    )
    sent = [(name[:1].lower() + name[1:], str(value)) for name, value in values.items()]

    signature = EthAccount.sign_message(message, "0x" + "22" * 32).signature.hex()

    assert OWNER.signature_of(management_digest("ApproveAgent", sent, 56)) == signature


async def test_a_wallet_registers_and_approves_its_agent_in_one_step() -> None:
    one = agent_of(newcomers=False)
    stranger = await one.get("balance")
    values = {
        "agentName": "perpetua",
        "agentAddress": AGENT.address,
        **RIGHTS,
        "user": OWNER.address,
        "nonce": str(one.nonce()),
        "signatureChainId": "56",
    }
    message = urlencode(values)
    signature = OWNER.signature_of(digest_of(message.encode(), 56))

    answer = await one.http.post(
        "/fapi/v3/registerAndApproveAgent", content=f"{message}&signature={signature}", headers=FORM
    )

    assert stranger == {"code": -1000, "msg": "No agent found"}
    assert answer.json() == {"code": 200, "msg": "success"}
    assert answer.headers["x-mbx-used-weight-1m"] == "55"
    assert (await one.get("balance", user=OWNER.address))[0]["balance"] == "10000.00000000"


async def test_a_builder_may_charge_up_to_what_was_agreed() -> None:
    one = agent_of()
    await approve(one)
    order = {**ORDER, "builder": BUILDER.lower()}
    unknown = await one.ask("POST", "/fapi/v3/order", **order, feeRate="0.0001")
    fields = {"builder": BUILDER, "maxFeeRate": "0.001", "builderName": "friend"}
    await manage(one, "POST", "approveBuilder", "ApproveBuilder", fields)

    charged = [await one.ask("POST", "/fapi/v3/order", **order, feeRate=each) for each in ("0.001", "0.0011", "x")]
    await manage(one, "POST", "updateBuilder", "UpdateBuilder", {"builder": BUILDER, "maxFeeRate": "0.002"})
    more = await one.ask("POST", "/fapi/v3/order", **order, feeRate="0.002")
    listed = await one.get("builder")
    await manage(one, "DELETE", "builder", "DelBuilder", {"builder": BUILDER})
    gone = await one.ask("POST", "/fapi/v3/order", **order, feeRate="0.0001")

    assert [each.status_code for each in (*charged, more)] == [200, 400, 400, 200]
    assert [each.json()["code"] for each in (unknown, charged[1], gone)] == [-2031, -2031, -2031]
    assert listed == [
        {"userAddress": OWNER.address, "builderAddress": BUILDER, "maxFeeRate": "0.002", "builderName": "friend"}
    ]
    assert await one.get("builder") == []


async def test_an_agent_and_its_builder_are_approved_at_once() -> None:
    one = agent_of()

    await approve(one, builder=BUILDER, maxFeeRate="0.001", builderName="friend")

    assert [each["builderAddress"] for each in await one.get("builder")] == [BUILDER]


async def test_agents_and_builders_survive_a_restart(tmp_path: Path) -> None:
    market = market_of(*flat(50_000, 60))
    one = agent_of(Venue(market, state=tmp_path))
    await approve(one, builder=BUILDER, maxFeeRate="0.001", builderName="friend", ipWhitelist="127.0.0.1")
    before = await one.get("agent"), await one.get("builder")
    one.venue.close()

    for _ in range(2):  # the second time from what the first one wrote anew
        again = agent_of(Venue(market, state=tmp_path))
        assert (await again.get("agent"), await again.get("builder")) == before
        again.venue.close()


async def test_a_nonce_can_be_used_up_for_nothing() -> None:
    one = agent_of()
    signed = one.wallet.signed({}, one.nonce())

    answers = [await one.http.post("/fapi/v3/noop", content=signed, headers=FORM) for _ in range(2)]

    assert answers[0].json() == {"code": 200, "msg": "success"}
    assert answers[1].json()["code"] == -4225


@pytest.mark.parametrize("rate", ["", "lots", "-0.1", "1"])
async def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    one = agent_of()
    fields = {"builder": BUILDER, "maxFeeRate": rate, "builderName": "b"}

    answer = await manage(one, "POST", "approveBuilder", "ApproveBuilder", fields)

    assert answer.json()["code"] in {-1102, -2031}
