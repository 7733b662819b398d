"""
What can go wrong, and what the caller does next.

PerpetuaError
├── VenueError                  the exchange, or the way to it
│   ├── VenueUnreachable        nothing was done: try again
│   ├── RateLimited             nothing was done: wait `retry_after` seconds, then try again
│   ├── ClockSkewed             nothing was done: synchronise the clock, then try again
│   ├── OutcomeUnknown          it may have happened: look it up before anything else
│   └── Refused                 nothing was done and trying again will not help
│       ├── NotAuthorised       the credentials are wrong: halt this account, leave the others alone
│       ├── InsufficientMargin  the account cannot carry the order
│       ├── InstrumentChanged   the contract does not take such an order, now at least: look at its filters afresh
│       ├── NotFillable         the book has no room for it now: price it anew, or leave it
│       ├── WouldTrigger        the stop's price has already been passed: act now instead
│       ├── NothingToReduce     there is no position left to reduce or close, or not as much: look at the holdings
│       ├── OrderNotFound       the exchange knows no such order
│       ├── PositionModeChanged the order was written for the other position mode: look at the holdings again
│       └── NoChangeNeeded      it is already as asked: treat as success
├── ModelError                  the model, or the way to it
│   ├── ModelUnavailable        try again, or ask the next model
│   ├── ModelRefused            trying again will not help: ask the next model
│   │   └── ModelClosed         the service lets this key in no longer, or not now: ask nobody for now
│   ├── UnusableReply           the model answered something we will not trade on
│   ├── NoRoomToAnswer          its thoughts took all the tokens: ask it once with more of them
│   └── BadQuestion             a model asked for something that cannot be looked up: tell it so
├── StageBusy                   another copy is at work on this account: stand by
├── StaleRequest                the tick is too old to act on
├── LeaseLost                   another copy took over: stop writing
├── UnknownAccount              no such account
├── AccountExists               one of that name is there already
├── AccountChanged              somebody else was faster: look at it again
├── ForeignBooks                the database holds the books of another exchange, or of another wallet: use its own
├── NotFlat                     something is held, rests or is in doubt: close it first
├── PositionUnprotected         a position stands without a stop and could not be closed: reconcile again at once
├── DatabaseUnavailable         nothing was committed, or it is not known: try the whole again, the keys make it safe
├── BadCursor                   no page begins there: begin with the first
│   └── CursorTooOld            something that came after it is gone: look at how things are now, go on from there
├── BadRequest                  what was asked for cannot be done: the message says why, and what to ask for
├── UnknownRecord               no decision of that name is on record, or several are
├── UnknownToken                no such token
├── RecordBroken                the record of a decision is not as it was written: `problems` says what of it
└── MarketDataUnusable          prices are stale, gappy or missing: do not decide on them
"""


class PerpetuaError(Exception):
    """The root of every failure we have a name for."""


class VenueError(PerpetuaError):
    """The exchange, or the way to it, failed. `code` is the exchange's own, when it gave one."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class VenueUnreachable(VenueError):
    """Nothing was done: try again."""


class RateLimited(VenueError):
    """Nothing was done: wait, then try again."""

    def __init__(self, message: str, *, code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class ClockSkewed(VenueError):
    """Nothing was done because our time is not theirs: synchronise, then try again."""


class OutcomeUnknown(VenueError):
    """It may have happened: look it up before anything else."""


class Refused(VenueError):
    """Nothing was done, and trying again will not help."""


class NotAuthorised(Refused):
    """The credentials are wrong, revoked or of another network."""


class InsufficientMargin(Refused):
    """The account cannot carry the order."""


class InstrumentChanged(Refused):
    """The contract does not take such an order, now at least: its filters or its status are not what we thought."""


class NotFillable(Refused):
    """The book has no room for the order: one that may not take would, one that must fill at once cannot."""


class WouldTrigger(Refused):
    """The trigger price has already been passed: act now instead of waiting for it."""


class NothingToReduce(Refused):
    """There is no position left to reduce or close, or not as much of it."""


class OrderNotFound(Refused):
    """The exchange knows no such order. On its own, no proof that it never landed."""


class PositionModeChanged(Refused):
    """The order was written for one-way mode and the account is in hedge mode, or the reverse: look at it again."""


class NoChangeNeeded(Refused):
    """It is already as asked: treat as success."""


class ModelError(PerpetuaError):
    """The model, or the way to it, failed. `reply` is what there was of one, JSON-ready.

    `lost` when an answer may have been made, and charged, that never came.
    """

    def __init__(self, message: str, *, lost: bool = False, reply: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.lost = lost
        self.reply = reply or {}


class ModelUnavailable(ModelError):
    """Try again, or ask the next model."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        lost: bool = False,
        reply: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, lost=lost, reply=reply)
        self.retry_after = retry_after


class ModelRefused(ModelError):
    """Trying again will not help: ask the next model."""


class ModelClosed(ModelRefused):
    """The service does not let this key in, or its credit is spent: no model behind it will answer for now."""


class UnusableReply(ModelError):
    """The model answered something we will not trade on: `code` says why to machines, the message to people."""

    def __init__(self, message: str, *, code: str = "no_answer") -> None:
        super().__init__(message)
        self.code = code


class NoRoomToAnswer(ModelError):
    """The model's thoughts took all the tokens that its answer could have: ask it once with more of them."""


class BadQuestion(ModelError):
    """A model asked for something that cannot be looked up. The message is for the model."""


class StageBusy(PerpetuaError):
    """Another copy is at work on this account: stand by."""


class StaleRequest(PerpetuaError):
    """The tick is too old to act on."""


class LeaseLost(PerpetuaError):
    """Another copy took over while we were away: stop writing."""


class UnknownAccount(PerpetuaError):
    """No account has this name."""


class AccountExists(PerpetuaError):
    """An account of that name is there already."""


class AccountChanged(PerpetuaError):
    """Somebody has changed the account since it was looked at: look again."""


class ForeignBooks(PerpetuaError):
    """The database holds the books of another exchange, or the account's are of another wallet: nothing was done."""


class NotFlat(PerpetuaError):
    """The account holds something, or something of it rests or is in doubt; the message says what."""


class PositionUnprotected(PerpetuaError):
    """A position stands without a stop and could not be closed either: reconcile again at once."""


class DatabaseUnavailable(PerpetuaError):
    """The database cannot be reached, or gave up on the transaction: try the whole again, the keys make it safe."""


class BadCursor(PerpetuaError):
    """No page of the list begins there: begin with the first one."""


class CursorTooOld(BadCursor):
    """Something that came after it is gone: look at how things are now, and go on from there."""


class BadRequest(PerpetuaError):
    """What was asked for cannot be done. The message says why, and what to ask for."""


class UnknownRecord(PerpetuaError):
    """No decision of that name is on record, or several are."""


class UnknownToken(PerpetuaError):
    """No token has this number."""


class RecordBroken(PerpetuaError):
    """The record of a decision is not as it was written. `problems` names each part that is missing or was changed."""

    def __init__(self, message: str, problems: tuple[str, ...]) -> None:
        super().__init__(message)
        self.problems = problems


class MarketDataUnusable(PerpetuaError):
    """Prices are stale, gappy or missing: do not decide on them."""
