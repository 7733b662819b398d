"""A chat completion on the wire, whole or as a stream of chunks, with every field the service's clients insist on."""

from collections.abc import Iterator

from emulators.openrouter.ledger import Generation
from emulators.openrouter.reply import Reply, ToolCall
from emulators.openrouter.wire import Json

PIECES = 200
SMALLEST_PIECE = 48


def completion(generation: Generation, reply: Reply) -> Json:
    """The body of a 200."""
    return {
        "id": generation.id,
        "object": "chat.completion",
        "created": generation.created,
        "model": generation.model,
        "provider": generation.endpoint.provider.name,
        "system_fingerprint": None,
        "service_tier": None,
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": generation.finish_reason,
                "native_finish_reason": generation.native_finish_reason,
                "message": _message(reply),
            }
        ],
        "usage": _usage(generation),
    }


def chunks(generation: Generation, reply: Reply) -> Iterator[Json]:
    """The events of a stream: the role, thoughts, words and calls in pieces, the finish, and the usage by itself."""
    yield _chunk(generation, {"role": "assistant", "content": ""})
    if reply.reasoning is not None and not reply.hides_reasoning:
        for piece in _pieces(reply.reasoning):
            yield _chunk(generation, {"reasoning": piece, "reasoning_details": [_detail(piece)]})
    if reply.refusal is not None:
        yield _chunk(generation, {"refusal": reply.refusal})
    elif reply.content is not None:
        for piece in _pieces(reply.text):
            yield _chunk(generation, {"content": piece})
    for index, call in enumerate(reply.tool_calls):
        opened = _call(index, call) | {"function": {"name": call.name, "arguments": ""}}
        yield _chunk(generation, {"tool_calls": [opened]})
        for piece in _pieces(call.arguments):
            yield _chunk(generation, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _chunk(generation, {"content": ""}, finished=True)
    yield _chunk(generation) | {"usage": _usage(generation)}


def failed_chunk(generation: Generation, error: Json) -> Json:
    """The event by which a stream says that it has failed."""
    body = _chunk(generation, {"content": ""}) | {"error": error}
    body["choices"][0]["finish_reason"] = "error"
    return body


def _chunk(generation: Generation, delta: Json | None = None, *, finished: bool = False) -> Json:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": generation.finish_reason if finished else None,
        "native_finish_reason": generation.native_finish_reason if finished else None,
        "logprobs": None,
    }
    return {
        "id": generation.id,
        "object": "chat.completion.chunk",
        "created": generation.created,
        "model": generation.model,
        "provider": generation.endpoint.provider.name,
        "choices": [choice] if delta is not None else [],
    }


def _pieces(text: str) -> Iterator[str]:
    size = max(SMALLEST_PIECE, len(text) // PIECES)
    return (text[at : at + size] for at in range(0, len(text), size))


def _message(reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
    if reply.tool_calls:
        message["tool_calls"] = [_call(index, call) for index, call in enumerate(reply.tool_calls)]
    if reply.reasoning is None or reply.hides_reasoning:
        return message
    return message | {"reasoning": reply.reasoning, "reasoning_details": [_detail(reply.reasoning)]}


def _call(index: int, call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": index, "id": call.id, "type": "function", "function": function}


def _detail(text: str) -> Json:
    return {
        "type": "reasoning.text",
        "text": text,
        "signature": None,
        "id": "reasoning-1",
        "format": "unknown",
        "index": 0,
    }


def _usage(generation: Generation) -> Json:
    return {
        "prompt_tokens": generation.prompt_tokens,
        "completion_tokens": generation.completion_tokens,
        "total_tokens": generation.prompt_tokens + generation.completion_tokens,
        "cost": generation.cost,
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": None,
            "upstream_inference_prompt_cost": generation.prompt_cost,
            "upstream_inference_completions_cost": generation.completion_cost,
        },
        "prompt_tokens_details": {
            "cached_tokens": generation.cached_tokens,
            "cache_write_tokens": 0,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": generation.reasoning_tokens},
    }
