"""
Who we are to the exchange: credentials, and the signatures made with them.

Two generations of its API are alive. The current one is signed by a wallet (EIP-712 over one string: the parameters
exactly as sent) and uses each microsecond nonce once; the older one by an API key and its secret (HMAC-SHA256 of the
same string). A signer turns parameters into the one string that is both signed and sent: whoever sends it must not
encode it again.

Secrets never show in a repr or in an error.
"""

import asyncio
import hashlib
import hmac
import re
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlencode
from uuid import uuid4

from coincurve import PrivateKey
from Crypto.Hash import keccak

from shared.domain.errors import DatabaseUnavailable, NotAuthorised, VenueUnreachable
from shared.domain.market import EPOCH
from shared.domain.nonce import LANE_SECONDS, LANES, MICROSECOND, first_nonce, microseconds
from shared.domain.work import Lanes

MAINNET_CHAIN, TESTNET_CHAIN = 1666, 714

SEND_WINDOW = timedelta(seconds=60)
"""How long after it was signed a request may still take effect. Beyond it, one that never landed never will."""

NONCE_REACH = SEND_WINDOW - timedelta(seconds=10)
"""How far ahead of our time a nonce may be: the exchange's clock may be a little behind ours."""

_REACH = NONCE_REACH // MICROSECOND
_LANE_LASTS = timedelta(seconds=LANE_SECONDS)
_REMEMBERED = 5000
"""Nonces of a signer: more than an address can use up while the exchange would take them."""


@dataclass(frozen=True, slots=True)
class SignerWallet:
    """An API wallet's private key (64 hexadecimal digits) and the network it signs for.

    `user` is the main account's address; without it the exchange finds the account by the signer.
    """

    private_key: str = field(repr=False)
    user: str | None = None
    chain_id: int = MAINNET_CHAIN


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key of the older generation, and its secret."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


Credentials = SignerWallet | ApiKey


@dataclass(frozen=True, slots=True)
class Signed:
    """What to send, byte for byte: `content` is the query of a GET or DELETE and the form body of a POST or PUT."""

    content: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Signer(Protocol):
    """Signs for one account."""

    @property
    def name(self) -> str:
        """What to call it before people; holds no secret."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells its key from any other; holds no secret."""
        ...

    @property
    def modifies_orders(self) -> bool:
        """True where this generation of the API can change a resting order."""
        ...

    def path(self, call: str) -> str:
        """Return the path at which this generation of the API serves *call*, a name as the current one has it."""
        ...

    def sign(self, params: Mapping[str, str], now: datetime) -> Signed:
        """Return *params* in their order, with what proves that they come from us at *now*."""
        ...

    def introduce(self, now: datetime) -> Signed:
        """Return what tells at *now* who we are, where there is nothing to sign."""
        ...


def signer_for(credentials: Credentials) -> Signer:
    """Return the signer that *credentials* make. Raises NotAuthorised when they cannot be credentials at all."""
    return WalletSigner(credentials) if isinstance(credentials, SignerWallet) else KeySigner(credentials)


