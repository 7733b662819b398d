"""
The `Engine` port: asks models in order until one gives an answer that can be read, and keeps a record of every attempt.

Money is set aside before each question, the most it can cost, and settled when the question is stored, before the next
one is asked: whoever goes on after a crash finds every call that was answered, and at most the one in flight is asked
again. Each model gets an equal share of the time that is left, so that a slow first one leaves time for its fallbacks.
When all have failed, the record says why and there is no answer: nothing new is risked, and what is open stays
protected without one.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.domain.decision import Answer
from shared.domain.errors import ModelError, ModelRefused, ModelUnavailable, UnusableReply
from shared.domain.market import EPOCH
from shared.domain.model import Estimate, ModelCall, ModelOptions, Price, Prompt, PromptVersion, Purpose
from shared.domain.ports import CallBook, Clock, Lookup
from shared.llm import reply
from shared.llm.catalogue import KEPT_FOR, Catalogue
from shared.llm.chain import Chain, Step, error_text
from shared.llm.client import OpenRouterClient
from shared.llm.completion import Completion, ToolCall, assistant_message, closed_until, tool_calls
from shared.llm.prompt import PromptTemplate, briefed
from shared.llm.request import Feature, parameters_of, request_body
from shared.llm.schema import Schema, answer_schema
from shared.llm.tools import Toolbox

log = logging.getLogger("perpetua.llm")

FIRST_PAUSE_SECONDS = 0.5
MOST_TOOL_CALLS = 64

MORE_ROOM = 2
"""So many times as many tokens a model gets whose thoughts left none for its answer."""

BYTES_A_TOKEN = 3
"""About so many in a prompt that is half numbers; plain English has four."""


@dataclass(frozen=True, slots=True)
class _Question:
    prompt: Prompt
    symbols: tuple[str, ...]
    schema: Schema
    tools: Toolbox | None


class LlmEngine:
    """A language model behind a service that speaks as OpenRouter does."""

    def __init__(
        self,
        client: OpenRouterClient,
        template: PromptTemplate,
        clock: Clock,
        catalogue: Catalogue,
        options: ModelOptions,
        *,
        deadline: timedelta = timedelta(seconds=120),
        retries: int = 2,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """*deadline* covers all models together, *retries* is how often the same model is asked again.

        *jitter* returns a number within 0 and 1.
        """
        self._client = client
        self._template = template
        self._clock = clock
        self._catalogue = catalogue
        self._options = options
        self._deadline = deadline
        self._retries = retries
        self._sleep = sleep
        self._jitter = jitter
        self._lacks: dict[str, set[Feature]] = {}
        self._checked: dict[str, datetime] = {}

    @property
    def template(self) -> PromptVersion:
        """What prompts are made from."""
        return PromptVersion(self._template.version, self._template.text)

    def prompt(self, briefing: Mapping[str, Any]) -> Prompt:
        """Return the messages that put *briefing* before the model."""
        return self._template.prompt(briefing)

    async def estimate(self, prompt: Prompt, model: str) -> Estimate:
        """Return what putting *prompt* before *model* would come to. Asks for the service's prices, and no model."""
        await self._learn(model)
        question, options = _question(prompt, None), self._options
        body = request_body(prompt, model, options, schema=question.schema, lacks=self._lacks[model])
        price = await self._price(model)
        said = sum(len(message["content"].encode()) for message in prompt.messages)
        return Estimate(
            prompt_tokens=round(said / BYTES_A_TOKEN),
            max_tokens=options.max_tokens,
            worst_cost=_worst(body, price, options.max_tokens) if price else None,
        )

    async def check(self, models: Sequence[str]) -> None:
        """Warn, in a line for each, of models that are not as the account needs them."""
        for warning in await self.warnings(models):
            log.warning(warning)

    async def warnings(self, models: Sequence[str]) -> list[str]:
        """Return a line for each of the models that is not as the account needs it."""
        return [warning for model in models if (warning := await self._catalogue.warning(model, self._options))]

    async def ask(
        self,
        prompt: Prompt,
        models: Sequence[str],
        *,
        book: CallBook,
        lookup: Lookup | None = None,
        said: Sequence[ModelCall] = (),
        purpose: Purpose = Purpose.DECISION,
    ) -> Sequence[ModelCall]:
        """Ask the models in order until one answers, and return every call, those already *said* first.

        The last call holds the answer, if any did. A call that failed has an `error` and no `content`; what the model
        said, and what that cost, is in it all the same. Raises what *book* and *lookup* raise.
        """
        question = _question(prompt, Toolbox(lookup, self._options.indicators) if lookup else None)
        chain = Chain(
            models,
            purpose=purpose,
            retries=self._retries,
            tool_rounds=self._options.tool_rounds,
            lacks={model: self._lacks.setdefault(model, set()) for model in models},
        )
        calls = list(said)
        for call in calls:
            chain.note(call)
        ends, share_ends = self._clock.now() + self._deadline, self._clock.now()
        place, turn, failure = -1, -1, None
        turns: tuple[Mapping[str, Any], ...] = ()
        while step := chain.step:
            if step.place != place:
                place, turn, failure, now = step.place, -1, None, self._clock.now()
                share_ends = now + (ends - now) / (len(models) - place)
                if await self._learn(step.model):
                    continue  # what it lacks may change what it is asked with
            if not await self._rested(failure, step, share_ends):
                chain.next_model()
                continue
            if step.turn != turn:
                turn, turns = step.turn, await _turns(calls, step, question)
            options = await self._options_at(step)
            if options is None:
                chain.next_model()
                continue
            body = self._body(question, step, turns, options)
            worst = _worst(body, await self._price(step.model), options.max_tokens)
            reservation = await book.reserve(worst)
            if reservation is None:
                chain.next_model()  # which may be a cheaper one
                continue
            call, failure = await self._attempt(question, step, _after(prompt, turns), body, worst, ends=share_ends)
            await book.keep(call, reservation)
            calls.append(call)
            if lacking := chain.note(call):
                log.warning(
                    "left out from now on, as the model's service does not know it",
                    extra={"model": step.model, "lacks": lacking.value, "why": call.error},
                )
        return calls

    def closed_until(self, call: ModelCall) -> datetime | None:
        """Return when the service lets us in again that turned *call* away; None where it did not say."""
        return closed_until(call.raw)

    def read(self, content: str, symbols: Sequence[str]) -> Answer:
        """Return the decisions in *content*, item by item. Raises UnusableReply when it holds none to trust."""
        return reply.read(content, symbols)

    async def _learn(self, model: str) -> bool:
        """Leave out what the model's listing does not declare, and warn once a day of what is wrong with it.

        Says whether there was anything new to leave out.
        """
        if self._clock.now() - self._checked.get(model, EPOCH) < KEPT_FOR:
            return False
        self._checked[model] = self._clock.now()
        await self.check([model])
        listing = await self._catalogue.listing(model)
        known = set(self._lacks.setdefault(model, set()))
        self._lacks[model] |= listing.lacks if listing else set()
        return self._lacks[model] != known

    async def _price(self, model: str) -> Price | None:
        listing = await self._catalogue.listing(model)
        return (listing.price if listing else None) or self._options.price

    async def _rested(self, failure: ModelError | None, step: Step, ends: datetime) -> bool:
        """Wait before another attempt as long as *failure* asks for; False when there is no time left for one.

        The market's time may run faster than the wait, so it is looked at again after it.
        """
        pause = 0.0
        if step.attempt and isinstance(failure, ModelUnavailable):
            grown = FIRST_PAUSE_SECONDS * 2 ** (step.attempt - 1) * (1 + self._jitter())
            pause = grown if failure.retry_after is None else failure.retry_after
        if self._clock.now() + timedelta(seconds=pause) >= ends:
            return False
        if pause:
            await self._sleep(pause)
        return self._clock.now() < ends

    async def _options_at(self, step: Step) -> ModelOptions | None:
        """Return how the model is asked at *step*; None where the more room that it needs is not to be had."""
        if not step.with_more_room:
            return self._options
        listing, usual = await self._catalogue.listing(step.model), self._options.max_tokens
        longest = listing.longest_answer if listing else None
        most = usual * MORE_ROOM if longest is None else min(usual * MORE_ROOM, longest)
        return replace(self._options, max_tokens=most) if most > usual else None

    def _body(
        self, question: _Question, step: Step, turns: Sequence[Mapping[str, Any]], options: ModelOptions
    ) -> dict[str, Any]:
        return request_body(
            _after(question.prompt, turns),
            step.model,
            options,
            schema=question.schema,
            tools=question.tools.offered() if question.tools and step.with_tools else (),
            lacks=self._lacks[step.model],
        )

    async def _attempt(
        self,
        question: _Question,
        step: Step,
        prompt: Prompt,
        body: Mapping[str, Any],
        worst: Decimal,
        *,
        ends: datetime,
    ) -> tuple[ModelCall, ModelError | None]:
        at = self._clock.now()
        completion: Completion | None = None
        content: str | None = None
        failure: ModelError | None = None
        try:
            completion = await self._client.complete(body, seconds=(ends - at).total_seconds())
            if completion.tool_calls and "tools" in body:
                _require_few(completion.tool_calls)
            else:
                content = completion.answer()
                self.read(content, question.symbols)
        except ModelError as exc:
            failure = exc
        except Exception as exc:
            # A flaw of ours in reading one model's reply must not keep the next model from being asked.
            log.exception("asking a model failed", extra={"model": step.model})
            failure = ModelRefused(f"{type(exc).__name__} on our side")
        cost, estimated = _cost(completion, failure, await self._price(step.model), worst)
        call = ModelCall(
            purpose=step.purpose,
            turn=step.turn,
            asked_model=step.model,
            answered_model=completion.model if completion else None,
            provider=completion.provider if completion else None,
            prompt=prompt,
            parameters=parameters_of(body),
            content=content if failure is None else None,
            raw=completion.raw if completion else failure.reply if failure else {},
            prompt_tokens=completion.prompt_tokens if completion else 0,
            cached_tokens=completion.cached_tokens if completion else 0,
            completion_tokens=completion.completion_tokens if completion else 0,
            reasoning_tokens=completion.reasoning_tokens if completion else 0,
            cost=cost,
            estimated=estimated,
            latency_ms=round((self._clock.now() - at) / timedelta(milliseconds=1)),
            error=None if failure is None else error_text(failure),
            at=at,
        )
        return call, failure


