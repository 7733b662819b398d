"""A chat completion request, checked as the service checks it: every refusal is a `ServiceError` of status 400."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from emulators.openrouter.errors import ServiceError
from emulators.openrouter.preferences import Preferences, read_preferences
from emulators.openrouter.reply import ToolCall, tokens
from emulators.openrouter.schema import Schema, flaw, misshapen
from emulators.openrouter.wire import dumps

ROLES = ("system", "developer", "user", "assistant", "tool")
FORMATS = ("text", "json_object", "json_schema", "grammar", "python")
EFFORTS = ("max", "xhigh", "high", "medium", "low", "minimal", "none")
PLUGINS = ("response-healing", "web", "context-compression", "file-parser", "moderation")
CHOICES = ("auto", "none", "required")
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "top_a": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0, 2),
    "top_logprobs": (0, 20),
}
PARAMETERS = frozenset(
    {
        *RANGES,
        *("top_k", "logit_bias", "logprobs", "stop", "seed", "max_tokens", "max_completion_tokens", "reasoning"),
        *("response_format", "tools", "tool_choice", "parallel_tool_calls", "verbosity"),
    }
)
"""What an endpoint may or may not support: what `provider.require_parameters` goes by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the conversation, its text parts joined."""

    role: str
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    has_reasoning_details: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the model may call; `parameters` is the JSON Schema of its arguments."""

    name: str
    parameters: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """How much to think: an effort, or a budget in tokens."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What is asked: *models* in the order to be tried.

    *format* is the type of the response format, None without one; *schema* the schema to enforce, None when there is
    none or it is not strict. *parameters* names the optional parameters that were sent. *forced_tool* is the function
    that must be called.
    """

    models: list[str]
    messages: tuple[Message, ...]
    max_tokens: int | None
    format: str | None
    schema: Schema | None
    tools: tuple[Tool, ...]
    tool_choice: str
    forced_tool: str | None
    parallel_tool_calls: bool
    provider: Preferences
    reasoning: Reasoning
    stream: bool
    seed: int | None
    parameters: frozenset[str]
    compresses: bool | None
    """Whether a prompt too long may lose its middle; None to leave that to the model."""
    session_id: str | None
    tool_characters: int

    @property
    def system_text(self) -> str:
        return "\n".join(each.text for each in self.messages if each.role in {"system", "developer"})

    @property
    def user_texts(self) -> Sequence[str]:
        return [each.text for each in self.messages if each.role == "user"]

    @property
    def prompt_text(self) -> str:
        """Everything the model reads, in one piece."""
        return "".join(
            each.text + "".join(call.name + call.arguments for call in each.tool_calls) for each in self.messages
        )

    @property
    def prompt_tokens(self) -> int:
        return tokens(len(self.prompt_text) + self.tool_characters)


