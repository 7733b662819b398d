"""Signatures are those that the exchange published, that an independent library makes, and that arrive unchanged."""

import hashlib
import hmac
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from coincurve import PrivateKey, PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import NotAuthorised
from shared.exchange.auth import ApiKey, KeySigner, SignerWallet, WalletSigner, signer_for
from tests.witness import EthAccount, encode_typed_data

SIGNER_KEY = "0x" + "11" * 32
SIGNER = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
USER = "0x1563915e194D8CfBA1943570603F7606A3115508"
NOW = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)

AN_ORDER = (
    f"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=65000.5"
    f"&newClientOrderId=gk%3Aord%2F1.a_b-C&nonce=1750000000000001&user={USER}&signer={SIGNER}"
)
A_BALANCE = f"nonce=1750000000000002&signer={SIGNER}"
A_BATCH = (
    "batchOrders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C%22side%22%3A%22BUY%22%2C%22type%22%3A%22LIMIT%22%2C"
    "%22timeInForce%22%3A%22GTC%22%2C%22quantity%22%3A%220.010%22%2C%22price%22%3A%2265000.5%22%7D%5D"
    f"&nonce=1750000000000003&user={USER}&signer={SIGNER}"
)


@pytest.mark.parametrize(
    ("message", "chain_id", "signature"),
    [
        (
            AN_ORDER,
            1666,
            "d4162f00d2343895134aecfe98ea2c534e9861bceabf5677febb1455775f0eb6"
            "007cbe7276cec2027159cb2c6fe9a5e81f9ace8ee9504bab5b2d2f9be0f3ecf41c",
        ),
        (
            AN_ORDER,
            714,
            "c1e0260a73bb1ea01cc5d91f8b133c00b6b4cb7cdc8c6fa55530257afd4b41e8"
            "0b8359e9e6c430b4ba110a73272f6c1c84589ad36f11ee08d3f9fd1797e96d871c",
        ),
        (
            A_BALANCE,
            1666,
            "7015adf98dba662a286c53391314c5602ffac0d46f0ecf21bdece659e4ce179a"
            "32cffac555a534f1458e763f4b6af3a33afb8d813c4a0a5de9f9f76e92ffba821b",
        ),
        (
            A_BALANCE,
            714,
            "f3615d1ca470dd853342ff27771cbda5f2c46fbb51b221eff7276b9c79cf6159"
            "6065d9e2c37a58bffa4170d894983d13bee73c99c2d7c0deb3c7bf893b9a2ae71b",
        ),
        (
            A_BATCH,
            1666,
            "8394721c36bb4855bdbf47cf4b9ea419c16751c2ea54a12ec5261ea4b9a53784"
            "02bba8d5aeff85f6a7bfaee37f031a220737fd5b281a67c310e35e1df6a15d101b",
        ),
    ],
)
def test_a_wallet_signs_the_known_messages_as_known(message: str, chain_id: int, signature: str) -> None:
    signer = WalletSigner(SignerWallet(SIGNER_KEY, USER, chain_id))

    assert signer.signature(message) == signature


def test_a_wallet_knows_its_address() -> None:
    assert WalletSigner(SignerWallet(SIGNER_KEY)).address == SIGNER
    assert WalletSigner(SignerWallet("22" * 32)).address == USER


PARAMS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"])) | st.text("!*'();:@&=+$,/?#[]%-_.~ \"{}<>|\\^`\n\t\x00"),
)
KEYS = st.integers(1, 2**252).map(lambda number: f"{number:064x}")


@settings(max_examples=60, deadline=None)
@given(params=PARAMS, key=KEYS, chain_id=st.sampled_from([1666, 714]))
def test_an_independent_library_signs_the_same_whatever_is_sent(
    params: dict[str, str], key: str, chain_id: int
) -> None:
    signer = WalletSigner(SignerWallet(key, chain_id=chain_id))

    message, _, signature = signer.sign(params, NOW).content.rpartition("&signature=0x")

    assert signature == EthAccount.sign_message(typed(message, chain_id), key).signature.hex()
    assert signer.address == EthAccount.from_key(key).address
    assert set(message) <= set(string.ascii_letters + string.digits + "&=%+-_.~")
    sent = parse_qsl(message, keep_blank_values=True)
    assert sent[: len(params)] == list(params.items())
    assert [name for name, _ in sent[len(params) :]] == ["nonce", "signer"]


@settings(max_examples=60, deadline=None)
@given(params=PARAMS, secret=st.text(min_size=1))
def test_a_secret_signs_whatever_is_sent(params: dict[str, str], secret: str) -> None:
    signed = KeySigner(ApiKey("key", secret)).sign(params, NOW)

    message, _, signature = signed.content.rpartition("&signature=")
    assert signature == hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
    assert parse_qsl(message, keep_blank_values=True)[: len(params)] == list(params.items())


