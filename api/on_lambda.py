"""
The API as an AWS Lambda function behind API Gateway or a function URL: `handler(event, context)`.

One event loop, one application and one runtime a container, opened by the first call and kept: Mangum by itself would
begin and end the application's life with every call. AWS ends a container without a word, and so do we: every
transaction is committed or rolled back before the answer leaves.
"""

import asyncio
from functools import cache
from typing import Any

from mangum import Mangum
from mangum.types import LambdaContext

from api.app import create_app
from shared.logs import set_up_logging
from shared.settings import SettingsError, read_settings


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer the HTTP request in *event*. Raises SettingsError when the configuration cannot work."""
    return _adapter()(event, context)


@cache
def _adapter() -> Mangum:
    settings = read_settings()
    if settings.api_token is None:
        raise SettingsError("API_TOKEN must be set: a function is reachable from outside")
    set_up_logging("api", level=settings.log_level, folder=None)
    app = create_app(settings, long_lived=False)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # Mangum runs requests on the thread's loop
    life = app.router.lifespan_context(app)
    loop.run_until_complete(life.__aenter__())
    app.state.life = life  # a context that nobody holds would be closed by the garbage collector
    return Mangum(app, lifespan="off")
