"""What is answered. Money and quantities are strings, moments ISO 8601."""

from typing import Any

from pydantic import BaseModel


class Listing(BaseModel):
    """A page: `next` is the cursor of the one that follows, null on the last."""

    items: list[dict[str, Any]]
    next: str | None