@pytest.mark.parametrize(
    ("message", "chain_id", "digest"),
    [
        (AN_ORDER, 1666, "389d9e72e6215a6f7f31d144f5618f08537cad0c269a53dc5a4833d4209180ff"),
        (AN_ORDER, 714, "a410a4695058ad5076f8289189081371d9f74847e97f36833f64b1557e4d63c8"),
        (A_BALANCE, 1666, "e978968f75247d270f7d670289fb0aaaf5382815cfbbfb191cdded0d85ac8002"),
        (A_BATCH, 1666, "85a6cfb5ab5f0b61da23a16326ab5badb516faacd406ae77032e15b3ebf57f90"),
    ],
)
def test_a_signature_is_of_the_known_digest_and_tells_its_signer(message: str, chain_id: int, digest: str) -> None:
    signer = WalletSigner(SignerWallet(SIGNER_KEY, USER, chain_id))
    signature = bytes.fromhex(signer.signature(message))

    recovered = PublicKey.from_signature_and_message(
        signature[:64] + bytes([signature[64] - 27]), bytes.fromhex(digest), hasher=None
    )

    assert recovered == PrivateKey(bytes.fromhex(SIGNER_KEY[2:])).public_key


def typed(message: str, chain_id: int) -> Any:
    return encode_typed_data(
        domain_data={
            "name": "AsterSignTransaction",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": "0x" + "0" * 40,
        },
        message_types={"Message": [{"name": "msg", "type": "string"}]},
        message_data={"msg": message},
    )


def test_a_wallet_signs_exactly_what_it_sends() -> None:
    signer = WalletSigner(SignerWallet(SIGNER_KEY, USER))

    signed = signer.sign({"symbol": "BTCUSDT", "newClientOrderId": "a:b/c d"}, NOW)

    message, _, signature = signed.content.rpartition("&signature=0x")
    assert message.startswith("symbol=BTCUSDT&newClientOrderId=a%3Ab%2Fc+d&nonce=17")
    assert message.endswith(f"&user={USER}&signer={SIGNER}")
    assert signature == signer.signature(message)
    assert signed.headers == {}


@pytest.mark.parametrize(
    ("secret", "message", "signature"),
    [
        (
            "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
            "&timestamp=1591702613943",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=9000&recvWindow=5000"
            "&timestamp=1591702613943",
            "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
        ),
        (
            "gk-test-secret",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=65000.5&recvWindow=5000"
            "&timestamp=1750000000000",
            "8e313e325ebf3af541a27c869c4a58cee698e89588c9d15caec89b6325312376",
        ),
    ],
)
def test_a_key_signs_the_known_messages_as_known(secret: str, message: str, signature: str) -> None:
    assert KeySigner(ApiKey("key", secret)).signature(message) == signature


def test_a_key_tells_the_time_and_itself() -> None:
    signer = KeySigner(ApiKey("some-key", "gk-test-secret"))

    signed = signer.sign({"symbol": "BTCUSDT"}, NOW)

    message = urlencode({"symbol": "BTCUSDT", "recvWindow": 60000, "timestamp": 1750000000000})
    assert signed.content == f"{message}&signature={signer.signature(message)}"
    assert signed.headers == {"X-MBX-APIKEY": "some-key"}


def test_each_generation_has_its_paths() -> None:
    wallet, key = signer_for(SignerWallet(SIGNER_KEY)), signer_for(ApiKey("k", "s"))

    names = ("accountWithJoinMargin", "positionRisk", "order")
    assert [wallet.path(name) for name in names] == [
        "/fapi/v3/accountWithJoinMargin",
        "/fapi/v3/positionRisk",
        "/fapi/v3/order",
    ]
    assert [key.path(name) for name in names] == ["/fapi/v4/account", "/fapi/v2/positionRisk", "/fapi/v1/order"]


def test_two_signers_of_one_wallet_never_share_a_nonce() -> None:
    one, other = WalletSigner(SignerWallet("33" * 32)), WalletSigner(SignerWallet("33" * 32))

    contents = [signer.sign({}, NOW).content for signer in (one, other, one)]

    assert len(set(contents)) == 3


@pytest.mark.parametrize("key", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32, "11" * 32 + "\n"])
def test_a_malformed_private_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(NotAuthorised, match="64 hexadecimal digits") as refusal:
        signer_for(SignerWallet(key))

    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None
    assert not key or key not in str(refusal.value)


def test_a_malformed_address_or_key_is_refused() -> None:
    with pytest.raises(NotAuthorised, match="0x and 40 hexadecimal digits"):
        signer_for(SignerWallet(SIGNER_KEY, "nobody"))
    with pytest.raises(NotAuthorised, match="without spaces or line breaks"):
        signer_for(ApiKey("key\r\nX-Evil: 1", "secret"))


def test_credentials_do_not_show_their_secrets() -> None:
    shown = repr(SignerWallet(SIGNER_KEY, USER)) + repr(ApiKey("the-key", "the-secret"))

    assert "11" * 32 not in shown
    assert "the-" not in shown
    assert USER in shown
