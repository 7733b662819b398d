"""
The shape of an answer: as the strict JSON schema that goes with a request, and as the example printed in the prompt.

Follows what most providers enforce: the root is an object, every property is required and no other allowed, optional
values are unions with null. There are no bounds on values, because several providers refuse such a schema; reading and
risk check them in code. Words come before numbers, as models fill in fields in order.
"""

from collections.abc import Sequence
from typing import Any

from shared.domain.decision import Action, Comparison, Condition

Schema = dict[str, Any]

NAME = "trading_decisions"

EXAMPLE_MARK = "EXAMPLE ONLY"
"""Begins every text of the example: an item that bears it was copied."""

# Numbers in an example get copied, so these are legal and plainly of no market. An answer that repeats it is no answer.
EXAMPLE: dict[str, Any] = {
    "reasoning": f"{EXAMPLE_MARK}: one or two sentences on the market as a whole.",
    "decisions": [
        {
            "rationale": f"{EXAMPLE_MARK}: why this, why now.",
            "asset": "EXAMPLEUSDT",
            "action": "buy",
            "allocation_usd": 111.11,
            "leverage": 1,
            "stop_loss": 1.11,
            "take_profit": 4.44,
            "confidence": 0.77,
            "exit_plan": {
                "text": f"{EXAMPLE_MARK}: what would prove the idea wrong.",
                "invalidation": {"timeframe": "5m", "condition": "close_below", "price": 1.23},
                "indicator": {
                    "timeframe": "5m",
                    "name": "rsi_14",
                    "comparison": "crosses_below",
                    "value": 33.33,
                    "than": None,
                },
                "expiry": {"after_candles": 99, "timeframe": "5m", "at": None},
            },
        }
    ],
}


def answer_schema(symbols: Sequence[str], timeframes: Sequence[str], indicators: Sequence[str] = ()) -> Schema:
    """Return the schema of an answer that may speak of *symbols*, and of *indicators* on candles of *timeframes*."""
    invalidation = _object(
        {
            "timeframe": _or_null(_one_of(timeframes)),
            "condition": _one_of(list(Condition)),
            "price": {"type": "number"},
        }
    )
    indicator = _object(
        {
            "timeframe": _one_of(timeframes),
            "name": _one_of(indicators),
            "comparison": _one_of(list(Comparison)),
            "value": {"type": ["number", "null"]},
            "than": _or_null(_one_of(indicators)),
        }
    )
    expiry = _object(
        {
            "after_candles": {"type": ["integer", "null"]},
            "timeframe": _or_null(_one_of(timeframes)),
            "at": {"type": ["string", "null"]},
        }
    )
    decision = _object(
        {
            "rationale": {"type": "string"},
            "asset": _one_of(symbols),
            "action": _one_of(list(Action)),
            "allocation_usd": {"type": "number"},
            "leverage": {"type": "integer"},
            "stop_loss": {"type": ["number", "null"]},
            "take_profit": {"type": ["number", "null"]},
            "confidence": {"type": "number"},
            "exit_plan": _object(
                {
                    "text": {"type": "string"},
                    "invalidation": _or_null(invalidation),
                    "indicator": _or_null(indicator),
                    "expiry": _or_null(expiry),
                }
            ),
        }
    )
    return _object({"reasoning": {"type": "string"}, "decisions": {"type": "array", "items": decision}})


def _object(properties: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(choices: Sequence[str]) -> Schema:
    # An empty list of choices is no valid schema.
    return {"type": "string", "enum": [str(choice) for choice in choices]} if choices else {"type": "string"}
