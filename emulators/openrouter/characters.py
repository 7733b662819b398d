"""
How each emulated model writes its answer: the well-behaved ones as asked, the others each with one bad habit.

Whatever is well formed in a bad answer is the rule follower's, so that a repaired answer can be told from an
invented one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from emulators.openrouter.decisions import decide, idle
from emulators.openrouter.prompt import Prompt
from emulators.openrouter.schema import Schema, conform
from emulators.openrouter.traders import RULE_FOLLOWER, Trader
from emulators.openrouter.wire import Json, dumps


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model says: *content* as a string or null, and why it stopped (a normalised `finish_reason`)."""

    content: str | None
    finish_reason: str = "stop"
    reasoning: str | None = None
    refusal: str | None = None

    def cut(self, max_tokens: int) -> "Reply":
        """The same reply with at most *max_tokens* of what it says or thinks, four characters to a token."""
        room = max_tokens * 4
        if len(self.content or self.reasoning or "") <= room:
            return self
        return replace(
            self,
            content=None if self.content is None else self.content[:room],
            reasoning=None if self.reasoning is None else self.reasoning[:room],
            finish_reason="length",
        )


Character = Callable[[Prompt, Schema | None], Reply]
"""Answers a prompt; the schema is the strict one of the request, if any, and only the well-behaved honour it."""


def well_behaved(trader: Trader) -> Character:
    def character(prompt: Prompt, schema: Schema | None) -> Reply:
        answer = decide(prompt, trader)
        return Reply(content=dumps(answer if schema is None else conform(answer, schema)))

    return character


def _rule_followers_answer(prompt: Prompt) -> str:
    return dumps(decide(prompt, RULE_FOLLOWER))


def fenced(prompt: Prompt, _schema: Schema | None) -> Reply:
    answer = _rule_followers_answer(prompt)
    return Reply(content=f"Here is my plan:\n\n```json\n{answer}\n```\n\nLet me know if you want anything changed!")


def thinker(prompt: Prompt, _schema: Schema | None) -> Reply:
    thought = 'Should I answer {"decisions": []} and wait? No: {each asset} deserves a look.'
    return Reply(content=f"<think>\n{thought}\n</think>\n{_rule_followers_answer(prompt)}")


def truncated(prompt: Prompt, _schema: Schema | None) -> Reply:
    answer = _rule_followers_answer(prompt)
    return Reply(content=answer[: len(answer) * 2 // 3], finish_reason="length")


def refuser(_prompt: Prompt, _schema: Schema | None) -> Reply:
    return Reply(
        content=None,
        finish_reason="content_filter",
        refusal="I'm sorry, but I can't make trading decisions or give financial advice.",
    )


def hallucinator(prompt: Prompt, _schema: Schema | None) -> Reply:
    """Opens everything it sees with the stop on the wrong side and a leverage of 1000, and a coin nobody listed."""
    answer = decide(prompt, RULE_FOLLOWER)
    opens = [_fantasy(chart.asset, chart.mark_price) for chart in prompt.charts if chart.mark_price is not None]
    closes = [decision for decision in answer["decisions"] if decision["action"] == "close"]
    closing = {decision["asset"] for decision in closes}
    fantasies = [decision for decision in opens if decision["asset"] not in closing]
    return Reply(content=dumps(answer | {"decisions": [*closes, *fantasies, _fantasy("MOONUSDT", Decimal("0.042"))]}))


def _fantasy(asset: str, mark_price: Decimal) -> Json:
    return idle(asset, "buy", "It can only go up.") | {
        "allocation_usd": 1_000_000,
        "leverage": 1000,
        "stop_loss": mark_price * Decimal("1.05"),
        "take_profit": mark_price * Decimal("0.95"),
        "confidence": Decimal("0.99"),
    }


def numbers_as_strings(prompt: Prompt, _schema: Schema | None) -> Reply:
    return Reply(content=dumps(_quoted(decide(prompt, RULE_FOLLOWER))))


def _quoted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return format(value, "f") if isinstance(value, Decimal) else str(value) if isinstance(value, int) else value


def not_json(prompt: Prompt, _schema: Schema | None) -> Reply:
    lines = [f"I would {item['action']} {item['asset']}." for item in decide(prompt, RULE_FOLLOWER)["decisions"]]
    return Reply(content="\n".join(["This market calls for patience.", *lines]))


def empty(_prompt: Prompt, _schema: Schema | None) -> Reply:
    """Thinks until its tokens are gone and says nothing."""
    return Reply(content=None, finish_reason="length", reasoning="Let me look at every candle in turn. " * 40)


def one_bad_item(prompt: Prompt, _schema: Schema | None) -> Reply:
    """Closes and holds as the rule follower does; its one open has lost its asset, its size and its stop."""
    answer = decide(prompt, RULE_FOLLOWER)
    sound = [
        decision if decision["action"] == "close" else idle(decision["asset"], "hold", decision["rationale"])
        for decision in answer["decisions"]
    ]
    broken = {"rationale": "A sure thing.", "action": "buy", "allocation_usd": "a lot", "leverage": "very high"}
    return Reply(content=dumps(answer | {"decisions": [*sound, broken]}))
