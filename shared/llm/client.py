"""
One question to a service that speaks as OpenRouter does, one reply.

Promises an end: a wall-clock deadline around the whole call, because a reply that drips white space while the model
thinks resets every read timer, and a bound on the size of the reply. Never retries, which is the engine's to decide,
and never shows the key.
"""

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from typing import Any

import httpx

from shared.domain.errors import ModelError, ModelRefused, ModelUnavailable
from shared.llm.completion import Completion, read_completion

MAX_REPLY_BYTES = 2_000_000
MAX_CATALOGUE_BYTES = 20_000_000
"""Hundreds of models come at once."""
CONNECT_SECONDS = 5
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class OpenRouterClient:
    """Chat completions at *base_url*, such as `https://openrouter.ai/api/v1`."""

    def __init__(self, base_url: str, api_key: str, http: httpx.AsyncClient) -> None:
        """Keep the way to the service. Raises ValueError when the key could not be sent, or could be overheard."""
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as exc:
            raise ValueError(f"the model provider's base URL {base_url!r} is no URL: {exc}") from exc
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"the model provider's base URL must start with https:// or http://, not {base_url!r}")
        if url.scheme == "http" and not _stays_inside(url.host):
            raise ValueError(f"{base_url} would carry the API key in the clear: use https://")
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key or not api_key:
            raise ValueError("the model provider's API key is empty or holds spaces, line breaks or foreign characters")
        self.base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._http = http

    async def complete(self, body: Mapping[str, Any], *, seconds: float) -> Completion:
        """Send *body* once and return the reply within *seconds*; with none left nothing is sent.

        Raises ModelUnavailable, ModelRefused, ModelClosed.
        """
        if seconds <= 0:
            raise ModelUnavailable("not asked: no time was left")
        try:
            async with asyncio.timeout(seconds):
                status, reply, headers = await self._send("POST", "chat/completions", MAX_REPLY_BYTES, body)
            return read_completion(status, reply, retry_after=headers.get("retry-after"))
        except TimeoutError as exc:
            raise ModelUnavailable(f"no answer within {seconds:.1f} s", lost=True) from exc
        except httpx.HTTPError as exc:
            said = self._discreet(f"{type(exc).__name__}: {exc}").rstrip(": ")
            raise ModelUnavailable(said, lost=not isinstance(exc, NOT_SENT)) from exc
        except ModelError as exc:
            # A service may quote the key it does not like.
            exc.args = (self._discreet(str(exc)),)
            exc.reply = json.loads(self._discreet(json.dumps(exc.reply)))
            raise

    async def models(self, *, seconds: float) -> list[Any]:
        """Return the entries of the service's list of models. Raises ModelUnavailable when it has none to show."""
        try:
            async with asyncio.timeout(seconds):
                status, reply, _ = await self._send("GET", "models", MAX_CATALOGUE_BYTES)
            document = json.loads(reply)
        except TimeoutError as exc:
            raise ModelUnavailable(f"no list of models within {seconds:.1f} s") from exc
        except httpx.HTTPError as exc:
            raise ModelUnavailable(self._discreet(f"{type(exc).__name__}: {exc}").rstrip(": ")) from exc
        except ModelRefused as exc:
            raise ModelUnavailable(f"the list of models: {exc}") from exc
        except (ValueError, RecursionError):
            document = None
        entries = document.get("data") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ModelUnavailable(f"HTTP {status} without a list of models")
        return entries

    async def _send(
        self, method: str, path: str, most: int, body: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes, httpx.Headers]:
        headers = {
            "Authorization": f"Bearer {self._api_key}",
            "Accept": "application/json",
            # A compressed reply could unfold to any size before it is counted.
            "Accept-Encoding": "identity",
        }
        # A redirect would carry the key to a place nobody configured.
        async with self._http.stream(
            method,
            f"{self.base_url}/{path}",
            json=body,
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            follow_redirects=False,
        ) as response:
            reply = bytearray()
            async for chunk in response.aiter_bytes():
                reply += chunk
                if len(reply) > most:
                    raise ModelRefused(f"the reply is larger than {most} bytes", lost=True)
        return response.status_code, bytes(reply), response.headers

    def _discreet(self, text: str) -> str:
        return text.replace(self._api_key, "[key]")


def _stays_inside(host: str) -> bool:
    """Say whether *host* is this machine or a name without a dot, as containers on a private network have."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host
