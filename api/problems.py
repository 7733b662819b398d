"""
The catalogue of problems: what each code means, and what whoever meets it can do.

A problem document names its code, and its `type` points here: the page `/docs/problems`. Codes stay as they are while
words change; a test holds that nothing is answered that does not stand here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PAGE = "/docs/problems"


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of problem: the status it is answered with, what it is, and the way out."""

    status: int
    title: str
    remedy: str


_LOG = "The log has the reason under the X-Request-Id of the answer."
_VENUE = "The next cycle tries again by itself. Where it stays, see the log, and the exchange's own status page."
_MODEL = "Open positions stay protected, and the next cycle asks again. Where it stays, see /llm-interactions."

CATALOGUE: Mapping[str, Entry] = {
    # ---- the request itself
    "bad_parameter": Entry(400, "A parameter cannot be read", "`parameter` names it, and `detail` says what it takes."),
    "bad_json": Entry(400, "The body is not JSON", "Send JSON in UTF-8."),
    "bad_body": Entry(400, "The body does not fit", "`field` names what does not, and `detail` says what is taken."),
    "body_incomplete": Entry(400, "The connection ended before the body did", "Send the request again."),
    "bad_invocation_type": Entry(
        400, "Only synchronous invocations are served", "Leave X-Amz-Invocation-Type out, or say RequestResponse."
    ),
    "body_too_slow": Entry(408, "The body did not come in time", "Send it at once."),
    "body_too_large": Entry(413, "The body is too large", "Send less."),
    "unsupported_media_type": Entry(415, "The body is of another kind", "Send Content-Type: application/json."),
    "bad_event": Entry(422, "The event names no cycle", 'Send {"account": "main"}; `detail` says what is wrong.'),
    "bad_request": Entry(422, "What is asked for makes no sense", "`detail` says why, and what would."),
    "bad_account": Entry(422, "The account cannot work like that", "`detail` has a line for each problem."),
    "not_confirmed": Entry(422, "The confirmation does not fit", "Write the account's id as `confirm`."),
    "stale_request": Entry(
        422, "That tick is not to be served", "It is too old or has not come: leave `tick` out for the present one."
    ),
    # ---- who may
    "token_missing": Entry(401, "No token", "Send the header Authorization: Bearer TOKEN, or log in: POST /session."),
    "token_wrong": Entry(401, "The token is not good", "It is mistyped, was revoked or has expired: use another."),
    "session_ended": Entry(401, "The session has ended", "Log in again: POST /session."),
    "foreign_host": Entry(403, "Only this machine is served", "Send a token, or ask for localhost."),
    "foreign_origin": Entry(403, "Another site may not ask for this", "Send a token, or use a page of our own."),
    "scope_too_small": Entry(403, "The token may not do that", "Use a token with the scope that `detail` names."),
    "wrong_account": Entry(403, "The token is for another account", "Use a token of that account, or one for all."),
    "keys_of_the_house": Entry(
        403, "A token of one account names no keys", "Ask an admin of all accounts, or leave the keys as they are."
    ),
    "too_many_attempts": Entry(429, "Too many wrong tokens", "Wait as long as Retry-After says; mind the token."),
    "too_many_requests": Entry(429, "Too many requests", "Wait as long as Retry-After says, and ask less often."),
    # ---- once and no more
    "bad_idempotency_key": Entry(400, "The Idempotency-Key cannot be used", "Send a UUID."),
    "idempotency_key_reused": Entry(422, "The Idempotency-Key was another request's", "Draw a new one for each."),
    "idempotency_under_way": Entry(409, "The first such request is under way", "Wait, then send it again."),
    "idempotency_cut_short": Entry(
        409, "It may have been done", "Look whether it was, in /audit too; if it was not, ask anew under a new key."
    ),
    # ---- streams: the close code is 4000 and the status
    "token_ended": Entry(401, "The token or the session has ended", "Log in again, and come back with the cursor."),
    "unexpected_message": Entry(400, "A stream takes no messages", "Ask by the query string when you open it."),
    "slow_reader": Entry(408, "The reader did not keep up", "Come back with the last cursor: nothing is lost."),
    "too_many_streams": Entry(503, "As many streams are open as may be", "Come back later, with the cursor."),
    "unknown_symbol": Entry(404, "No account trades that", "`detail` names what is traded."),
    # ---- what is not there, or not as it would have to be
    "no_such_path": Entry(404, "There is nothing here", "See /docs for what there is."),
    "no_such_stage": Entry(404, "There is no such stage", "`detail` names those there are."),
    "unknown_account": Entry(404, "There is no such account", "See /accounts for those there are."),
    "unknown_record": Entry(404, "There is no such decision", "See /decisions: `cycle` names each."),
    "unknown_token": Entry(404, "There is no such token", "See /tokens: `id` names each."),
    "unknown_order": Entry(404, "There is no such order", "See /orders: `id` names each."),
    "unknown_model_call": Entry(404, "There is no such question to a model", "See /llm-interactions: `id` names each."),
    "unknown_alert": Entry(404, "There is no such alert", "See /alerts: `id` names each."),
    "no_log_files": Entry(404, "There are no log files", "Set LOG_FOLDER, or look where the platform keeps stdout."),
    "unknown_change": Entry(404, "There is no such change", "See /changes: `id` names each."),
    "method_not_allowed": Entry(405, "The path does not take this method", "The header Allow says which it takes."),
    "account_halted": Entry(409, "The account is halted", "Resume it: that takes a person's word."),
    "account_exists": Entry(409, "There is an account of that id", "Change it, or choose another id."),
    "account_changed": Entry(409, "Somebody else has changed the account", "Look at it again: `version` is newer."),
    "account_not_flat": Entry(409, "The account is not flat", "Say `flatten=true`, or close what `detail` names."),
    "account_stopped": Entry(409, "The account was stopped in an emergency", "Re-arm it with its id as `confirm`."),
    "no_authority": Entry(409, "The account has no authority", "See /changes, or extend `authority_until`."),
    "change_decided": Entry(409, "The change waits no longer", "See /changes for what became of it."),
    "same_person": Entry(409, "Your word counts already", "It takes another person's, or time."),
    "record_broken": Entry(409, "The record is not as it was written", "`GET …/record` names what was changed."),
    "stage_busy": Entry(
        409,
        "Something is at work on this account",
        "Ask again in a moment. While the exchange does not answer, a cycle waits for it: an emergency stop, "
        "POST /accounts/{account}/stop, takes the account from it.",
    ),
    "lease_lost": Entry(409, "Another copy has taken over", "Ask again: what was done is found, and not done twice."),
    "foreign_books": Entry(
        409,
        "The books are another exchange's or wallet's",
        "`detail` says whose: have the API use the database, the exchange and the key that belong together.",
    ),
    # ---- others that we need
    "venue_failed": Entry(502, "The exchange failed", _VENUE),
    "venue_unreachable": Entry(502, "The exchange does not answer", _VENUE),
    "venue_rate_limited": Entry(502, "The exchange's request limit is used up", "Wait: it is kept by itself."),
    "venue_clock_skewed": Entry(502, "The exchange's time is not known", _VENUE),
    "venue_outcome_unknown": Entry(
        502, "It may have happened", "The next reconciliation finds out: send nothing twice."
    ),
    "venue_refused": Entry(502, "The exchange refused", "`detail` has its words."),
    "venue_not_authorised": Entry(502, "The exchange does not take the key", "Check the account's keys."),
    "position_unprotected": Entry(502, "A position has no stop", "It is being closed. See /positions and the log."),
    "market_data_unusable": Entry(502, "Prices are stale or do not fit together", _VENUE),
    "model_failed": Entry(502, "The model failed", _MODEL),
    "model_unavailable": Entry(502, "The model does not answer", _MODEL),
    "model_refused": Entry(502, "The model service refused", "Check the account's model, key and credit."),
    "model_reply_unusable": Entry(502, "The model's reply cannot be used", _MODEL),
    "not_ready": Entry(503, "Something that trading needs is missing", "`reasons` says what."),
    "too_many_downloads": Entry(503, "Enough downloads are running", "Try again after the seconds in Retry-After."),
    "database_unavailable": Entry(503, "The database does not answer", "Try again after the seconds in Retry-After."),
    "internal_error": Entry(500, "Something went wrong here", _LOG),
}

STAGE = tuple(
    code
    for code, entry in CATALOGUE.items()
    if code in {"stale_request", "stage_busy", "lease_lost", "foreign_books", "bad_request", "unknown_account"}
    or (entry.status == 502 and code != "internal_error")
)
"""What a stage can come to."""


def type_of(code: str) -> str:
    """Return the reference that stands as `type` in a document."""
    return f"{PAGE}#{code}"