def _require_few(calls: Sequence[ToolCall]) -> None:
    """Every call must be answered, and every answer is paid for. Raises UnusableReply for more than anybody needs."""
    if len(calls) > MOST_TOOL_CALLS:
        raise UnusableReply(f"the model called {len(calls)} tools at once", code="too_many_calls")


def _after(prompt: Prompt, turns: Sequence[Mapping[str, Any]]) -> Prompt:
    return replace(prompt, turns=tuple(turns))


async def _turns(calls: Sequence[ModelCall], step: Step, question: _Question) -> tuple[Mapping[str, Any], ...]:
    """Return what was said before *step* beside the prompt: the model's tool calls, and our answers to them."""
    before = [call for call in calls if call.asked_model == step.model and call.calls_tools and call.turn < step.turn]
    if not before or question.tools is None:
        return ()
    last = before[-1]
    return (*last.prompt.turns, assistant_message(last.raw), *await question.tools.answers(tool_calls(last.raw)))


def _worst(body: Mapping[str, Any], price: Price | None, max_tokens: int) -> Decimal:
    """Return the most that a question can cost in USD, as no token is shorter than a byte; zero for no known price."""
    return price.of(len(json.dumps(body, ensure_ascii=False).encode()), max_tokens) if price else Decimal(0)


def _cost(
    completion: Completion | None, failure: ModelError | None, price: Price | None, worst: Decimal
) -> tuple[Decimal, bool]:
    """Return what a question cost and whether that is our estimate: the service's word, or else the most it can be."""
    if completion is None:
        return (worst, True) if failure and failure.lost else (Decimal(0), False)
    if completion.cost is not None:
        return completion.cost, False
    if completion.completion_tokens and completion.prompt_tokens and price:
        return price.of(completion.prompt_tokens, completion.completion_tokens), True
    return worst, True


def _question(prompt: Prompt, tools: Toolbox | None) -> _Question:
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
    return _Question(prompt, tuple(symbols), schema, tools)
