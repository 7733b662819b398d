"""How an account carries its positions: leverage, cross or isolated margin, one asset or many, and what it costs."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal

from shared.domain.errors import NoChangeNeeded, Refused
from shared.domain.position import Direction
from shared.exchange.account_wire import (
    AssetBalance,
    Bracket,
    Fees,
    read_adl_quantiles,
    read_balances,
    read_brackets,
    read_done,
    read_fees,
    read_multi_assets,
)
from shared.exchange.client import AsterClient
from shared.exchange.fields import number

_NO_ISOLATED_MARGIN = -4168


class Margin:
    """Raises VenueError. What is as asked already counts as done, leverage but for `set_leverage`."""

    def __init__(self, client: AsterClient) -> None:
        self._client = client
        self._fees: dict[str, Fees] = {}

    async def balances(self) -> Sequence[AssetBalance]:
        """Return what the account holds of each asset."""
        return await self._client.read("balance", weight=5, into=read_balances)

    async def fees(self, symbol: str) -> Fees:
        """Return what a trade costs; asked once."""
        if symbol not in self._fees:
            self._fees[symbol] = await self._client.read(
                "commissionRate", {"symbol": symbol}, weight=20, into=read_fees
            )
        return self._fees[symbol]

    async def brackets(self, symbol: str | None = None) -> Mapping[str, Sequence[Bracket]]:
        """Return, by symbol, the most leverage and the least margin by the size of a position."""
        params = {} if symbol is None else {"symbol": symbol}
        return await self._client.read("leverageBracket", params, weight=1, into=read_brackets)

    async def adl_quantiles(self) -> Mapping[tuple[str, Direction | None], int]:
        """Return how near each position is to auto-deleveraging, 0 to 4, by symbol and, in hedge mode, direction."""
        return await self._client.read("adlQuantile", weight=5, into=read_adl_quantiles)

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage that later entries in *symbol* use."""
        await self._client.write("POST", "leverage", {"symbol": symbol, "leverage": str(leverage)}, into=read_done)

    async def set_isolated(self, symbol: str, isolated: bool) -> None:
        """Keep the margin of *symbol* apart from the rest of the account, or not."""
        params = {"symbol": symbol, "marginType": "ISOLATED" if isolated else "CROSSED"}
        try:
            with suppress(NoChangeNeeded):
                await self._client.write("POST", "marginType", params, into=read_done)
        except Refused as exc:
            if exc.code != _NO_ISOLATED_MARGIN:
                raise
            raise Refused(
                f"{symbol} cannot have isolated margin while the account is in multi-assets mode:"
                " use cross margin, or turn multi-assets mode off",
                code=exc.code,
            ) from exc

    async def add_margin(self, symbol: str, amount: Decimal, direction: Direction | None = None) -> None:
        """Put *amount* into the isolated margin of a position, or take it out when negative.

        The *direction* says which position where hedge mode has two.
        """
        params = {"symbol": symbol, "amount": number(abs(amount)), "type": "1" if amount > 0 else "2"}
        side = {} if direction is None else {"positionSide": direction.value}
        await self._client.write("POST", "positionMargin", {**params, **side}, into=read_done)

    async def multi_assets(self) -> bool:
        """Return whether all assets carry all positions together."""
        return await self._client.read("multiAssetsMargin", weight=30, into=read_multi_assets)

    async def set_multi_assets(self, together: bool) -> None:
        """Have all assets carry all positions together, or each its own."""
        params = {"multiAssetsMargin": "true" if together else "false"}
        with suppress(NoChangeNeeded):
            await self._client.write("POST", "multiAssetsMargin", params, into=read_done)
