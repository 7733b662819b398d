"""What a person does at once: an emergency stop, a position closed, orders cancelled."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from pydantic import Field
from starlette.requests import Request

from api.answers import OrderDone, Steered, Stopped
from api.auth import caller_of
from api.bodies import Body
from api.schemas import AccountId, ClientOrderId, Symbol
from api.state import runtime_of
from functions.invoke import invoke_stage
from functions.steering import Closing, Done, Errand, Tools, cancel_order, cancel_orders, close_position
from functions.stopping import as_json, stop_account, stop_all
from shared.domain.cycle import Stage, between_ticks
from shared.domain.errors import PerpetuaError
from shared.domain.position import Direction

PATIENCE = timedelta(seconds=10)
"""How long a stage at work is waited for, and an exit insists."""
LONGEST_KEY = 255


class ClosePosition(Body):
    """What of a position to close: all of it, where nothing else is said."""

    direction: Direction | None = Field(default=None, description="Where both are held, which.")
    quantity: Decimal | None = Field(default=None, gt=0, description="Of the contract; the whole position without.")


class CancelOrders(Body):
    """Which orders to cancel."""

    symbol: Symbol | None = Field(default=None, description="Everywhere, without.")
    protection: bool = Field(default=False, description="Stops and targets too: then their positions are closed first.")


async def stop(request: Request, account: AccountId) -> Stopped:
    """Stop the account in an emergency: halt it, cancel everything, close everything, and say what is left."""
    stopped = await stop_account(runtime_of(request), account, by=caller_of(request).name)
    return Stopped.model_validate(as_json(stopped))


async def stop_everything(request: Request) -> list[Stopped]:
    """Stop every account in an emergency, side by side, and say of each what is left."""
    stopped = await stop_all(runtime_of(request), by=caller_of(request).name)
    return [Stopped.model_validate(as_json(each)) for each in stopped]


async def close(request: Request, account: AccountId, symbol: Symbol, body: ClosePosition) -> Steered:
    """Close a position, or a part of it, at the market; its protection goes once it is gone."""
    closing = Closing(symbol=symbol, direction=body.direction, quantity=body.quantity)
    return await _run(request, account, lambda errand, tools: close_position(errand, closing, tools))


async def cancel_one(request: Request, account: AccountId, order: ClientOrderId) -> Steered:
    """Cancel one resting order. What protects a position goes with that alone."""
    return await _run(request, account, lambda errand, tools: cancel_order(errand, order, tools))


async def cancel_all(request: Request, account: AccountId, body: CancelOrders) -> Steered:
    """Cancel what rests and protects nothing; where protection is to go as well, positions are closed first."""
    return await _run(
        request,
        account,
        lambda errand, tools: cancel_orders(errand, body.symbol, tools, protection=body.protection),
    )


async def _run(request: Request, account: str, what: Callable[[Errand, Tools], Awaitable[Done]]) -> Steered:
    """Run an errand that the Idempotency-Key names, for who asks, and bring the books up to date after it."""
    runtime, who = runtime_of(request), caller_of(request).name
    await runtime.follow_accounts()
    await runtime.require_time()
    await runtime.recognise(account)
    tools = Tools(
        open_work=runtime.open_work,
        exchange=runtime.exchange(account),
        market=runtime.market,
        clock=runtime.clock,
        patience=PATIENCE,
    )
    key = request.headers.get("idempotency-key", "")[:LONGEST_KEY] or uuid4().hex
    # A key names one thing of one person: another path, or another caller, means another.
    errand = Errand(account_id=account, key=f"{who} {request.url.path} {key}", by=who)
    done = await what(errand, tools)
    trouble = None
    try:
        await invoke_stage(runtime, Stage.RECONCILE, between_ticks(account, runtime.clock.now()))
    except PerpetuaError as exc:
        trouble = f"the books are brought up to date later: {exc}"
    orders = [
        OrderDone(
            client_order_id=order.client_order_id,
            symbol=order.intent.symbol,
            leg=order.intent.leg,
            state=order.state,
            executed_quantity=f"{order.executed_quantity:f}",
            reason=order.reason,
        )
        for order in done.orders
    ]
    return Steered(done=done.done, left=list(done.left), repeated=done.repeated, trouble=trouble, orders=orders)
