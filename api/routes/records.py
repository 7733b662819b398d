"""Decisions on record: what one saw and said, the same made again or otherwise, and how models compare."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request

from api.answers import Contrast, Listing, ModelScore, Preview, Record, Replayed
from api.bodies import Body
from api.errors import Problem
from api.routes.details import meant
from api.schemas import AccountId, ComparisonQuery, CycleId, RecordQuery
from api.state import runtime_of
from functions.previewing import preview
from functions.replaying import load, reask, rereview, rerun
from shared.accounts import changed_limits
from shared.db.records import read_record
from shared.domain.errors import RecordBroken
from shared.domain.opinion import ModelScore as Score
from shared.domain.record import parts_of, plain
from shared.llm.prompt import PromptTemplate
from shared.llm.reply import read
from shared.settings import SettingsError


class Replay(Body):
    """How to make a decision again. `prompt` is the text of a template."""

    kind: Literal["rerun", "reask", "rereview"] = Field(description="As it was, by another model or prompt, or limits.")
    model: str | None = Field(default=None, min_length=1, description="To reask.")
    prompt: str | None = Field(default=None, min_length=1, description="To reask: the text of a template.")
    limits: dict[str, Any] | None = Field(default=None, description="To rereview.", examples=[{"max_leverage": 2}])


FIELDS = {"rerun": set[str](), "reask": {"model", "prompt"}, "rereview": {"limits"}}
"""What each kind takes beside `kind`: one of it at least, where it takes any."""


async def record(request: Request, decision: CycleId, query: RecordQuery) -> Record:
    """Show what is on record of a decision: the names of its parts and whether they are as written; in full, all."""
    async with runtime_of(request).open_work() as work:
        cycle, stored = await work.records.find(meant(request, decision))
    problems: tuple[str, ...] = ()
    try:
        whole = read_record(cycle, stored)
    except RecordBroken as exc:
        whole, problems = None, exc.problems
    told = {
        "account": cycle.account_id,
        "tick": cycle.tick.isoformat(),
        "record": stored.name,
        "sound": not problems,
        "problems": list(problems),
        "parts": dict(parts_of(stored.name, stored.documents[stored.name])),
    }
    return Record.model_validate(told | {"body": plain(whole) if query.full and whole else None})


async def replay(request: Request, decision: CycleId, body: Replay) -> Replayed | Contrast:
    """Make a decision again: as it was, by another model or prompt, or under other limits."""
    wanted = meant(request, decision)
    given = body.model_fields_set - {"kind"}
    takes = FIELDS[body.kind]
    if given - takes or (takes and not given):
        needs = f"takes {' or '.join(sorted(takes))}" if takes else "takes nothing else"
        raise Problem(400, "bad_body", f"a {body.kind} {needs}", field=min(given - takes, default="kind"))
    runtime = runtime_of(request)
    found = await load(runtime.open_work, wanted)
    if body.kind == "rerun":
        again = await rerun(found, open_work=runtime.open_work, read=read)
        return Replayed.model_validate(again.as_json())
    try:
        if body.kind == "rereview":
            limits = changed_limits(found.context.account.limits, body.limits or {})
            return Contrast.model_validate(rereview(found, limits, read=read).as_json())
        template = PromptTemplate(Path("posted"), body.prompt) if body.prompt else None
    except (SettingsError, ValueError) as exc:
        raise Problem(400, "bad_body", str(exc)) from None
    comparison = await reask(
        found,
        body.model or found.context.account.model,
        engine=runtime.engine(found.account_id, template),
        account=runtime.accounts[found.account_id].account,
        open_work=runtime.open_work,
        market=runtime.market,
        analyst=runtime.analyst,
        clock=runtime.clock,
        own_prompt=template is not None,
    )
    return Contrast.model_validate(comparison.as_json())


async def prompt(request: Request, account: AccountId) -> Preview:
    """Show what the account's model would be asked now, and the most that costs. Asks no model."""
    runtime = runtime_of(request)
    engine = runtime.engine(account)
    configured = runtime.accounts[account].account
    shown = await preview(configured, None, open_work=runtime.open_work, engine=engine, clock=runtime.clock)
    return Preview.model_validate(shown)


async def comparison(request: Request, query: ComparisonQuery) -> Listing[ModelScore]:
    """Show how each model and prompt version has done within [since, until), by account."""
    async with runtime_of(request).open_work() as work:
        scores = await work.opinions.compare(account_id=query.account, since=query.since, until=query.until)
    return Listing[ModelScore].model_validate({"items": [_told(each) for each in scores], "next": None})


def _told(score: Score) -> dict[str, Any]:
    told: dict[str, Any] = plain(score)
    told["account"] = told.pop("account_id")
    per_decision = score.cost / score.asked if score.asked else None
    return told | {
        "hit_rate": score.hit_rate,
        "cost_per_decision": None if per_decision is None else f"{per_decision:f}",
        "caution": score.caution,
    }
