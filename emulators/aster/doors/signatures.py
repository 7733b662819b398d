"""
The signatures of the exchange: what is hashed, and whose wallet signed it.

- `Message(string msg)`, typed data (EIP-712) of domain `AsterSignTransaction` version 1: msg is the parameter string.
- Management of agents and builders: typed data of the same domain whose type is named for what is asked
  (`ApproveAgent`) and whose fields are the parameters, each with a capital first letter: booleans `bool`, whole numbers
  `uint256`, all else `string`.
- Until January 2026, and perhaps still: a personal message (EIP-191) of keccak256 of the ABI encoding of
  (string, address user, address signer, uint256 nonce), the string being the other parameters as JSON with sorted keys,
  without spaces, every value a text.

Sources: the exchange's documentation and demo code for API wallets; EIP-191, EIP-712, the contract ABI specification.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from coincurve import PublicKey
from Crypto.Hash import keccak

from ..parameters import Parameters


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
MESSAGE_TYPE = keccak256(b"Message(string msg)")
FLAGS = frozenset({"canSpotTrade", "canPerpTrade", "canWithdraw"})
NUMBERS = frozenset({"expired", "nonce"})
MANAGEMENT: dict[str, tuple[str, ...]] = {
    "ApproveAgent": (
        *("agentName", "agentAddress", "ipWhitelist", "expired", "canSpotTrade", "canPerpTrade", "canWithdraw"),
        *("builder", "maxFeeRate", "builderName"),
    ),
    "UpdateAgent": ("agentAddress", "ipWhitelist", "canSpotTrade", "canPerpTrade", "canWithdraw"),
    "DelAgent": ("agentAddress",),
    "ApproveBuilder": ("builder", "maxFeeRate", "builderName"),
    "UpdateBuilder": ("builder", "maxFeeRate"),
    "DelBuilder": ("builder",),
}
"""The fields of each management message in their order; `asterChain`, `user` and `nonce` follow."""


@lru_cache
def domain_separator(chain: int) -> bytes:
    """Return the hash of the exchange's EIP-712 domain on a chain."""
    name, version = keccak256(b"AsterSignTransaction"), keccak256(b"1")
    return keccak256(DOMAIN_TYPE + name + version + chain.to_bytes(32) + bytes(32))


def digest_of(message: bytes, chain: int) -> bytes:
    """Return what a wallet signs to send a parameter string."""
    return _typed(keccak256(MESSAGE_TYPE + keccak256(message)), chain)


def management_digest(primary_type: str, fields: Sequence[tuple[str, str]], chain: int) -> bytes:
    """Return what a wallet signs to manage its agents and builders; ValueError for a number that is none."""
    types, words = [], []
    for name, value in fields:
        if name in FLAGS:
            kind, word = "bool", (value.lower() == "true").to_bytes(32)
        elif name in NUMBERS:
            kind, word = "uint256", _uint256(value)
        else:
            kind, word = "string", keccak256(value.encode())
        types.append(f"{kind} {name[:1].upper()}{name[1:]}")
        words.append(word)
    kind_hash = keccak256(f"{primary_type}({','.join(types)})".encode())
    return _typed(keccak256(kind_hash + b"".join(words)), chain)


def management_fields(primary_type: str, parameters: Parameters) -> list[list[tuple[str, str]]]:
    """Return the fields of a management message, in the documented order and in the order they were sent."""
    sent = [pair for pair in parameters.items() if pair[0] not in {"signature", "signatureChainId", "signer"}]
    order = (*MANAGEMENT[primary_type], "asterChain", "user", "nonce")
    return [[(name, parameters[name]) for name in order if name in parameters], sent]


def legacy_digest(parameters: Parameters) -> bytes:
    """Return what a wallet signed in 2025 to send parameters; ValueError for addresses or a nonce that are none."""
    business = {
        name: value for name, value in parameters.items() if name not in {"user", "signer", "nonce", "signature"}
    }
    text = json.dumps(business, sort_keys=True, separators=(",", ":")).encode()
    user, signer = (_address_word(parameters[name]) for name in ("user", "signer"))
    head = (4 * 32).to_bytes(32) + user + signer + _uint256(parameters["nonce"])
    packed = keccak256(head + len(text).to_bytes(32) + text + bytes(-len(text) % 32))
    return keccak256(b"\x19Ethereum Signed Message:\n32" + packed)


def signer_of(digest: bytes, signature: str) -> str | None:
    """
    Return the address, 0x and lower case, whose wallet signed a digest, or nothing if no wallet did.

    A signature is r, s and v in hex of any case, with or without 0x; v is 0, 1, 27 or 28.
    """
    try:
        raw = bytes.fromhex(signature.removeprefix("0x").removeprefix("0X"))
        if len(raw) != 65 or raw[64] not in (0, 1, 27, 28):
            return None
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] % 27]), digest, hasher=None)
    except ValueError:
        return None
    return address_of(key)


def address_of(key: PublicKey) -> str:
    """Return the address of a public key, 0x and lower case."""
    return "0x" + keccak256(key.format(compressed=False)[1:])[-20:].hex()


def _typed(struct: bytes, chain: int) -> bytes:
    return keccak256(b"\x19\x01" + domain_separator(chain) + struct)


def _uint256(number: str) -> bytes:
    if not (number.isascii() and number.isdigit() and len(number) <= 30):
        raise ValueError(f"{number!r} is no whole number")
    return int(number).to_bytes(32)


def _address_word(address: str) -> bytes:
    raw = bytes.fromhex(address.removeprefix("0x"))
    if len(raw) != 20:
        raise ValueError(f"{address!r} is no address")
    return bytes(12) + raw
