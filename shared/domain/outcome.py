"""
What would have become of an entry: a proposal held against the candles that came after it.

The same yardstick for every model, whether its entry was made, refused, or never meant to be made. It is pessimistic
where candles leave a choice: one that touches both the stop and the target ends at the stop, and one that opens beyond
the stop ends there and not at the stop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.decision import Decision
from shared.domain.market import CandleWindow
from shared.domain.position import Direction
from shared.domain.record import Judgement
from shared.domain.risk import ReviewedDecision
from shared.domain.rules import RiskContext

HORIZONS = {"1h": timedelta(hours=1), "4h": timedelta(hours=4), "24h": timedelta(hours=24)}
"""After which the return is told, whatever stop and target say."""

LONGEST = max(HORIZONS.values())
"""What neither stop nor target ended by then counts as left at the price of then."""


class Ending(StrEnum):
    """How an entry would have ended."""

    TARGET = "target"
    STOP = "stop"
    TIME = "time"
    """Neither was touched."""
    UNKNOWN = "unknown"
    """The candles that would tell are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An entry that a model wanted. Prices are floats here: nothing of this is ever traded."""

    direction: Direction
    price: float
    """The mark price that the review saw."""
    stop: float | None
    target: float | None
    taker_fee: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of it. Returns are fractions of the notional, net of the fees of going in and out."""

    ending: Ending
    ended_at: datetime | None = None
    result: float | None = None
    after: Mapping[str, float]
    """The return of leaving at each horizon."""


def proposals(judgement: Judgement, context: RiskContext) -> dict[str, tuple[Proposal, bool]]:
    """Return the entries of *judgement* by asset, each with whether risk let it pass."""
    return {
        each.decision.asset: (_proposal(each, context), each.review.acts)
        for each in judgement.reviewed
        if each.decision.opens and _price(each.decision, context) > 0
    }


def score(proposal: Proposal, candles: CandleWindow, since: datetime) -> Score:
    """Return what became of *proposal*, made at *since*, in the candles of the LONGEST time after it."""
    width = candles.series.timeframe
    places = [place for place, opened in enumerate(candles.opened) if since <= opened < since + LONGEST]
    expected = width.number(width.open_at(since), width.back(width.open_at(since + LONGEST), 1))
    if not places or len(places) < expected - 1:
        return Score(ending=Ending.UNKNOWN, after={})
    after = {}
    for name, span in HORIZONS.items():
        closed = [place for place in places if width.following(candles.opened[place]) <= since + span]
        if closed:
            after[name] = _net(proposal, candles.close[closed[-1]])
    for place in places:
        if (exit_ := _ending(proposal, candles, place)) is not None:
            ending, price = exit_
            ended_at = width.following(candles.opened[place])
            return Score(ending=ending, ended_at=ended_at, result=_net(proposal, price), after=after)
    ended_at = width.following(candles.opened[places[-1]])
    return Score(ending=Ending.TIME, ended_at=ended_at, result=_net(proposal, candles.close[places[-1]]), after=after)


def _ending(proposal: Proposal, candles: CandleWindow, place: int) -> tuple[Ending, float] | None:
    opened, high, low = candles.open[place], candles.high[place], candles.low[place]
    worst, best = (low, high) if proposal.direction is Direction.LONG else (high, low)
    sign = proposal.direction.sign
    if proposal.stop is not None and (proposal.stop - worst) * sign >= 0:
        return Ending.STOP, min(proposal.stop * sign, opened * sign) * sign
    if proposal.target is not None and (best - proposal.target) * sign >= 0:
        return Ending.TARGET, proposal.target
    return None


def _net(proposal: Proposal, price: float) -> float:
    return (price / proposal.price - 1) * proposal.direction.sign - 2 * proposal.taker_fee


def _proposal(each: ReviewedDecision, context: RiskContext) -> Proposal:
    decision, review = each.decision, each.review
    stop = review.stop_loss if review.acts else decision.stop_loss
    target = review.take_profit if review.acts else decision.take_profit
    return Proposal(
        direction=Direction.LONG if decision.action.value == "buy" else Direction.SHORT,
        price=_price(decision, context),
        stop=None if stop is None else float(stop),
        target=None if target is None else float(target),
        taker_fee=float(context.taker_fee),
    )


def _price(decision: Decision, context: RiskContext) -> float:
    quote = context.quotes.get(decision.asset)
    return float(quote.mark_price) if quote else 0.0
