"""A chat completion request, checked as the service checks it: every refusal is a `ServiceError` of status 400."""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from emulators.openrouter.errors import ServiceError
from emulators.openrouter.schema import Schema, flaw

ROLES = ("system", "developer", "user", "assistant", "tool")
FORMATS = ("text", "json_object", "json_schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What is asked: *models* in the order to be tried, the text of the last user message in *user_text*.

    *schema* is the schema to enforce, None when there is none or it is not strict.
    """

    models: list[str]
    user_text: str
    prompt_characters: int
    max_tokens: int | None
    schema: Schema | None


def read_question(body: bytes) -> Question:
    """Read the body of `POST /chat/completions`."""
    try:
        document = json.loads(body)
    except ValueError:
        _refuse("Request body is not valid JSON")
    if not isinstance(document, dict):
        _refuse("Request body must be a JSON object")
    if document.get("stream"):
        _refuse("stream: streaming is not emulated; send stream false")
    messages = _messages(document.get("messages"))
    return Question(
        models=_models(document),
        user_text=next((text for role, text in reversed(messages) if role == "user"), ""),
        prompt_characters=sum(len(text) for _, text in messages),
        max_tokens=_max_tokens(document),
        schema=_strict_schema(document.get("response_format")),
    )


def _messages(messages: object) -> list[tuple[str, str]]:
    if not isinstance(messages, list) or not messages:
        _refuse("messages: a non-empty array is required")
    return [_message(message) for message in messages]


def _message(message: object) -> tuple[str, str]:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        _refuse(f"messages: each needs a role, one of {', '.join(ROLES)}")
    return message["role"], _text(message.get("content"))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is not None:
        _refuse("messages: content must be a string or an array of parts")
    return ""


def _models(document: dict[str, Any]) -> list[str]:
    primary, fallbacks = document.get("model"), document.get("models", [])
    if not isinstance(fallbacks, list) or not all(isinstance(model, str) for model in [primary or "", *fallbacks]):
        _refuse("model must be a string and models an array of strings")
    # A model that is also its own fallback is tried once.
    models = list(dict.fromkeys([*([primary] if primary else []), *fallbacks]))
    if not models:
        _refuse("model: no model given")
    return models


def _max_tokens(document: dict[str, Any]) -> int | None:
    limit = document.get("max_completion_tokens", document.get("max_tokens"))
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        _refuse("max_tokens must be an integer of at least 1")
    return limit


def _strict_schema(response_format: object) -> Schema | None:
    if response_format is None:
        return None
    if not isinstance(response_format, dict) or response_format.get("type") not in FORMATS:
        _refuse(f"response_format: type must be one of {', '.join(FORMATS)}")
    if response_format["type"] != "json_schema":
        return None
    named = response_format.get("json_schema")
    if not isinstance(named, dict) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(named.get("name", ""))):
        _refuse("response_format.json_schema.name: 1 to 64 letters, digits, _ or - are required")
    schema = named.get("schema")
    if not isinstance(schema, dict):
        _refuse("response_format.json_schema.schema: an object is required")
    if named.get("strict") is not True:
        return None
    problem = flaw(schema)
    if problem is not None:
        _refuse(f"Invalid schema for response_format '{named['name']}': {problem}")
    return schema


def _refuse(message: str) -> NoReturn:
    raise ServiceError(400, message)
