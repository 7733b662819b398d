"""Whose books these are: of one exchange, and each account's of one wallet there."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.tables import owner, wallets
from shared.domain.owner import Owner, Wallet


class OwnerTables:
    """The `Owners` port."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self) -> Owner | None:
        """Return the exchange that the database belongs to."""
        row = (await self._connection.execute(select(owner.c.mode, owner.c.books))).one_or_none()
        return Owner(row.mode, row.books) if row else None

    async def claim(self, exchange: Owner) -> Owner:
        """Have the database belong to that exchange unless it belongs to one; return the one that it belongs to."""
        statement = insert(owner).values(one=True, mode=exchange.mode, books=exchange.books)
        # What its books are called may have become known since.
        untold = {"books": func.coalesce(func.nullif(owner.c.books, ""), statement.excluded.books)}
        settled = statement.on_conflict_do_update(index_elements=[owner.c.one], set_=untold)
        row = (await self._connection.execute(settled.returning(owner.c.mode, owner.c.books))).one()
        return Owner(row.mode, row.books)

    async def wallet(self, account_id: str) -> Wallet | None:
        """Return the wallet that the account's books are of."""
        found = await self._connection.execute(
            select(wallets.c.key, wallets.c.name).where(wallets.c.account_id == account_id)
        )
        row = found.one_or_none()
        return Wallet(row.key, row.name) if row else None

    async def keep_wallet(self, account_id: str, wallet: Wallet) -> None:
        """Remember the wallet that the account's books are of, and its key. Raises UnknownAccount."""
        known = {"key": wallet.key, "name": wallet.name, "known_at": func.now()}
        await self._connection.execute(
            insert(wallets)
            .values(account_id=account_id, key=wallet.key, name=wallet.name)
            .on_conflict_do_update(index_elements=[wallets.c.account_id], set_=known)
        )