class Nonces:
    """Numbers used once: microseconds of the exchange's time, strictly increasing per signer, from any thread.

    Once `share` was called they come in a lane that no other process has, so that no two ever give out the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: dict[str, deque[int]] = {}
        self._highest: dict[str, int] = {}
        self._lanes: Lanes | None = None
        self._holder = ""
        self._lane = 0
        self._held: tuple[datetime, datetime] | None = None
        """From when to when the lane is ours."""
        self._asking = asyncio.Lock()

    def share(self, lanes: Lanes) -> None:
        """From now on give out nonces in a lane taken from *lanes*."""
        self._lanes, self._holder, self._held = lanes, uuid4().hex, None
        self._asking = asyncio.Lock()  # of the running loop, as whoever shares is

    async def ready(self, now: datetime) -> None:
        """Hold a lane for a while from *now* on. Raises VenueUnreachable when there is none to be had.

        It is asked for when it is half over: a database that is away for less stops nobody.
        """
        if self._lanes is None or (self._held and self._held[0] <= now < self._held[0] + _LANE_LASTS / 2):
            return
        async with self._asking:
            if self._held and self._held[0] <= now < self._held[0] + _LANE_LASTS / 2:
                return
            held = self._held is not None and self._held[0] <= now < self._held[1]
            try:
                if not (held and await self._lanes.keep(self._lane, self._holder)):
                    self._lane = await self._lanes.take(self._holder)
                self._held = (now, now + _LANE_LASTS)
            except DatabaseUnavailable as exc:
                if not held:
                    raise VenueUnreachable(f"no nonce can be given out that nobody else may use: {exc}") from exc

    async def leave(self, lanes: Lanes) -> None:
        """Take no more lanes from *lanes* and let others have ours."""
        if self._lanes is lanes:
            held, self._lanes, self._held = self._held, None, None
            with suppress(DatabaseUnavailable):
                if held:
                    await lanes.leave(self._lane, self._holder)
            self._lane = 0

    def take(self, signer: str, now: datetime) -> int:
        """Return the next nonce of *signer*.

        Those further ahead than the exchange surely takes were given out by a clock since put right: they bind nobody.
        """
        present = microseconds(now)
        with self._lock:
            given = self._given.setdefault(signer, deque(maxlen=_REMEMBERED))
            latest = self._highest.get(signer, 0)
            misled = latest - present > _REACH
            if misled:
                latest = max((past for past in given if past - present <= _REACH), default=0)
            nonce = first_nonce(self._lane, at_least=max(present, latest + 1))
            while misled and nonce in given:
                nonce += LANES
            given.append(nonce)
            self._highest[signer] = max(nonce, self._highest.get(signer, 0))
        return nonce


NONCES = Nonces()
"""Of the whole process: two signers with one key draw from one sequence."""


def current_path(call: str) -> str:
    """Return the path of *call* in the current generation of the API, which serves public data too."""
    return f"/fapi/v3/{call}"


class WalletSigner:
    """Signs the exchange's typed data `Message(string msg)`, where `msg` is the encoded parameter string."""

    modifies_orders = True

    def __init__(self, wallet: SignerWallet) -> None:
        self._key = _private_key(wallet.private_key)
        if wallet.user is not None and not re.fullmatch("0x[0-9a-fA-F]{40}", wallet.user):
            raise NotAuthorised(f"the account's address must be 0x and 40 hexadecimal digits, not {wallet.user!r}")
        self._user = wallet.user
        self._domain = _domain_separator(wallet.chain_id)
        self.address = _address(self._key)
        self.name = f"signer {self.address} on chain {wallet.chain_id}"
        self.fingerprint = f"{self.address} for {wallet.user}" if wallet.user else self.address

    def path(self, call: str) -> str:
        """Return the path of *call*."""
        return current_path(call)

    def sign(self, params: Mapping[str, str], now: datetime) -> Signed:
        """Return *params* with nonce, user, signer and signature; a new nonce on every call."""
        user = {"user": self._user} if self._user else {}
        nonce = str(NONCES.take(self.address, now))
        message = urlencode({**params, "nonce": nonce, **user, "signer": self.address})
        return Signed(f"{message}&signature=0x{self.signature(message)}")

    def introduce(self, now: datetime) -> Signed:
        """Return a signature of nothing: a wallet has no other way to tell who it is."""
        return self.sign({}, now)

    def signature(self, message: str) -> str:
        """Return r, s and v (27 or 28) of the EIP-712 signature of *message*, as 130 hexadecimal digits."""
        struct = _keccak(_MESSAGE_TYPE + _keccak(message.encode()))
        signed = self._key.sign_recoverable(_keccak(b"\x19\x01" + self._domain + struct), hasher=None)
        return (signed[:64] + bytes([signed[64] + 27])).hex()


_OLDER_PATHS = {
    "accountWithJoinMargin": "/fapi/v4/account",
    "positionRisk": "/fapi/v2/positionRisk",
    "balance": "/fapi/v2/balance",
}


class KeySigner:
    """Signs with HMAC-SHA256 and tells the time in `timestamp`, milliseconds."""

    modifies_orders = False

    def __init__(self, key: ApiKey) -> None:
        if not re.fullmatch("[!-~]+", key.key) or not key.secret:
            raise NotAuthorised("the API key and its secret must be set, without spaces or line breaks")
        self._secret = key.secret.encode()
        self._headers = {"X-MBX-APIKEY": key.key}
        self.name = f"API key {key.key[:4]}…"
        self.fingerprint = hashlib.sha256(key.key.encode()).hexdigest()[:32]

    def path(self, call: str) -> str:
        """Return the path of *call*: the older generation spreads over three versions."""
        return _OLDER_PATHS.get(call, f"/fapi/v1/{call}")

    def sign(self, params: Mapping[str, str], now: datetime) -> Signed:
        """Return *params* with the window, the time and the signature."""
        window = SEND_WINDOW // timedelta(milliseconds=1)
        timestamp = (now - EPOCH) // timedelta(milliseconds=1)
        message = urlencode({**params, "recvWindow": window, "timestamp": timestamp})
        return Signed(f"{message}&signature={self.signature(message)}", self._headers)

    def introduce(self, now: datetime) -> Signed:
        """Return the key alone: the exchange wants no more."""
        return Signed("", self._headers)

    def signature(self, message: str) -> str:
        """Return the HMAC-SHA256 of *message* in lower-case hexadecimal digits."""
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()


def _private_key(text: str) -> PrivateKey:
    try:
        if re.fullmatch("(0x)?[0-9a-fA-F]{64}", text):
            return PrivateKey(bytes.fromhex(text.removeprefix("0x")))
    except ValueError:
        pass  # zero, or beyond the order of the curve
    # Outside the handler: the error must not carry the key along, not even in its cause.
    raise NotAuthorised("the signer's private key must be 64 hexadecimal digits, with or without 0x")


def _keccak(data: bytes) -> bytes:
    return bytes(keccak.new(digest_bits=256, data=data).digest())


_MESSAGE_TYPE = _keccak(b"Message(string msg)")


def _domain_separator(chain_id: int) -> bytes:
    """EIP-712's hash of the domain: name, version, chain and a verifying contract that is the zero address."""
    kind = _keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    return _keccak(kind + _keccak(b"AsterSignTransaction") + _keccak(b"1") + chain_id.to_bytes(32, "big") + bytes(32))


def _address(key: PrivateKey) -> str:
    """Return the Ethereum address of *key*, its checksum in the case of its letters as EIP-55 has it."""
    digits = _keccak(key.public_key.format(compressed=False)[1:])[-20:].hex()
    checksum = _keccak(digits.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(weight, 16) >= 8 else letter for letter, weight in zip(digits, checksum, strict=False)
    )