def read_question(body: bytes) -> Question:
    """Read the body of `POST /chat/completions`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        _refuse("Request body is not valid JSON")
    if not isinstance(document, dict):
        _refuse("Request body must be a JSON object")
    document = {name: value for name, value in document.items() if value is not None}
    _check_ranges(document)
    tools = _tools(document.get("tools", []))
    choice, forced = _tool_choice(document.get("tool_choice", "auto"), tools)
    form = _format(document.get("response_format"))
    return Question(
        models=_models(document),
        messages=_messages(document.get("messages")),
        max_tokens=_max_tokens(document),
        format=form,
        schema=_strict_schema(document["response_format"]) if form == "json_schema" else None,
        tools=tools,
        tool_choice=choice,
        forced_tool=forced,
        parallel_tool_calls=document.get("parallel_tool_calls") is not False,
        provider=read_preferences(document.get("provider", {})),
        reasoning=_reasoning(document),
        stream=document.get("stream") is True,
        seed=document.get("seed"),
        parameters=PARAMETERS & document.keys(),
        compresses=_compresses(document),
        session_id=document.get("session_id"),
        tool_characters=len(dumps(document["tools"])) if tools else 0,
    )


def _check_ranges(document: dict[str, Any]) -> None:
    for name, (least, most) in RANGES.items():
        value = document.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            _refuse(f"{name} must be a number from {least} to {most}")
    for name in ("seed", "top_k"):
        if not isinstance(document.get(name, 0), int) or isinstance(document.get(name), bool):
            _refuse(f"{name} must be an integer")
    for name in ("stream", "parallel_tool_calls", "logprobs"):
        if not isinstance(document.get(name, False), bool):
            _refuse(f"{name} must be true or false")
    stop = document.get("stop", [])
    if not isinstance(stop, str | list) or (isinstance(stop, list) and len(stop) > 4):
        _refuse("stop must be a string or an array of at most 4")
    for name, longest in (("session_id", 256), ("user", 1024)):
        if not isinstance(document.get(name, ""), str) or len(document.get(name, "")) > longest:
            _refuse(f"{name} must be a string of at most {longest} characters")
    metadata = document.get("metadata", {})
    if not isinstance(metadata, dict) or len(metadata) > 16 or not all(map(_is_short, metadata.items())):
        _refuse("metadata must hold at most 16 strings, keys of at most 64 and values of at most 512 characters")


def _is_short(item: tuple[str, object]) -> bool:
    key, value = item
    return isinstance(value, str) and len(key) <= 64 and len(value) <= 512


def _messages(messages: object) -> tuple[Message, ...]:
    if not isinstance(messages, list) or not messages:
        _refuse("messages: a non-empty array is required")
    read = tuple(_message(message) for message in messages)
    waiting: list[str] = []
    for each in read:
        if each.role == "tool":
            if each.tool_call_id not in waiting:
                _refuse("messages: a message of role tool must answer a tool_call of the assistant's message before it")
            waiting.remove(each.tool_call_id)
            continue
        _refuse_unanswered(waiting)
        waiting = [call.id for call in each.tool_calls]
    _refuse_unanswered(waiting)
    return read


def _refuse_unanswered(waiting: list[str]) -> None:
    if waiting:
        _refuse(
            "messages: an assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'; missing: {', '.join(sorted(waiting))}"
        )


def _message(message: object) -> Message:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        _refuse(f"messages: each needs a role, one of {', '.join(ROLES)}")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or (calls and message["role"] != "assistant"):
        _refuse("messages: tool_calls must be an array, of a message of role assistant")
    return Message(
        role=message["role"],
        text=_text(message.get("content")),
        tool_calls=tuple(_tool_call(call) for call in calls),
        tool_call_id=str(message.get("tool_call_id", "")),
        has_reasoning_details=bool(message.get("reasoning_details")),
    )


def _tool_call(call: object) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        _refuse("messages: each of tool_calls needs an id and a function")
    found = ToolCall(id=call.get("id", ""), name=function.get("name", ""), arguments=function.get("arguments", ""))
    if not all(isinstance(part, str) for part in (found.id, found.name, found.arguments)) or not found.id:
        _refuse("messages: id, name and arguments of tool_calls must be strings")
    return found


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


def _format(response_format: object) -> str | None:
    if response_format is None:
        return None
    if not isinstance(response_format, dict) or response_format.get("type") not in FORMATS:
        _refuse(f"response_format: type must be one of {', '.join(FORMATS)}")
    return str(response_format["type"])


def _strict_schema(response_format: Mapping[str, Any]) -> Schema | None:
    named = response_format.get("json_schema")
    if not isinstance(named, dict) or not NAME.fullmatch(str(named.get("name", ""))):
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


def _tools(tools: object) -> tuple[Tool, ...]:
    if not isinstance(tools, list):
        _refuse("tools must be an array")
    read = tuple(_tool(tool) for tool in tools)
    if len({tool.name for tool in read}) < len(read):
        _refuse("tools: two functions have the same name")
    return read


def _tool(tool: object) -> Tool:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict) or not NAME.fullmatch(str(function.get("name", ""))):
        _refuse("tools: each must be a function with a name of 1 to 64 letters, digits, _ or -")
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        _refuse(f"tools: the parameters of {function['name']} must be a JSON Schema of type object")
    if (problem := misshapen(parameters)) is not None:
        _refuse(f"Invalid schema for function '{function['name']}': {problem}")
    if function.get("strict") is True and (problem := flaw(parameters)) is not None:
        _refuse(f"Invalid schema for function '{function['name']}': {problem}")
    return Tool(name=function["name"], parameters=parameters)


def _tool_choice(choice: object, tools: tuple[Tool, ...]) -> tuple[str, str | None]:
    if isinstance(choice, dict):
        name = choice["function"].get("name") if isinstance(choice.get("function"), dict) else None
        if choice.get("type") != "function" or name not in [tool.name for tool in tools]:
            _refuse("tool_choice: must name one of the functions of tools")
        return "required", str(name)
    if choice not in CHOICES:
        _refuse(f"tool_choice must be one of {', '.join(CHOICES)}, or name a function")
    if choice == "required" and not tools:
        _refuse("tool_choice: required without tools")
    return str(choice), None


def _reasoning(document: dict[str, Any]) -> Reasoning:
    wanted, shorthand = document.get("reasoning", {}), document.get("reasoning_effort")
    if not isinstance(wanted, dict):
        _refuse("reasoning must be an object")
    effort, budget = wanted.get("effort"), wanted.get("max_tokens")
    if effort is not None and shorthand is not None and effort != shorthand:
        _refuse("reasoning_effort and reasoning.effort differ")
    effort = effort or shorthand
    if effort is not None and budget is not None:
        _refuse("reasoning: give either effort or max_tokens")
    if effort is not None and effort not in EFFORTS:
        _refuse(f"reasoning.effort must be one of {', '.join(EFFORTS)}")
    if budget is not None and (type(budget) is not int or budget < 0):
        _refuse("reasoning.max_tokens must be an integer")
    if effort is None and budget is None and wanted.get("enabled") is not None:
        effort = "medium" if wanted["enabled"] else "none"
    return Reasoning(effort=effort, max_tokens=budget, exclude=wanted.get("exclude") is True)


def _compresses(document: dict[str, Any]) -> bool | None:
    plugins = document.get("plugins", [])
    if not isinstance(plugins, list) or not all(
        isinstance(each, dict) and each.get("id") in PLUGINS for each in plugins
    ):
        _refuse(f"plugins: each needs an id, one of {', '.join(PLUGINS)}")
    for each in plugins:
        if each["id"] == "context-compression":
            return each.get("enabled") is not False
    transforms = document.get("transforms")
    if transforms is not None and not isinstance(transforms, list):
        _refuse("transforms must be an array")
    return None if transforms is None else "middle-out" in transforms


def _refuse(message: str) -> NoReturn:
    raise ServiceError(400, message)
