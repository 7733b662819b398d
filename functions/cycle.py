"""
The four stages in order for one account: what the state machine does in the cloud.

A stage that fails ends the trading of this cycle, never the reconciliation: positions are protected whatever happens to
prices, models or orders. An account that is not active is only reconciled.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, StageRequest, StageResult
from shared.domain.errors import PerpetuaError, StageBusy, UnknownAccount
from shared.domain.work import OpenWork
from shared.logs import log_ids

log = logging.getLogger("perpetua.trading")

Invoke = Callable[[Stage, StageRequest], Awaitable[StageResult]]


async def run_cycle(request: StageRequest, *, invoke: Invoke, open_work: OpenWork) -> dict[str, Any]:
    """Run the cycle and return each stage's result by name; a failed stage's is `{"error": …}`.

    Raises UnknownAccount, and StageBusy when another copy is at work on the account.
    """
    async with open_work() as work:
        account = await work.accounts.get(request.account_id)
    stages = tuple(Stage) if account.status is AccountStatus.ACTIVE else (Stage.RECONCILE,)
    outcome: dict[str, Any] = {"account": request.account_id, "tick": request.tick.isoformat()}
    failed = False
    with log_ids(account=request.account_id, cycle=request.tick.isoformat()):
        for stage in stages:
            if failed and stage is not Stage.RECONCILE:
                continue
            try:
                outcome[stage.value] = (await invoke(stage, request)).as_json()
            except (StageBusy, UnknownAccount):
                raise
            except Exception as exc:
                failed = True
                outcome[stage.value] = {"error": type(exc).__name__, "message": str(exc)}
                # A failure we have a name for says all there is to say; any other is a defect and shows its stack.
                stack = None if isinstance(exc, PerpetuaError) else exc
                log.error("stage failed", exc_info=stack, extra={"stage": stage.value, "why": str(exc)})  # noqa: TRY400
        log.info("cycle", extra={"outcome": outcome})
    return outcome
