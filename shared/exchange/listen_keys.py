"""
The key of an account's event stream.

The exchange lets it live for an hour from when it was made or last kept. There is one for each account: making one
while another lives returns that one.
"""

from shared.domain.errors import Refused
from shared.exchange.account_wire import read_listen_key
from shared.exchange.client import AsterClient
from shared.exchange.fields import as_row

_NO_SUCH_KEY = -1125


class ListenKeys:
    """Raises VenueError."""

    def __init__(self, client: AsterClient) -> None:
        self._client = client

    async def make(self) -> str:
        """Return the key of the account, made if there is none."""
        return await self._client.write("POST", "listenKey", {}, into=read_listen_key, signed=False)

    async def keep(self) -> bool:
        """Let the key live for another hour; False when there is none any more, and one has to be made."""
        try:
            await self._client.write("PUT", "listenKey", {}, into=as_row, signed=False)
        except Refused as exc:
            if exc.code == _NO_SUCH_KEY:
                return False
            raise
        return True

    async def close(self) -> None:
        """Let the key die, and with it every stream that was opened with it."""
        await self._client.write("DELETE", "listenKey", {}, into=as_row, signed=False)
