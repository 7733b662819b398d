"""How to call a stage in this process: the same call for the command line, HTTP, the scheduler and Lambda."""

from datetime import timedelta
from typing import Any

from functions.comparing import Shadow, compare
from functions.cycle import run_cycle
from functions.decide import decide
from functions.events import read_event
from functions.execute import execute
from functions.fetch import fetch
from functions.reconcile import reconcile
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.market import EPOCH, Timeframe
from shared.domain.tally import Counted, outcome_of
from shared.logs import log_ids
from shared.runtime import Runtime

CYCLE = "cycle"
COMPARE = "compare"
DOORS = (*(stage.value for stage in Stage), CYCLE, COMPARE)
"""What can be invoked: each stage by its name, the four in order, and what comes after them and moves nothing."""


async def invoke_stage(runtime: Runtime, stage: Stage, request: StageRequest) -> StageResult:
    """Run one stage with the runtime's adapters, and write down what came of it. Raises PerpetuaError."""
    try:
        return await _counted(runtime, stage, request)
    finally:
        # Now, for a container may be put to sleep as soon as it has answered.
        await runtime.write_down()


async def _counted(runtime: Runtime, stage: Stage, request: StageRequest) -> StageResult:
    try:
        return await _run(runtime, stage, request)
    except Exception as exc:
        if request.account_id in runtime.accounts:
            what = Counted("stage_failures", request.account_id, stage.value, outcome_of(exc))
            runtime.tally.count(what)
        raise


async def _run(runtime: Runtime, stage: Stage, request: StageRequest) -> StageResult:
    account_id = request.account_id
    with log_ids(account=account_id, cycle=request.tick.isoformat(), stage=stage.value):
        await runtime.recognise(account_id)
        match stage:
            case Stage.FETCH:
                return await fetch(
                    request,
                    open_work=runtime.open_work,
                    market=runtime.market,
                    exchange=runtime.exchange(account_id),
                    analyst=runtime.analyst,
                    clock=runtime.clock,
                )
            case Stage.DECIDE:
                return await decide(
                    request,
                    open_work=runtime.open_work,
                    engine=runtime.engine(account_id),
                    market=runtime.market,
                    analyst=runtime.analyst,
                    clock=runtime.clock,
                )
            case Stage.EXECUTE:
                return await execute(
                    request,
                    open_work=runtime.open_work,
                    exchange=runtime.exchange(account_id),
                    market=runtime.market,
                    clock=runtime.clock,
                    patience=_patience(runtime),
                )
            case Stage.RECONCILE:
                return await reconcile(
                    request,
                    open_work=runtime.open_work,
                    exchange=runtime.exchange(account_id),
                    market=runtime.market,
                    clock=runtime.clock,
                    patience=_patience(runtime),
                )


def _patience(runtime: Runtime) -> timedelta:
    """Half of the deadline for protection: what a stop does not get through in leaves as much for closing."""
    return timedelta(seconds=runtime.settings.protection_deadline_seconds / 2)


async def invoke_cycle(runtime: Runtime, request: StageRequest) -> dict[str, Any]:
    """Run the four stages in order. Raises UnknownAccount and StageBusy."""

    async def one(stage: Stage, request: StageRequest) -> StageResult:
        return await _counted(runtime, stage, request)

    try:
        return await run_cycle(request, invoke=one, open_work=runtime.open_work)
    finally:
        await runtime.write_down()


async def invoke_compare(runtime: Runtime, request: StageRequest) -> dict[str, Any]:
    """Ask the account's shadow models what the cycle was decided by, and score what is due. Raises PerpetuaError."""
    account_id = request.account_id
    with log_ids(account=account_id, cycle=request.tick.isoformat(), stage=COMPARE):
        return await compare(
            request,
            shadows=[Shadow(model, engine) for model, engine in runtime.shadows(account_id)],
            budget_fraction=runtime.settings.shadow_budget_fraction,
            open_work=runtime.open_work,
            market=runtime.market,
            analyst=runtime.analyst,
            clock=runtime.clock,
            timeframe=min(runtime.accounts[account_id].account.timeframes, key=_width),
        )


def _width(timeframe: Timeframe) -> timedelta:
    return timeframe.following(EPOCH) - EPOCH


async def invoke(runtime: Runtime, door: str, event: Any) -> dict[str, Any]:
    """Answer *event* at one of DOORS with the JSON-ready result. Raises PerpetuaError."""
    await runtime.require_time()
    await runtime.follow_accounts()
    request = read_event(event, intervals=runtime.intervals, now=runtime.clock.now())
    await runtime.recognise(request.account_id)
    if door == CYCLE:
        return await invoke_cycle(runtime, request)
    if door == COMPARE:
        return await invoke_compare(runtime, request)
    return (await invoke_stage(runtime, Stage(door), request)).as_json()
