"""A chat completion on the wire, with every field the service's clients insist on."""

from emulators.openrouter.characters import Reply
from emulators.openrouter.ledger import Generation
from emulators.openrouter.wire import Json


def completion(generation: Generation, reply: Reply) -> Json:
    """The body of a 200."""
    return {
        "id": generation.id,
        "object": "chat.completion",
        "created": generation.created,
        "model": generation.model.slug,
        "provider": "Emulated",
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


def _message(reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
    if reply.reasoning is None:
        return message
    detail = {
        "type": "reasoning.text",
        "text": reply.reasoning,
        "signature": None,
        "id": "reasoning-1",
        "format": "unknown",
        "index": 0,
    }
    return message | {"reasoning": reply.reasoning, "reasoning_details": [detail]}


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
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": generation.reasoning_tokens},
    }
