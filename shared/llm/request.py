"""
A question as it goes over the wire, and what of it is left out for a model that lacks something.

What is not set is not sent: every optional parameter narrows the choice of endpoints. A round with tools goes without
the schema, for with both several models answer by a tool call or ignore the schema; the last round is the reverse.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from shared.domain.model import ModelCall, ModelOptions, Prompt
from shared.llm.schema import NAME, Schema


class Feature(StrEnum):
    """What some services or models lack."""

    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    PROVIDER = "provider"
    SEED = "seed"
    TEMPERATURE = "temperature"
    REASONING = "reasoning"
    MAX_TOKENS = "max_tokens"
    """Where it is missing, `max_completion_tokens` is sent."""


def request_body(
    prompt: Prompt,
    model: str,
    options: ModelOptions,
    *,
    schema: Schema,
    tools: Sequence[Mapping[str, Any]] = (),
    lacks: Collection[Feature] = (),
) -> dict[str, Any]:
    """Return the body of the request. *tools* stands for a round in which the model may look things up."""
    limit = "max_completion_tokens" if Feature.MAX_TOKENS in lacks else "max_tokens"
    body: dict[str, Any] = {"model": model, "messages": prompt.messages, limit: options.max_tokens, "stream": False}
    if tools:
        body["tools"] = list(tools)
    elif Feature.JSON_SCHEMA not in lacks:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": NAME, "strict": True, "schema": schema},
        }
    elif Feature.JSON_OBJECT not in lacks:
        body["response_format"] = {"type": "json_object"}
    optional = {
        Feature.TEMPERATURE: options.temperature,
        Feature.SEED: options.seed,
        Feature.REASONING: options.reasoning,
        Feature.PROVIDER: options.provider,
    }
    body |= {feature.value: value for feature, value in optional.items() if value is not None and feature not in lacks}
    if Feature.PROVIDER not in lacks:
        # Else the middle of a prompt that does not fit would be dropped without a word.
        body["plugins"] = [{"id": "context-compression", "enabled": False}]
    return body


def parameters_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a body holds beside its messages, the schema and the tools as their hashes."""
    parameters = {name: value for name, value in body.items() if name != "messages"}
    if "tools" in parameters:
        parameters["tools"] = _hash(parameters["tools"])
    match parameters.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            parameters["response_format"] = {"type": "json_schema", "schema": _hash(schema)}
    return parameters


def _hash(document: Any) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


ABOUT_THE_CONTENT = re.compile(
    r"content_policy_violation|refusal|context_length_exceeded|max_tokens_exceeded|token_limit_exceeded"
    r"|string_too_long|invalid_prompt|payload_too_large|authentication|permission_denied|payment_required"
)
NOT_KNOWN = re.compile(
    r"unsupported|support|unknown|unrecogni[sz]ed|unexpected|invalid|extra|unavailable|permitted|allowed|require"
    r"|must be|deserialize|not implemented|incompatible",
    re.IGNORECASE,
)
NO_ENDPOINT = re.compile(r"can handle the requested parameters", re.IGNORECASE)
NAMES = {
    Feature.TOOLS: re.compile(r"\btools?\b|tool[_ -]?(choice|use|call)|function[_ -]?call", re.IGNORECASE),
    Feature.JSON_SCHEMA: re.compile(r"response_format|json_schema|\bschema\b|structured[_ -]?output", re.IGNORECASE),
    Feature.JSON_OBJECT: re.compile(r"response_format|json_object|json mode", re.IGNORECASE),
    Feature.SEED: re.compile(r"\bseed\b", re.IGNORECASE),
    Feature.TEMPERATURE: re.compile(r"\btemperature\b", re.IGNORECASE),
    Feature.REASONING: re.compile(r"\breasoning\b", re.IGNORECASE),
    # Nor is every text that speaks of a limit about its name.
    Feature.MAX_TOKENS: re.compile(
        r"\bmax_completion_tokens\b|(unknown|unrecogni[sz]ed|unexpected|unsupported|extra)[^.]*\bmax_tokens\b",
        re.IGNORECASE,
    ),
    # Not every text that speaks of a provider is about the parameter.
    Feature.PROVIDER: re.compile(
        r"(unknown|unrecogni[sz]ed|unexpected|unsupported|extra|additional)[^.]*\b(provider|plugins)\b"
        r"|\b(provider|plugins)\b[^.]*(extra_forbidden|not permitted)",
        re.IGNORECASE,
    ),
}


def sent_features(parameters: Mapping[str, Any]) -> list[Feature]:
    """Return what a request asked for that a service may lack, what costs least to do without first."""
    kind = (parameters.get("response_format") or {}).get("type")
    sent = {
        Feature.TOOLS: "tools" in parameters,
        Feature.JSON_SCHEMA: kind == "json_schema",
        Feature.JSON_OBJECT: kind == "json_object",
        Feature.PROVIDER: "provider" in parameters or "plugins" in parameters,
        **{each: each.value in parameters for each in Feature if each in _PLAIN},
    }
    return [feature for feature, is_sent in sent.items() if is_sent]


_PLAIN = (Feature.SEED, Feature.TEMPERATURE, Feature.REASONING, Feature.MAX_TOKENS)


def lacking(call: ModelCall) -> Feature | None:
    """Return what the service does not know of what it was sent, told by how it refused; None for any other failure."""
    error = call.error or ""
    refused = re.match(r"Model(Refused|Unavailable): HTTP (400|404|415|422|500|501)\b", error)
    if not refused or ABOUT_THE_CONTENT.search(error):
        return None
    sent = sent_features(call.parameters)
    if NO_ENDPOINT.search(error):
        return next((each for each in sent if each not in {Feature.PROVIDER, Feature.MAX_TOKENS}), None)
    if not NOT_KNOWN.search(error):
        return None
    return next((feature for feature, name in NAMES.items() if feature in sent and name.search(error)), None)
