"""
What an account may do, and which way of changing that is more: more takes time, or a second person's word.

Pure: an account as it is and as it is wanted go in; what is in force at once, and what has to wait, come out. Every
limit stands in a table with the way in which it becomes looser; a test fails when one is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.account import Account, Grounding
from shared.domain.market import EPOCH
from shared.domain.model import ModelOptions


class Way(StrEnum):
    """How a limit becomes looser."""

    UP = "up"
    """More is looser, and None is without end."""
    DOWN = "down"
    """Less is looser."""
    WIDER = "wider"
    """A member more is looser."""
    NARROWER = "narrower"
    """A member fewer is looser."""
    OTHER = "other"
    """Nobody can say: every change counts as looser."""
    FREE = "free"
    """It limits nothing."""


LIMITS: Mapping[str, Way] = {
    "max_leverage": Way.UP,
    "max_position_fraction": Way.UP,
    "max_exposure_fraction": Way.UP,
    "max_positions": Way.UP,
    "risk_per_trade": Way.UP,
    "min_margin_left": Way.DOWN,
    "min_stop_distance": Way.DOWN,
    "max_stop_distance": Way.UP,
    "min_reward_to_risk": Way.DOWN,
    "min_confidence": Way.DOWN,
    "max_daily_loss": Way.UP,
    "max_drawdown": Way.UP,
    "cooldown": Way.DOWN,
    "flip_cooldown": Way.DOWN,
    "max_funding_rate": Way.UP,
    "grounding": Way.DOWN,
    "holding_time": Way.DOWN,
    "max_spread": Way.UP,
    "max_price_move": Way.UP,
    "max_quote_age": Way.UP,
    "min_flip_confidence": Way.DOWN,
    "max_entries_per_day": Way.UP,
    "max_flips_per_day": Way.UP,
    "clip": Way.WIDER,  # what is cut down would else be refused
    "max_exposure_held": Way.UP,
    "max_losses_in_a_row": Way.UP,
    "max_model_failures": Way.UP,
    "max_order_refusals": Way.UP,
    "global_max_daily_loss": Way.UP,
    "global_max_drawdown": Way.UP,
    "global_max_exposure_fraction": Way.UP,
    "global_max_exposure_held": Way.UP,
    "cool_off": Way.DOWN,
    "lift_next_day": Way.OTHER,  # the next day may come sooner or later than the end of a cool-off
    "lift_by_hand": Way.NARROWER,
    "flatten_on": Way.NARROWER,
}
"""Of RiskLimits."""

MODEL: Mapping[str, Way] = {field.name: Way.FREE for field in fields(ModelOptions)} | {"daily_budget": Way.UP}
"""Of ModelOptions: how a model is asked limits nothing, what it may cost does."""

ACCOUNT: Mapping[str, Way] = {
    "id": Way.FREE,
    "symbols": Way.WIDER,
    "timeframes": Way.FREE,
    "interval": Way.FREE,  # max_entries_per_day limits how often it trades
    "model": Way.FREE,
    "fallback_models": Way.FREE,
    "leverage": Way.UP,
    "authority_until": Way.UP,
    "status": Way.FREE,
}
"""Of Account, but for its limits and the options of its model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms an account gets more: after *delay*, where there is any, and for as long as *lasts*.

    `mode` names whose exchange it is for: authority over one is none over another.
    """

    mode: str
    delay: timedelta = timedelta(0)
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What of a wanted configuration is in force at once, and in words what of it has to wait."""

    now: Account
    raises: tuple[str, ...] = ()


def judge(current: Account, wanted: Account) -> Judged:
    """Return *wanted* with every limit that it would loosen left as it is in *current*.

    Where none of the symbols that are wanted was allowed before, those of *current* stay until the others may come.
    """
    raises: list[str] = []
    limits = _tighter(LIMITS, current.limits, wanted.limits, "risk.", raises)
    options = _tighter(MODEL, current.model_options, wanted.model_options, "llm.", raises)
    if wanted.authority_until is None:  # nothing is said of it
        wanted = replace(wanted, authority_until=current.authority_until)
    tight = _tighter(ACCOUNT, current, wanted, "", raises)
    now = replace(tight, limits=limits, model_options=options, symbols=tight.symbols or current.symbols)
    return Judged(now=now, raises=tuple(raises))


def granted(wanted: Account, current: Account, now: datetime, terms: Terms, *, adds: bool) -> Account:
    """Return *wanted* as it is in force from *now* on. Its authority ends when the *terms* say, if not sooner.

    Where nothing is said of its authority it has the longest if it *adds* an account, and else what it has.
    """
    until = wanted.authority_until
    if terms.lasts is not None:
        latest = now + terms.lasts
        until = min(until, latest) if until else (latest if adds else current.authority_until)
    return replace(wanted, authority_until=until, status=current.status)


def _tighter(ways: Mapping[str, Way], current: Any, wanted: Any, prefix: str, raises: list[str]) -> Any:
    kept = {}
    for name, way in ways.items():
        before, after = getattr(current, name), getattr(wanted, name)
        if is_looser(way, before, after):
            raises.append(f"{prefix}{name}: {_said(before)} to {_said(after)}")
            kept[name] = _kept(way, before, after)
    return replace(wanted, **kept) if kept else wanted


def is_looser(way: Way, before: Any, after: Any) -> bool:
    """Say whether *after* allows something that *before* does not."""
    match way:
        case Way.UP:
            return before is not None and (after is None or after > before)
        case Way.DOWN:
            return bool(_rank(after) < _rank(before))
        case Way.WIDER:
            return not {*after} <= {*before}
        case Way.NARROWER:
            return not {*before} <= {*after}
        case Way.OTHER:
            return {*before} != {*after}
        case Way.FREE:
            return False


def _kept(way: Way, before: Any, after: Any) -> Any:
    """Return as much of *after* as is not looser than *before*."""
    match way:
        case Way.WIDER:
            return tuple(member for member in after if member in before)
        case Way.NARROWER:
            return (*after, *(member for member in before if member not in after))
        case _:
            return before


def _rank(value: Any) -> Any:
    return list(Grounding).index(value) if isinstance(value, Grounding) else value


def _said(value: Any) -> str:
    match value:
        case tuple():
            return ", ".join(map(str, value)) or "none"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M} UTC"
        case None:
            return "no limit"
        case _:
            return str(value)


class ChangeState(StrEnum):
    """Where a change stands that has to wait."""

    PENDING = "pending"
    APPLIED = "applied"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    """Something else was wanted before it was in force."""


class ChangeKind(StrEnum):
    """What a change would allow."""

    ADD = "add"
    """To trade at all."""
    RAISE = "raise"
    """More than now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be allowed to an account and is not yet: from `due_at` on, or once two people are for it."""

    id: int
    account_id: str
    kind: ChangeKind
    wanted: Account
    raises: tuple[str, ...]
    proposed_by: str
    proposed_at: datetime
    due_at: datetime
    words: tuple[str, ...]
    """Who is for it; not the configuration, which is nobody."""
    state: ChangeState


NEVER = EPOCH
"""Until when an account has authority that was never given any: no clock that is wrong makes more of it."""

NO_AUTHORITY = "no authority"
"""How the reason begins for which an account without authority is paused: with authority it trades again."""

ENOUGH_WORDS = 2
CONFIGURATION = "the configuration"
"""Who proposes what stands in the configuration of a process: it has no word of its own."""
