"""What a model says, before it is priced and sent."""

from dataclasses import dataclass, replace
from typing import Any

CHARACTERS_PER_TOKEN = 4


def tokens(characters: int) -> int:
    """A token is four characters, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call the model asks for. `arguments` is text that ought to be a JSON object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    What a model says: *content* as a string, a list of parts or null, tool calls, and a normalised `finish_reason`.

    With *hides_reasoning* it is thought and billed but not shown.
    """

    content: str | list[dict[str, Any]] | None
    finish_reason: str | None = "stop"
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    hides_reasoning: bool = False

    @property
    def text(self) -> str:
        """What it says, without its calls and thoughts."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or self.refusal or ""

    @property
    def reasoning_tokens(self) -> int:
        return tokens(len(self.reasoning or ""))

    @property
    def completion_tokens(self) -> int:
        """Everything that is billed as output, reasoning included."""
        called = sum(len(call.name) + len(call.arguments) for call in self.tool_calls)
        return tokens(len(self.text) + called) + self.reasoning_tokens

    def cut(self, max_tokens: int) -> "Reply":
        """The same reply with at most *max_tokens*: thoughts come first, then words, then calls."""
        if self.completion_tokens <= max_tokens:
            return self
        left = max_tokens - self.reasoning_tokens
        if left <= 0:
            thought = (self.reasoning or "")[: max_tokens * CHARACTERS_PER_TOKEN]
            return replace(self, content=None, reasoning=thought, tool_calls=(), refusal=None, finish_reason="length")
        room = left * CHARACTERS_PER_TOKEN
        shown = self.text[:room]
        content: str | list[dict[str, Any]] | None = shown or None
        if isinstance(self.content, list):
            content = [{"type": "text", "text": shown}]
        calls = []
        room -= len(shown)
        for call in self.tool_calls:
            room -= len(call.name)
            if room <= 0:
                break
            calls.append(replace(call, arguments=call.arguments[:room]))
            room -= len(call.arguments)
        refusal = shown if self.content is None and self.refusal else None
        return replace(
            self,
            content=None if refusal else content,
            refusal=refusal,
            tool_calls=tuple(calls),
            finish_reason="length",
        )
