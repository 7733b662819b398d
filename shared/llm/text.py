"""Text that came from outside: made safe to store, to print and to show to a model again."""

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def storable(text: str) -> str:
    """Return *text* with lone surrogates and NUL replaced: neither UTF-8 nor PostgreSQL can hold them."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", REPLACEMENT)


def inert(text: str, *, limit: int) -> str:
    """Return *text* as one plain line of at most *limit* characters, without control and invisible characters."""
    plain = "".join(" " if char.isspace() else char for char in storable(text) if _visible(char))
    return " ".join(plain.split())[:limit]


def _visible(char: str) -> bool:
    # Cf holds zero-width and direction-changing characters, which hide text from people but not from models.
    return char.isspace() or unicodedata.category(char) not in {"Cc", "Cf", "Co", "Cn"}
