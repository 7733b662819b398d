"""
Who is asking: HMAC signatures of API keys and signatures of wallets.

All are checked against the bytes that were received, never against a re-encoded copy, for clients encode in many ways.

- API keys (paths of the first generation): hex HMAC-SHA256, under the key's secret, of the query string immediately
  followed by the body, both without the signature; a `timestamp` in milliseconds not older than `recvWindow` (5000, at
  most 60000) and less than a second ahead.
- Wallets (v3): the parameter string signed as in `signatures`, by the account's own wallet or by an agent it has
  approved. Instead of a timestamp there is a `nonce` in microseconds, within sixty seconds of the venue's time, that
  this signer has not used. `Settings` says what else is taken, and how a refusal is worded.
- Management (`approveAgent` and its like): signed by the account's own wallet, with a type of its own.

An agent may come from the addresses of its whitelist alone, until it expires, and without `canPerpTrade` it may look
but not trade. A paper market may live in another year than its clients, so a timestamp or nonce of the real present is
as good as one of the market's.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from ..errors import Refusal
from ..holdings.accounts import Account
from ..parameters import Parameters, integer, text
from ..venue import Venue
from .calls import Endpoint
from .settings import Settings
from .signatures import digest_of, legacy_digest, management_digest, management_fields, signer_of

MAINNET, TESTNET = 1666, 714
SIGNATURE = b"signature="
DEFAULT_RECV_WINDOW, MAX_RECV_WINDOW = 5_000, 60_000
MOST_AHEAD = 1_000
LEGACY_FIELDS = frozenset({"user", "signer", "timestamp"})
WITHOUT_EFFECT = frozenset({"listenKey", "noop"})
"""What an agent that may not trade may still do with a method other than GET."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What a signed request shows of its sender."""

    endpoint: Endpoint
    version: str
    api_key: str | None
    query: bytes
    body: bytes
    parameters: Parameters
    address: str
    """Where it comes from."""


class Doorkeeper:
    """Tells whose request it is."""

    def __init__(self, venue: Venue, settings: Settings, *, chain: int) -> None:
        self._venue = venue
        self._register = venue.register
        self._settings = settings
        self._chain = chain

    def account(self, letter: Letter, *, skew: int = 0) -> Account:
        """
        Return the account a signed request acts for; refuse one that is not signed as its path demands.

        *skew* is how many milliseconds the venue's clock is ahead.
        """
        if letter.version == "v3" or (letter.version == "v4" and letter.api_key is None):
            return self._by_wallet(letter, skew)
        if letter.api_key is None:
            raise Refusal(-2014)
        account = self._venue.ledger.accounts.get(letter.api_key)
        if account is None or account.secret is None:
            raise Refusal(-2015)
        if not letter.endpoint.by_key:
            self._refuse_unsigned(letter, account.secret, skew)
        return account

    def _refuse_unsigned(self, letter: Letter, secret: str, skew: int) -> None:
        """Refuse what is not signed with a key's secret, or not in time."""
        signed = without_signature(letter.query) + without_signature(letter.body)
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), text(letter.parameters, "signature").lower().encode()):
            raise Refusal(-1022)
        self._refuse_out_of_time(letter.parameters, skew)

    def _refuse_out_of_time(self, parameters: Parameters, skew: int) -> None:
        timestamp, window = integer(parameters, "timestamp"), integer(parameters, "recvWindow")
        if timestamp is None:
            raise Refusal(-1102, "timestamp")
        window = DEFAULT_RECV_WINDOW if window is None else window
        if not 0 <= window <= MAX_RECV_WINDOW:
            raise Refusal(-1130, "recvWindow")
        leads = [timestamp - now for now in self._presents(skew)]
        if not any(-window <= lead < MOST_AHEAD for lead in leads):
            if leads[0] >= MOST_AHEAD:
                raise Refusal(-1021, text="Timestamp for this request was 1000ms ahead of the server's time.")
            raise Refusal(-1021)

    def _by_wallet(self, letter: Letter, skew: int) -> Account:
        parameters, signature = letter.parameters, text(letter.parameters, "signature")
        signer = text(parameters, "user" if letter.endpoint.signed_by_owner else "signer").lower()
        nonce = integer(parameters, "nonce")
        if nonce is None:
            raise Refusal(-1102, "nonce")
        if self._legacy_signer(parameters, signature) == signer:
            self._refuse_out_of_time(parameters, skew)
        elif not any(signer_of(digest, signature) == signer for digest in self._digests(letter)):
            checked = "Signature check failed" if self._settings.signature_refusal == -1000 else None
            raise Refusal(self._settings.signature_refusal, text=checked)
        window = self._settings.nonce_window_ms * 1000
        if not any(abs(nonce - now * 1000) <= window for now in self._presents(skew)):
            raise self._expired()
        account = self._account_of(signer, letter)
        if (trouble := self._register.use_nonce(signer, nonce)) == "expired":
            raise self._expired()
        if trouble:
            raise Refusal(self._settings.duplicate_nonce, text="Nonce Duplicated")
        return account

    def _legacy_signer(self, parameters: Parameters, signature: str) -> str | None:
        """Return whose signature of 2025 it is, if it may be one."""
        if not self._settings.legacy_signatures or not parameters.keys() >= LEGACY_FIELDS:
            return None
        try:
            return signer_of(legacy_digest(parameters), signature)
        except ValueError:
            return None

    def _digests(self, letter: Letter) -> Iterator[bytes]:
        """Yield what the signer may have signed, the likeliest first."""
        parameters, endpoint = letter.parameters, letter.endpoint
        chain = self._chain
        if endpoint.signed_by_owner and (named := integer(parameters, "signatureChainId")) is not None:
            chain = max(0, named)
        if endpoint.message:
            for fields in management_fields(endpoint.message, parameters):
                try:
                    yield management_digest(endpoint.message, fields, chain)
                except ValueError:
                    continue
            return
        message = without_signature(b"&".join(part for part in (letter.query, letter.body) if part))
        yield digest_of(message, chain)
        if self._settings.unencoded_signatures:
            yield digest_of(unquote_plus(message.decode("latin-1")).encode(), chain)

    def _expired(self) -> Refusal:
        return Refusal(self._settings.expired_nonce, text="Nonce Expired")

    def _account_of(self, signer: str, letter: Letter) -> Account:
        """Return the account a signer may act for here."""
        user = letter.parameters.get("user", "").lower()
        agent = self._register.agent(signer, user)
        if agent is None and user not in ("", signer):
            raise Refusal(-1000, text="No agent found")
        if agent is not None:
            if agent.expires <= self._venue.now:
                raise Refusal(-1000, text="No agent found")
            endpoint = letter.endpoint
            trades = endpoint.method != "GET" and endpoint.name not in WITHOUT_EFFECT
            if not agent.may_come_from(letter.address) or (trades and not agent.can_perp):
                raise Refusal(-2015)
        owner = signer if agent is None else agent.owner
        found = self._venue.ledger.accounts.get(owner)
        if found is not None:
            return found
        if not (self._settings.newcomers or letter.endpoint.opens_account):
            raise Refusal(-1000, text="No agent found")
        return self._venue.open_account(owner)

    def _presents(self, skew: int) -> tuple[int, int]:
        """Return the market's time and the world's, in milliseconds."""
        return self._venue.now + skew, time.time_ns() // 1_000_000 + skew


def without_signature(raw: bytes) -> bytes:
    """Return a parameter string as it was before its signature was put into it."""
    if SIGNATURE not in raw:
        return raw
    return b"&".join(pair for pair in raw.split(b"&") if not pair.startswith(SIGNATURE))
