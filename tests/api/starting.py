"""The start of a process that serves people from outside, as far as the first token."""

from api.first_token import make_first_token
from shared.runtime import Runtime
from shared.settings import read_settings


async def start(database_url: str) -> None:
    """Start, and show a token if this process made one."""
    runtime = Runtime(
        read_settings(environment="testing", database_url=database_url, api_host="0.0.0.0"), long_lived=False
    )
    await make_first_token(runtime)
    await runtime.close()
