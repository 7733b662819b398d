"""A piece of news on its way to a person, and what can become of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.domain.errors import PerpetuaError


class NotDelivered(PerpetuaError):
    """The channel did not take it: try again later. Names no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """News of an alert. The *id* is the same however often it is sent: by it a receiver tells a repeat."""

    id: str
    news: str
    """`raised` or `resolved`."""
    alert_id: int | None
    kind: str
    account_id: str | None
    subject: str
    severity: str
    text: str
    raised_at: datetime
    resolved_at: datetime | None
    sent_at: datetime
    """By the database's clock: a receiver may refuse what is old."""

    @property
    def title(self) -> str:
        """The news in a line."""
        whose = f" ({self.account_id})" if self.account_id else ""
        return f"Perpetua: {self.kind.replace('_', ' ')}{whose} {self.news}"

    def as_json(self) -> dict[str, Any]:
        """Return what a program reads: the shape of a Standard Webhooks payload."""
        return {
            "type": f"alert.{self.news}",
            "timestamp": self.sent_at.isoformat(),
            "data": {
                "id": None if self.alert_id is None else str(self.alert_id),
                "kind": self.kind,
                "account": self.account_id,
                "subject": self.subject,
                "severity": self.severity,
                "text": self.text,
                "raised_at": self.raised_at.isoformat(),
                "resolved_at": self.resolved_at.isoformat() if self.resolved_at else None,
            },
        }


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """What deliveries call it. Says nothing secret."""
        ...

    async def send(self, notice: Notice) -> None:
        """Send it within SEND_SECONDS. Raises NotDelivered."""
        ...


SEND_SECONDS = 10.0
