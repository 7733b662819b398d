"""
API keys: what each has spent and may spend.

Any key is good until the administration says otherwise; it is known by its digest alone, and never shown again.
Days, weeks (from Monday) and months are UTC, by the emulator's clock.
"""

import hashlib
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from emulators.openrouter.clock import Clock, period_end, period_start
from emulators.openrouter.errors import ServiceError
from emulators.openrouter.faults import key_limit_exceeded
from emulators.openrouter.wire import Json

PERIODS = ("daily", "weekly", "monthly")
FREE_PER_MINUTE = 20
FREE_PER_DAY, FREE_PER_DAY_WITH_CREDIT = 50, 1000
CREDIT_FOR_MORE = 10
USUAL_CREDITS = Decimal(1_000_000)


@dataclass(slots=True, kw_only=True)
class Key:
    """One key. *limit* is in USD per *reset*, or once and for all."""

    limit: Decimal | None = None
    reset: str | None = None
    exhausted_status: int = 403
    disabled: bool = False
    spent: defaultdict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    free_calls: deque[int] = field(default_factory=deque)

    def usage(self, clock: Clock, period: str | None = None) -> Decimal:
        """What was spent in the current *period*, or ever."""
        first = period_start(clock.date(), period).date() if period else date.min
        return sum((amount for day, amount in self.spent.items() if day >= first), Decimal(0))

    def remaining(self, clock: Clock) -> Decimal | None:
        return None if self.limit is None else max(Decimal(0), self.limit - self.usage(clock, self.reset))


@dataclass(slots=True)
class Keys:
    """All keys, and the account's credit they share."""

    clock: Clock
    credits: Decimal = USUAL_CREDITS
    _keys: defaultdict[str, Key] = field(default_factory=lambda: defaultdict(Key))

    def of(self, secret: str) -> Key:
        return self._keys[hashlib.sha256(secret.encode()).hexdigest()]

    def total_usage(self) -> Decimal:
        return sum((key.usage(self.clock) for key in self._keys.values()), Decimal(0))

    def charge(self, secret: str, amount: Decimal) -> None:
        self.of(secret).spent[self.clock.date().date()] += amount

    def refuse_disabled(self, secret: str) -> None:
        if self.of(secret).disabled:
            raise ServiceError(401, "User not found.")

    def refuse_spent(self, secret: str) -> None:
        """Refuse a key that has reached its limit."""
        key = self.of(secret)
        if key.limit is None or key.remaining(self.clock):
            return
        spent = key.usage(self.clock, key.reset)
        raise key_limit_exceeded(key.exhausted_status, str(key.limit), str(spent), self._resets_at(key))

    def refuse_unaffordable(self, prompt: Decimal, per_token: Decimal, max_tokens: int) -> None:
        """Refuse what the account's credit does not cover, counted as if every token of *max_tokens* were written."""
        left = self.credits - self.total_usage() - prompt
        if left >= per_token * max_tokens and left > 0:
            return
        affordable = max(0, int(left / per_token)) if per_token else 0
        message = (
            "This request requires more credits, or fewer max_tokens. "
            f"You requested up to {max_tokens} tokens, but can only afford {affordable}."
        )
        raise ServiceError(402, message)

    def count_free_call(self, secret: str) -> None:
        """Count a call of a free variant, or refuse it for the platform's limits."""
        key, now = self.of(secret), self.clock.now()
        today = period_start(self.clock.date(), "daily").timestamp()
        calls = key.free_calls
        while calls and calls[0] < min(today, now - 60):
            calls.popleft()
        last_minute = [each for each in calls if each > now - 60]
        if len(last_minute) >= FREE_PER_MINUTE:
            _limit_free("free-models-per-min", FREE_PER_MINUTE, last_minute[0] + 60)
        if sum(each >= today for each in calls) >= self._free_per_day():
            _limit_free("free-models-per-day", self._free_per_day(), int(today) + 86_400)
        calls.append(now)

    def _free_per_day(self) -> int:
        return FREE_PER_DAY_WITH_CREDIT if self.credits >= CREDIT_FOR_MORE else FREE_PER_DAY

    def _resets_at(self, key: Key) -> str | None:
        return period_end(self.clock.date(), key.reset).isoformat() if key.reset else None

    def record(self, secret: str) -> Json:
        """The answer of `GET /key`, without its `data` envelope."""
        key = self.of(secret)
        used = sum(each >= period_start(self.clock.date(), "daily").timestamp() for each in key.free_calls)
        budget = self._budget(key)
        return {
            "label": "emulated",
            "limit": key.limit,
            "limit_remaining": key.remaining(self.clock),
            "limit_reset": key.reset,
            "include_byok_in_limit": False,
            "usage": key.usage(self.clock),
            **{f"usage_{period}": key.usage(self.clock, period) for period in PERIODS},
            **dict.fromkeys(("byok_usage", *(f"byok_usage_{period}" for period in PERIODS)), 0),
            "is_free_tier": self.credits < CREDIT_FOR_MORE,
            "is_management_key": False,
            "is_provisioning_key": False,
            "creator_user_id": None,
            "organization_id": None,
            "workspace_id": None,
            "expires_at": None,
            "allowed_data_regions": [],
            "budgets": [budget] if budget else [],
            "effective_budget": budget,
            "free_model_daily_requests": {
                "used": used,
                "limit": self._free_per_day(),
                "remaining": max(0, self._free_per_day() - used),
            },
            "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
        }

    def _budget(self, key: Key) -> Json | None:
        if key.limit is None:
            return None
        return {
            "scope": "key_limit",
            "limit_usd": key.limit,
            "spend_usd": key.usage(self.clock, key.reset),
            "remaining_usd": key.remaining(self.clock),
            "reset_interval": key.reset,
            "resets_at": self._resets_at(key),
            "include_byok": False,
            "budget_id": None,
            "guardrail_id": None,
        }

    def change(self, document: object) -> None:
        """Carry out an order of `POST /emulator/keys`; a `ServiceError` of status 400 says what is wrong with it."""
        known = {"key", "limit", "limit_reset", "exhausted_status", "disabled"}
        if not isinstance(document, dict) or not isinstance(document.get("key"), str) or not document["key"]:
            _refuse("key must be the API key to change")
        if unknown := sorted(document.keys() - known):
            _refuse(f"unknown field {unknown[0]}; known are {', '.join(sorted(known))}")
        if document.get("limit_reset") not in (None, *PERIODS):
            _refuse(f"limit_reset must be null or one of {', '.join(PERIODS)}")
        if document.get("exhausted_status", 403) not in (402, 403):
            _refuse("exhausted_status must be 402 or 403")
        if not isinstance(document.get("disabled", False), bool):
            _refuse("disabled must be true or false")
        key = self.of(document["key"])
        if "limit" in document:
            key.limit = None if document["limit"] is None else dollars(document["limit"], "limit")
        key.reset = document.get("limit_reset", key.reset)
        key.exhausted_status = document.get("exhausted_status", key.exhausted_status)
        key.disabled = document.get("disabled", key.disabled)


def dollars(value: Any, name: str) -> Decimal:
    """An amount in USD from a JSON number or its text."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        _refuse(f"{name} must be an amount in USD")
    return amount


def _limit_free(what: str, limit: int, reset: int) -> NoReturn:
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(reset * 1000),
    }
    raise ServiceError(429, f"Rate limit exceeded: {what}", metadata={"headers": headers}, headers=headers)


def _refuse(message: str) -> NoReturn:
    raise ServiceError(400, message)
