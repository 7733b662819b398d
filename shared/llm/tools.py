"""
What a model may look up before it decides: as the tools of a request, and as the answers to its calls.

Every call gets an answer; a bad one is told what was wrong with it. Answers are short JSON of few digits, and a round
of them has a bound, for the whole of it is paid for once more with every question that follows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.briefing import decision_line, fill_line
from shared.domain.errors import BadQuestion, MarketDataUnusable
from shared.domain.market import Timeframe
from shared.domain.ports import Lookup
from shared.llm.completion import ToolCall

MAX_CALLS = 8
"""Within one round; further ones are told to come back."""
MAX_ROUND_CHARACTERS = 24_000
MOST_VALUES = 50
USUAL_VALUES = 10
MOST_ROWS = 30
LARGEST_PERIOD = 250
"""In candles: values are computed from 300."""
LARGEST_FACTOR = 100.0
MOVING_AVERAGES = 9

Arguments = Mapping[str, Any]


class Toolbox:
    """The tools over one cycle's *lookup*; *indicators* names the TA-Lib functions that the account allows."""

    def __init__(self, lookup: Lookup, indicators: Sequence[str]) -> None:
        self._lookup = lookup
        self._indicators = tuple(indicators)

    def offered(self) -> list[dict[str, Any]]:
        """Return the tools as they stand in a request."""
        symbol = {"type": "string", "enum": list(self._lookup.symbols)}
        timeframe = {"type": "string", "enum": [each.value for each in Timeframe]}
        last = {"type": "integer", "description": f"how many of the newest values, 1 to {MOST_VALUES}"}
        count = {"type": "integer", "description": f"how many of the newest, 1 to {MOST_ROWS}"}
        tools = []
        if self._indicators and self._lookup.symbols:
            tools.append(
                _tool(
                    "indicator",
                    "A TA-Lib function over the closed candles of a series, oldest value first.",
                    {
                        "symbol": symbol,
                        "timeframe": timeframe,
                        "function": {"type": "string", "enum": list(self._indicators)},
                        "parameters": {
                            "type": "object",
                            "description": 'TA-Lib\'s parameters by name, such as {"timeperiod": 21}; '
                            "what is left out has its usual value",
                        },
                        "last": last,
                    },
                    required=("symbol", "timeframe", "function"),
                )
            )
        if self._lookup.symbols:
            tools.append(
                _tool(
                    "candles",
                    "Closed candles of a series, oldest first.",
                    {"symbol": symbol, "timeframe": timeframe, "last": last},
                    required=("symbol", "timeframe"),
                )
            )
        return [
            *tools,
            _tool("recent_fills", "This account's latest trades, newest first.", {"count": count}),
            _tool("past_decisions", "This account's own latest decisions, newest first.", {"count": count}),
        ]

    async def answers(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """Return a message for each of *calls*, in their order."""
        left = MAX_ROUND_CHARACTERS
        messages = []
        for place, call in enumerate(calls):
            text = "" if place >= MAX_CALLS else json.dumps(await self._answer(call), separators=(",", ":"))
            if place >= MAX_CALLS or len(text) > left:
                text = json.dumps({"error": f"too much at once: ask for less, {MAX_CALLS} things at most"})
            left -= len(text)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
        return messages

    async def _answer(self, call: ToolCall) -> dict[str, Any]:
        tools = {
            "indicator": self._indicator,
            "candles": self._candles,
            "recent_fills": self._fills,
            "past_decisions": self._decisions,
        }
        if call.name not in tools:
            return {"error": f"there is no tool {call.name[:40]!r}"}
        try:
            return await tools[call.name](_arguments(call.arguments))
        except (BadQuestion, MarketDataUnusable) as exc:
            return {"error": str(exc)}

    async def _fills(self, arguments: Arguments) -> dict[str, Any]:
        fills = await self._lookup.fills(_whole(arguments, "count", MOST_ROWS))
        return {"recent_fills": [fill_line(fill) for fill in fills]}

    async def _decisions(self, arguments: Arguments) -> dict[str, Any]:
        made = await self._lookup.decisions(_whole(arguments, "count", MOST_ROWS))
        return {"past_decisions": [decision_line(tick, each) for tick, each in made]}

    async def _indicator(self, arguments: Arguments) -> dict[str, Any]:
        function = _one_of(arguments, "function", self._indicators)
        parameters = _parameters(arguments.get("parameters"), function, self._lookup.parameters(function))
        symbol, timeframe = self._series(arguments)
        last = _whole(arguments, "last", MOST_VALUES)
        outputs = await self._lookup.indicator(symbol, timeframe, function, parameters)
        values = {name: list(column[-last:]) for name, column in outputs.items()}
        return {"symbol": symbol, "timeframe": timeframe.value, "function": function, "parameters": parameters} | values

    async def _candles(self, arguments: Arguments) -> dict[str, Any]:
        symbol, timeframe = self._series(arguments)
        window = await self._lookup.candles(symbol, timeframe)
        last = _whole(arguments, "last", MOST_VALUES)
        columns = {name: list(getattr(window, name)[-last:]) for name in ("open", "high", "low", "close", "volume")}
        opened = [moment.isoformat(timespec="minutes") for moment in window.opened[-last:]]
        return {"symbol": symbol, "timeframe": timeframe.value, "opened": opened} | columns

    def _series(self, arguments: Arguments) -> tuple[str, Timeframe]:
        symbol = _one_of(arguments, "symbol", self._lookup.symbols)
        return symbol, Timeframe(_one_of(arguments, "timeframe", [each.value for each in Timeframe]))


def _tool(
    name: str, description: str, properties: Mapping[str, Any], *, required: Sequence[str] = ()
) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _arguments(text: str) -> Arguments:
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        raise BadQuestion("the arguments are no JSON") from None
    if not isinstance(found, dict):
        raise BadQuestion("the arguments must be one JSON object")
    return found


def _one_of(arguments: Arguments, name: str, choices: Sequence[str]) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or value not in choices:
        raise BadQuestion(f"{name} must be one of {', '.join(choices)}")
    return value


def _whole(arguments: Arguments, name: str, most: int) -> int:
    value = arguments.get(name, USUAL_VALUES)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadQuestion(f"{name} must be a whole number from 1 to {most}")
    return value


def _parameters(given: object, function: str, known: Mapping[str, int | float]) -> dict[str, int | float]:
    """Return every parameter of *function*, those *given* checked: none may be unknown, of another type or absurd."""
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise BadQuestion("parameters must be an object")
    if unknown := sorted(map(str, given.keys() - known.keys())):
        offered = ", ".join(known) or "none"
        raise BadQuestion(f"{function} has no parameter {unknown[0][:40]!r}: it takes {offered}")
    return {name: _parameter(name, given.get(name, usual), usual) for name, usual in known.items()}


def _parameter(name: str, value: object, usual: float) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadQuestion(f"{name} must be a number")
    if isinstance(usual, int):
        least, most = (0, MOVING_AVERAGES - 1) if "matype" in name else (1, LARGEST_PERIOD)
        if not isinstance(value, int) or not least <= value <= most:
            raise BadQuestion(f"{name} must be a whole number from {least} to {most}")
        return value
    if not -LARGEST_FACTOR <= value <= LARGEST_FACTOR:  # which refuses what is no number too
        raise BadQuestion(f"{name} must lie within -{LARGEST_FACTOR:g} and {LARGEST_FACTOR:g}")
    return float(value)
