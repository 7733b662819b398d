"""
News to chat services, mail and telephones, through `apprise`: an address such as `slack://…` says which.

The library takes a twentieth of a second to import and brings a hundred services: only a process that sends loads it.
It blocks, so it has a thread of its own; it bounds its waiting itself.
"""

import asyncio

from shared.notices.notice import NotDelivered, Notice


class Chat:
    """The `Channel` to one service. *place* tells it from others of its kind."""

    def __init__(self, url: str, place: int) -> None:
        self._url = url
        self.name = f"{url.partition('://')[0]}-{place}"

    async def send(self, notice: Notice) -> None:
        """Send it. The library says no more than whether it went."""
        if not await asyncio.to_thread(self._notify, notice):
            raise NotDelivered("the service did not take it")

    def _notify(self, notice: Notice) -> bool:
        import apprise  # noqa: PLC0415 - see above

        service = apprise.Apprise()
        if not service.add(self._url):
            return False
        kind = apprise.NotifyType.FAILURE if notice.severity == "critical" else apprise.NotifyType.WARNING
        if notice.news == "resolved":
            kind = apprise.NotifyType.SUCCESS
        return bool(service.notify(title=notice.title, body=f"{notice.text}\n{notice.id}", notify_type=kind))
