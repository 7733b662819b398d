"""When positions stood without a stop."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.batch import insert_all
from shared.db.tables import naked_spells
from shared.domain.position import Direction
from shared.domain.protection import NakedSpell


class NakedSpellTable:
    """The `NakedSpells` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, account_id: str, spells: Sequence[NakedSpell]) -> None:
        """Record spells. One that stands still is not begun anew."""
        if not spells:
            return
        rows = [
            {
                "account_id": account_id,
                "symbol": spell.symbol,
                "direction": spell.direction,
                "since": spell.since,
                "until": spell.until,
            }
            for spell in spells
        ]
        await self._connection.execute(insert_all(naked_spells, rows).on_conflict_do_nothing())

    async def stand(self, account_id: str, naked: Mapping[tuple[str, Direction], datetime], at: datetime) -> None:
        """Let these be the positions that are naked at *at*, each since then; the spell of any other has ended."""
        ended = update(naked_spells).where(naked_spells.c.account_id == account_id, naked_spells.c.until.is_(None))
        if naked:
            ended = ended.where(tuple_(naked_spells.c.symbol, naked_spells.c.direction).not_in(list(naked)))
        await self._connection.execute(ended.values(until=at))
        await self.add(
            account_id,
            [NakedSpell(symbol=symbol, direction=side, since=since) for (symbol, side), since in naked.items()],
        )
