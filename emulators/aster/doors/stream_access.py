"""Endpoints that open, keep and close a user's stream."""

from __future__ import annotations

from .calls import Answer, Call, Endpoint


async def open_key(call: Call) -> Answer:
    return {"listenKey": call.venue.listen_keys.open(call.account, call.now)}


async def extend_key(call: Call) -> Answer:
    call.venue.listen_keys.extend(call.account, call.now)
    return {}


async def close_key(call: Call) -> Answer:
    call.venue.listen_keys.close(call.account, call.now)
    return {}


ENDPOINTS = (
    Endpoint("POST", "listenKey", open_key, signed=True, by_key=True),
    Endpoint("PUT", "listenKey", extend_key, signed=True, by_key=True),
    Endpoint("DELETE", "listenKey", close_key, signed=True, by_key=True),
)
