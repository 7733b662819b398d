"""
Who is asking: HMAC signatures of API keys and EIP-712 signatures of wallets.

Both are checked against the bytes that were received, never against a re-encoded copy, for clients encode in many ways.

- API keys (paths of the first generation): lower-case hex HMAC-SHA256, under the key's secret, of the query string
  immediately followed by the body, both without the signature; a `timestamp` in milliseconds not older than
  `recvWindow` (5000, at most 60000) and less than a second ahead.
- Wallets (v3): typed data of domain `AsterSignTransaction` version 1 and type `Message(string msg)`, where msg is the
  parameter string without the signature; signed by secp256k1 as r, s, v in hex with or without 0x, v as 0, 1, 27 or
  28. A client that signs its string before percent-encoding it is understood too. Instead of a timestamp there is a
  `nonce` in microseconds, within sixty seconds of the venue's time, that this signer has not used: the last hundred
  are remembered, and one smaller than all of these has expired.

A paper market may live in another year than its clients, so a timestamp or nonce of the real present is as good as
one of the market's. Anyone who signs correctly has an account: the first valid signature of a wallet opens one.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from bisect import bisect_left, insort
from collections import defaultdict
from functools import lru_cache
from urllib.parse import unquote_plus

from coincurve import PublicKey
from Crypto.Hash import keccak

from .accounts import Account
from .errors import Refusal
from .parameters import Parameters, integer, text
from .venue import Venue

MAINNET, TESTNET = 1666, 714
SIGNATURE = b"signature="
NONCE_WINDOW = 60_000_000
NONCES_KEPT = 100
DEFAULT_RECV_WINDOW, MAX_RECV_WINDOW = 5_000, 60_000
MOST_AHEAD = 1_000


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
MESSAGE_TYPE = keccak256(b"Message(string msg)")


@lru_cache
def domain_separator(chain: int) -> bytes:
    """Return the hash of the venue's EIP-712 domain on a chain."""
    name, version = keccak256(b"AsterSignTransaction"), keccak256(b"1")
    return keccak256(DOMAIN_TYPE + name + version + chain.to_bytes(32) + bytes(32))


def digest_of(message: bytes, chain: int) -> bytes:
    """Return what a wallet signs to send a message."""
    return keccak256(b"\x19\x01" + domain_separator(chain) + keccak256(MESSAGE_TYPE + keccak256(message)))


def signer_of(message: bytes, signature: str, chain: int) -> str | None:
    """Return the address, 0x and lower case, whose wallet signed a message, or nothing if no wallet did."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x").removeprefix("0X"))
        if len(raw) != 65 or raw[64] not in (0, 1, 27, 28):
            return None
        recoverable = raw[:64] + bytes([raw[64] % 27])
        key = PublicKey.from_signature_and_message(recoverable, digest_of(message, chain), hasher=None)
    except ValueError:
        return None
    return address_of(key)


def address_of(key: PublicKey) -> str:
    """Return the address of a public key, 0x and lower case."""
    return "0x" + keccak256(key.format(compressed=False)[1:])[-20:].hex()


def without_signature(raw: bytes) -> bytes:
    """Return a parameter string as it was before its signature was put into it."""
    if SIGNATURE not in raw:
        return raw
    return b"&".join(pair for pair in raw.split(b"&") if not pair.startswith(SIGNATURE))


class Nonces:
    """The nonces one signer has used."""

    def __init__(self) -> None:
        self._kept: list[int] = []

    def use(self, nonce: int) -> None:
        """Use a nonce, or refuse it as used or expired."""
        place = bisect_left(self._kept, nonce)
        if place < len(self._kept) and self._kept[place] == nonce:
            raise Refusal(-4225, text="Nonce Duplicated")
        if len(self._kept) == NONCES_KEPT:
            if place == 0:
                raise Refusal(-4225)
            del self._kept[0]
        insort(self._kept, nonce)


class Doorkeeper:
    """Tells whose request it is."""

    def __init__(self, venue: Venue, *, chain: int = MAINNET, signature_refusal: int = -1022) -> None:
        """*signature_refusal* is the code for a bad wallet signature; some have seen -1000 from the exchange."""
        self._venue = venue
        self._chain = chain
        self._signature_refusal = signature_refusal
        self._nonces: dict[str, Nonces] = defaultdict(Nonces)

    def account(
        self, version: str, *, api_key: str | None, query: bytes, body: bytes, parameters: Parameters
    ) -> Account:
        """Return the account a signed request acts for; refuse one that is not signed as its path demands."""
        if version == "v3" or (version == "v4" and api_key is None):
            return self._by_wallet(b"&".join(part for part in (query, body) if part), parameters)
        if api_key is None:
            raise Refusal(-2014)
        return self._by_key(api_key, without_signature(query) + without_signature(body), parameters)

    def _by_key(self, api_key: str, signed: bytes, parameters: Parameters) -> Account:
        account = self._venue.ledger.accounts.get(api_key)
        if account is None or account.secret is None:
            raise Refusal(-2015)
        expected = hmac.new(account.secret.encode(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), text(parameters, "signature").lower().encode()):
            raise Refusal(-1022)
        timestamp, window = integer(parameters, "timestamp"), integer(parameters, "recvWindow")
        if timestamp is None:
            raise Refusal(-1102, "timestamp")
        window = DEFAULT_RECV_WINDOW if window is None else window
        if not 0 <= window <= MAX_RECV_WINDOW:
            raise Refusal(-1130, "recvWindow")
        leads = [timestamp - now for now in self._presents()]
        if not any(-window <= lead < MOST_AHEAD for lead in leads):
            if leads[0] >= MOST_AHEAD:
                raise Refusal(-1021, text="Timestamp for this request was 1000ms ahead of the server's time.")
            raise Refusal(-1021)
        return account

    def _by_wallet(self, raw: bytes, parameters: Parameters) -> Account:
        signer, signature = text(parameters, "signer").lower(), text(parameters, "signature")
        nonce = integer(parameters, "nonce")
        if nonce is None:
            raise Refusal(-1102, "nonce")
        message = without_signature(raw)
        if signer not in self._signers(message, signature):
            raise Refusal(self._signature_refusal, text=self._signature_text())
        if not any(abs(nonce - now * 1000) <= NONCE_WINDOW for now in self._presents()):
            raise Refusal(-4225)
        account = self._account_of(signer, parameters.get("user", "").lower())
        self._nonces[signer].use(nonce)
        return account

    def _signers(self, message: bytes, signature: str) -> list[str | None]:
        plain = unquote_plus(message.decode("latin-1")).encode()
        return [signer_of(each, signature, self._chain) for each in dict.fromkeys((message, plain))]

    def _signature_text(self) -> str | None:
        return "Signature check failed" if self._signature_refusal == -1000 else None

    def _account_of(self, signer: str, user: str) -> Account:
        owner = self._venue.ledger.agents.get(signer, signer)
        if user and user != owner:
            if user != signer:
                raise Refusal(-1000, text="No agent found")
            owner = signer
        found = self._venue.ledger.accounts.get(owner)
        return self._venue.open_account(owner) if found is None else found

    def _presents(self) -> tuple[int, int]:
        """Return the market's time and the world's, in milliseconds."""
        return self._venue.now, time.time_ns() // 1_000_000
