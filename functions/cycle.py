"""
The four stages in order for one account: what the state machine does in the cloud.

A stage that fails ends the trading of this cycle, never the reconciliation: positions are protected whatever happens to
prices, models or orders. An account that is not active is only reconciled. Where fetch finds that an exit plan has come
true, the account is reconciled before a model is asked as well: what is promised does not wait for one.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from shared.domain.account import AccountStatus
from shared.domain.cycle import Stage, StageRequest, StageResult, between_ticks
from shared.domain.errors import PerpetuaError, StageBusy, UnknownAccount
from shared.domain.work import OpenWork
from shared.logs import log_ids

log = logging.getLogger("perpetua.trading")

Invoke = Callable[[Stage, StageRequest], Awaitable[StageResult]]


async def _keep_promises(request: StageRequest, invoke: Invoke) -> dict[str, Any]:
    """Reconcile at once. Where that fails, decide and execute end what is due, and the reconciliation to come."""
    # The same moment whenever the cycle is repeated, so that no exit is promised twice.
    moment = between_ticks(request.account_id, request.tick + timedelta(milliseconds=1))
    try:
        return (await invoke(Stage.RECONCILE, moment)).as_json()
    except Exception as exc:
        stack = None if isinstance(exc, PerpetuaError) else exc
        log.warning("a promise is kept later", exc_info=stack, extra={"why": str(exc)})
        return {"later": str(exc)}


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
                result = await invoke(stage, request)
                outcome[stage.value] = result.as_json()
                if stage is Stage.FETCH and result.details.get("plans_due"):
                    outcome["promises"] = await _keep_promises(request, invoke)
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
