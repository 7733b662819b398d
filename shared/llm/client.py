"""
One question to an OpenRouter-compatible service, one reply.

Promises an end: a wall-clock deadline around the whole call, because a reply that drips white space while the model
thinks resets every read timer, and a bound on the size of the reply. Never retries, which is the engine's to decide,
and never shows the key.
"""

import asyncio
import ipaddress
from typing import Any

import httpx

from shared.domain.errors import ModelError, ModelUnavailable
from shared.domain.model import Prompt
from shared.llm.completion import Completion, read_completion
from shared.llm.schema import NAME, Schema

MAX_REPLY_BYTES = 2_000_000
CONNECT_SECONDS = 5


class OpenRouterClient:
    """Chat completions at *base_url*, such as `https://openrouter.ai/api/v1`."""

    def __init__(self, base_url: str, api_key: str, http: httpx.AsyncClient, *, strict_routing: bool = True) -> None:
        """Keep the way to the service. Raises ValueError when the key could not be sent, or could be overheard.

        With *strict_routing* OpenRouter is told to use only endpoints that declare support for every parameter sent
        (`provider.require_parameters`), and not to drop the middle of a prompt that does not fit the model. Turn it off
        for another service that knows neither option.
        """
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
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key
        self._http = http
        self._strict_routing = strict_routing

    async def complete(
        self,
        prompt: Prompt,
        *,
        model: str,
        schema: Schema,
        max_tokens: int,
        temperature: float | None,
        seconds: float,
    ) -> Completion:
        """Ask once and return the reply within *seconds*. Raises ModelUnavailable or ModelRefused.

        Every optional parameter narrows the choice of endpoints, so a *temperature* of None is not sent.
        """
        body: dict[str, Any] = {
            "model": model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "max_tokens": max_tokens,
            "response_format": {"type": "json_schema", "json_schema": {"name": NAME, "strict": True, "schema": schema}},
            "stream": False,
        }
        if temperature is not None:
            body["temperature"] = temperature
        if self._strict_routing:
            body["provider"] = {"require_parameters": True}
            body["plugins"] = [{"id": "context-compression", "enabled": False}]
        try:
            async with asyncio.timeout(seconds):
                return await self._post(body)
        except TimeoutError as exc:
            raise ModelUnavailable(f"no answer within {seconds:.1f} s") from exc
        except httpx.HTTPError as exc:
            raise ModelUnavailable(self._discreet(f"{type(exc).__name__}: {exc}").rstrip(": ")) from exc
        except ModelError as exc:
            # A service may quote the key it does not like.
            exc.args = (self._discreet(str(exc)),)
            raise

    async def _post(self, body: dict[str, Any]) -> Completion:
        headers = {
            "Authorization": f"Bearer {self._api_key}",
            "Accept": "application/json",
            # A compressed reply could unfold to any size before it is counted.
            "Accept-Encoding": "identity",
        }
        timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
        # A redirect would carry the key to a place nobody configured.
        async with self._http.stream(
            "POST", self._url, json=body, headers=headers, timeout=timeout, follow_redirects=False
        ) as response:
            reply = bytearray()
            async for chunk in response.aiter_bytes():
                reply += chunk
                if len(reply) > MAX_REPLY_BYTES:
                    raise ModelUnavailable(f"the reply is larger than {MAX_REPLY_BYTES} bytes")
        return read_completion(response.status_code, bytes(reply), retry_after=response.headers.get("retry-after"))

    def _discreet(self, text: str) -> str:
        return text.replace(self._api_key, "[key]")


def _stays_inside(host: str) -> bool:
    """Say whether *host* is this machine or a name without a dot, as containers on a private network have."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host
