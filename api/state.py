"""What the application holds while it runs."""

import asyncio

from starlette.requests import HTTPConnection

from api.meter import Meter
from api.pulse import Pulse
from shared.db.audit import AuditTrail
from shared.db.idempotency import IdempotencyKeys
from shared.db.reports import Reports
from shared.db.tokens import TokenTable
from shared.domain.errors import UnknownAccount
from shared.runtime import Runtime


def runtime_of(request: HTTPConnection) -> Runtime:
    """Return the adapters behind this application."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def reports_of(request: HTTPConnection) -> Reports:
    """Return the reading side of the database; for a download, all of one moment."""
    frozen: Reports | None = getattr(request.state, "reports", None)
    return frozen or Reports(runtime_of(request).database)


async def require_known(request: HTTPConnection, account: str) -> None:
    """Refuse an account that never was: an empty list would hide that it is misspelt. Raises UnknownAccount."""
    if account not in runtime_of(request).accounts and not (await reports_of(request).accounts(account=account)).rows:
        raise UnknownAccount(f"there is no account {account!r}")


def pulse_of(request: HTTPConnection) -> Pulse:
    """Return what knows whether the exchange answers."""
    pulse: Pulse = request.app.state.pulse
    return pulse


def models_pulse_of(request: HTTPConnection) -> Pulse:
    """Return what knows whether the service of the models answers."""
    pulse: Pulse = request.app.state.models_pulse
    return pulse


def meter_of(request: HTTPConnection) -> Meter:
    """Return what this process measures of itself."""
    meter: Meter = request.app.state.meter
    return meter


def downloads_of(request: HTTPConnection) -> asyncio.Semaphore:
    """Return the places for downloads at once."""
    downloads: asyncio.Semaphore = request.app.state.downloads
    return downloads


def tokens_of(request: HTTPConnection) -> TokenTable:
    """Return the tokens of the house."""
    return TokenTable(runtime_of(request).database)


def audit_of(request: HTTPConnection) -> AuditTrail:
    """Return the audit trail."""
    return AuditTrail(runtime_of(request).database)


def keys_of(request: HTTPConnection) -> IdempotencyKeys:
    """Return the keys that requests named themselves by."""
    return IdempotencyKeys(runtime_of(request).database)
