"""
What one socket is subscribed to, and the commands by which it says so.

Commands are JSON texts `{"method", "params", "id"}`; each gets one answer, `{"result", "id"}` or `{"code", "msg"}` in
the exchange's words. An id is an unsigned integer or missing. Any name can be subscribed to: of a stream that does not
exist nothing is heard.
"""

from __future__ import annotations

import json
from typing import Any

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
COMBINED = "combined"
MOST_STREAMS = 200
UNKNOWN_PROPERTY, BAD_VALUE, BAD_REQUEST, BAD_JSON = range(4)


class BadCommand(Exception):
    """A command that is not carried out."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def bad_request(text: str) -> BadCommand:
    return BadCommand(BAD_REQUEST, f"Invalid request: {text}")


class Subscriptions:
    """The streams of one socket, in the order they were subscribed to, and whether its events carry their names."""

    def __init__(self, streams: list[str], *, combined: bool) -> None:
        self.streams = dict.fromkeys(streams)
        self.combined = combined

    def answer(self, text: str) -> str:
        """Carry out a command and return the answer."""
        try:
            command = _command(text)
            answer = {"result": self._carry_out(command), "id": command.get("id")}
        except BadCommand as exc:
            answer = {"code": exc.code, "msg": str(exc)}
        return json.dumps(answer, separators=(",", ":"))

    def _carry_out(self, command: dict[str, Any]) -> Any:
        method, params = command["method"], command.get("params") or []
        if not isinstance(params, list):
            raise bad_request("invalid type: params must be a sequence")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self.streams)
        if method in {"SET_PROPERTY", "GET_PROPERTY"}:
            return self._set(params) if method == "SET_PROPERTY" else self._get(params)
        if not all(isinstance(name, str) for name in params):
            raise bad_request("invalid type: stream names must be strings")
        if method == "UNSUBSCRIBE":
            for name in params:
                self.streams.pop(name, None)
            return None
        wanted = self.streams | dict.fromkeys(params)
        if len(wanted) > MOST_STREAMS:
            raise bad_request("too many parameters")
        self.streams = wanted
        return None

    def _set(self, params: list[Any]) -> None:
        if len(params) > 2:
            raise bad_request("too many parameters")
        _refuse_unknown_property(params)
        if len(params) < 2 or not isinstance(params[1], bool):
            raise BadCommand(BAD_VALUE, "Invalid value type: expected Boolean")
        self.combined = params[1]

    def _get(self, params: list[Any]) -> bool:
        if len(params) > 1:
            raise bad_request("too many parameters")
        _refuse_unknown_property(params)
        return self.combined


def _refuse_unknown_property(params: list[Any]) -> None:
    if not params or not isinstance(params[0], str):
        raise bad_request("property name must be a string")
    if params[0] != COMBINED:
        raise BadCommand(UNKNOWN_PROPERTY, "Unknown property")


def _command(text: str) -> dict[str, Any]:
    """Return a command whose method and id are in order."""
    try:
        command = json.loads(text)
    except (ValueError, RecursionError) as exc:
        # A number of too many digits and brackets that are too deep have no place of their own.
        line, column = (exc.lineno, exc.colno) if isinstance(exc, json.JSONDecodeError) else (1, len(text))
        raise BadCommand(BAD_JSON, f"Invalid JSON: expected value at line {line} column {column}") from exc
    place = f"line 1 column {len(text)}"
    if not isinstance(command, dict):
        raise bad_request(f"invalid type, expected a command at {place}")
    if "method" not in command:
        raise bad_request(f"missing field `method` at {place}")
    number = command.get("id")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        raise bad_request("request ID must be an unsigned integer")
    if command["method"] not in METHODS:
        known = ", ".join(f"`{name}`" for name in METHODS)
        raise bad_request(f"unknown variant `{command['method']}`, expected one of {known} at {place}")
    return command
