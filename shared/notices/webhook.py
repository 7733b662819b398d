"""
News as a POST of JSON, signed as Standard Webhooks says (github.com/standard-webhooks/standard-webhooks).

`webhook-id` names the message and stays as it is when it is sent again; `webhook-signature` is `v1,` and the base64 of
HMAC-SHA256 over `id.timestamp.body`, by the secret after `whsec_`. A receiver that checks it with any library of that
standard knows that the message is ours, unchanged, and not an old one.
"""

import asyncio
import base64
import hashlib
import hmac
import json

import httpx

from shared.notices.notice import SEND_SECONDS, NotDelivered, Notice

SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin


class Webhook:
    """The `Channel` to one address."""

    name = "webhook"

    def __init__(self, url: str, secret: str, http: httpx.AsyncClient) -> None:
        """*secret* is `whsec_` and the key in base64."""
        self._url = url
        self._key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
        self._http = http

    async def send(self, notice: Notice) -> None:
        """Send it; any status of 2xx says that it was taken. A redirect is not followed: it may lead anywhere."""
        body = json.dumps(notice.as_json(), ensure_ascii=False).encode()
        stamp = str(int(notice.sent_at.timestamp()))
        signed = hmac.digest(self._key, b".".join((notice.id.encode(), stamp.encode(), body)), hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }
        try:
            async with asyncio.timeout(SEND_SECONDS):
                # What it answers is of no interest, and may be endless.
                async with self._http.stream(
                    "POST", self._url, content=body, headers=headers, follow_redirects=False
                ) as response:
                    status = response.status_code
        except TimeoutError:
            raise NotDelivered(f"no answer within {SEND_SECONDS:g} s") from None
        except httpx.HTTPError as exc:
            raise NotDelivered(type(exc).__name__) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"HTTP {status}")
