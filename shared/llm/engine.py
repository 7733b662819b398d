"""
The `Engine` port: asks models in order until one gives an answer that can be read, and keeps a record of every attempt.

A failure that may pass is tried again, after a pause that grows or that the service named, as long as the deadline
allows; any other failure, an unreadable answer among them, moves on to the next model. Each model gets an equal share
of the time that is left, so that a slow first one leaves time for its fallbacks. When all have failed, the record says
why and there is no answer: nothing new is risked, and what is open stays protected without one.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.decision import Answer
from shared.domain.errors import ModelError, ModelRefused, ModelUnavailable
from shared.domain.model import ModelCall, Prompt
from shared.domain.ports import Clock
from shared.llm import reply
from shared.llm.client import OpenRouterClient
from shared.llm.completion import Completion
from shared.llm.prompt import PromptTemplate, briefed
from shared.llm.schema import Schema, answer_schema

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Question:
    prompt: Prompt
    symbols: tuple[str, ...]
    schema: Schema


class LlmEngine:
    """A language model behind an OpenRouter-compatible service."""

    def __init__(
        self,
        client: OpenRouterClient,
        template: PromptTemplate,
        clock: Clock,
        *,
        deadline: timedelta = timedelta(seconds=120),
        retries: int = 2,
        max_tokens: int = 8000,
        temperature: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """*deadline* covers all models together; *max_tokens* includes what a model thinks.

        *retries* is how often the same model is asked again; *jitter* returns a number within 0 and 1.
        """
        self._client = client
        self._template = template
        self._clock = clock
        self._deadline = deadline
        self._retries = retries
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._sleep = sleep
        self._jitter = jitter

    def prompt(self, briefing: Mapping[str, Any]) -> Prompt:
        """Return the messages that put *briefing* before the model."""
        return self._template.prompt(briefing)

    async def ask(self, prompt: Prompt, models: Sequence[str]) -> Sequence[ModelCall]:
        """Ask the models in order until one answers. Never raises.

        The last call holds the answer, if any did. A call that failed has an `error` and no `content`; what the model
        said, and what that cost, is in it all the same.
        """
        question = _question(prompt)
        ends = self._clock.now() + self._deadline
        calls: list[ModelCall] = []
        for place, model in enumerate(models):
            now = self._clock.now()
            calls += await self._ask_one(question, model, now + (ends - now) / (len(models) - place))
            if calls and calls[-1].error is None:
                break
        return calls

    def read(self, content: str, symbols: Sequence[str]) -> Answer:
        """Return the decisions in *content*, item by item. Raises UnusableReply when it holds none to trust."""
        return reply.read(content, symbols)

    async def _ask_one(self, question: _Question, model: str, ends: datetime) -> list[ModelCall]:
        """Ask one model until it answers, fails for good, or its time is up."""
        calls = []
        for attempt in range(self._retries + 1):
            seconds = (ends - self._clock.now()).total_seconds()
            if seconds <= 0:
                break
            call, failure = await self._attempt(question, model, seconds)
            calls.append(call)
            if not isinstance(failure, ModelUnavailable):
                break
            pause = failure.retry_after
            if pause is None:
                pause = FIRST_PAUSE_SECONDS * 2**attempt * (1 + self._jitter())
            if attempt == self._retries or self._clock.now() + timedelta(seconds=pause) >= ends:
                break
            await self._sleep(pause)
        return calls

    async def _attempt(self, question: _Question, model: str, seconds: float) -> tuple[ModelCall, ModelError | None]:
        at = self._clock.now()
        completion: Completion | None = None
        content: str | None = None
        failure: ModelError | None = None
        try:
            completion = await self._client.complete(
                question.prompt,
                model=model,
                schema=question.schema,
                max_tokens=self._max_tokens,
                temperature=self._temperature,
                seconds=seconds,
            )
            content = completion.answer()
            self.read(content, question.symbols)
        except ModelError as exc:
            failure = exc
        except Exception as exc:
            # A flaw of ours in reading one model's reply must not keep the next model from being asked.
            log.exception("asking a model failed", extra={"model": model})
            failure = ModelRefused(f"{type(exc).__name__} on our side")
        call = ModelCall(
            asked_model=model,
            answered_model=None,
            provider=None,
            prompt=question.prompt,
            content=content if failure is None else None,
            latency_ms=round((self._clock.now() - at) / timedelta(milliseconds=1)),
            error=None if failure is None else f"{type(failure).__name__}: {failure}",
            at=at,
        )
        return call if completion is None else _with(call, completion), failure


def _with(call: ModelCall, completion: Completion) -> ModelCall:
    return replace(
        call,
        answered_model=completion.model,
        provider=completion.provider,
        raw=completion.raw,
        prompt_tokens=completion.prompt_tokens,
        cached_tokens=completion.cached_tokens,
        completion_tokens=completion.completion_tokens,
        reasoning_tokens=completion.reasoning_tokens,
        cost=completion.cost,
    )


def _question(prompt: Prompt) -> _Question:
    """Return the prompt with what its briefing lets an answer speak of: the market's assets and those of positions."""
    try:
        briefing = briefed(prompt)
        market: Mapping[str, Any] = briefing["market"]
        symbols = dict.fromkeys([*market, *(position["asset"] for position in briefing["positions"])])
        views = [(name, view) for asset in market.values() for name, view in asset["timeframes"].items()]
        timeframes = dict.fromkeys(name for name, _ in views)
        indicators = dict.fromkeys(name for _, view in views for name in view.get("series", ()))
    except (ValueError, LookupError, TypeError, AttributeError):
        # Not a prompt of ours. It may be asked, but no answer to it can name a symbol.
        symbols, timeframes, indicators = {}, {}, {}
    schema = answer_schema(tuple(symbols), tuple(timeframes), tuple(indicators))
    return _Question(prompt, tuple(symbols), schema)
