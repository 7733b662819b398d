"""
Whose books a database holds: those of one exchange, and for each account those of one wallet there.

The exchange is told by its mode, for there is one main and one test network whatever address they are reached at, and
on paper by the name that an emulator gives its books, wherever it listens. The wallet is told by what the exchange
calls the account, whatever key opens it. What is not told proves nothing, and refuses nothing.
"""

from dataclasses import dataclass

from shared.domain.errors import ForeignBooks


@dataclass(frozen=True, slots=True)
class Owner:
    """An exchange: its mode, and what its books are called; empty where it does not tell."""

    mode: str
    books: str = ""


@dataclass(frozen=True, slots=True)
class Wallet:
    """What an account trades with: what tells its key from others, and what the exchange calls it; empty if untold."""

    key: str
    name: str = ""


def require_owner(known: Owner | None, here: Owner, address: str) -> None:
    """Refuse the exchange at *address* where the books are known to be another's. Raises ForeignBooks."""
    if known is None:
        return
    if known.mode != here.mode:
        raise ForeignBooks(
            f"this database holds the books of {known.mode} trading, and TRADING_MODE is {here.mode}: "
            "name a database of its own with DATABASE_URL or DATA_FOLDER"
        )
    if known.books and here.books and known.books != here.books:
        raise ForeignBooks(
            f"this database holds the books of another paper exchange ({known.books[:8]}) than the one at {address} "
            f"({here.books[:8]}): name its database with DATA_FOLDER or DATABASE_URL, or the exchange of this one with "
            "ASTERDEX_BASE_URL"
        )


def require_wallet(account_id: str, known: Wallet | None, here: Wallet) -> None:
    """Refuse a key that opens another wallet than the account's. A new key of the same one is welcome.

    Raises ForeignBooks.
    """
    if known and known.key != here.key and known.name and here.name and known.name != here.name:
        raise ForeignBooks(
            f"account {account_id} has the books of wallet {known.name} at the exchange, and its key opens "
            f"{here.name}: give it back its own key, or the other wallet an account of its own"
        )
