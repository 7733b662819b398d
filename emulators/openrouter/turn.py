"""A model's turn to speak: everything it gets to see."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emulators.openrouter.prompt import Prompt
from emulators.openrouter.question import Message, Question, Tool
from emulators.openrouter.reply import Reply, ToolCall
from emulators.openrouter.schema import Schema, conform
from emulators.openrouter.wire import dumps


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    *prompt* is the briefing found in the conversation, *schema* the one its endpoint enforces, if any.

    *tools* may be called now; *heeds_format* says whether the endpoint knows response formats at all. The *dice* are
    the same for the same question.
    """

    prompt: Prompt
    question: Question
    schema: Schema | None
    tools: tuple[Tool, ...]
    heeds_format: bool
    dice: random.Random

    @property
    def rounds(self) -> Sequence[Message]:
        """The assistant's messages with tool calls since the user spoke last."""
        last = max((at for at, each in enumerate(self.question.messages) if each.role == "user"), default=-1)
        return [each for each in self.question.messages[last + 1 :] if each.tool_calls]

    @property
    def results(self) -> Sequence[str]:
        """What the tools have answered, oldest first."""
        return [each.text for each in self.question.messages if each.role == "tool"]

    def must_call(self) -> bool:
        return self.question.tool_choice == "required" and bool(self.tools)

    def answer(self, document: dict[str, Any]) -> Reply:
        """Give *document* as a well-behaved model does: by the schema where one is enforced."""
        if self.schema is not None:
            return Reply(content=dumps(conform(document, self.schema)))
        if self.question.format is None or self.heeds_format:
            return Reply(content=dumps(document))
        # Never told of the format, it answers as in a chat.
        return Reply(content=f"Here is what I would do:\n\n```json\n{dumps(document)}\n```\n\nGood luck!")

    def calls(self, wanted: Sequence[tuple[str, object]], *, content: str | None = None) -> Reply:
        """Ask for tools by name and arguments: an object, or a text that is sent as it is. One if parallel is off."""
        taken = wanted if self.question.parallel_tool_calls else wanted[:1]
        base = sum(len(each.tool_calls) for each in self.question.messages)
        calls = tuple(
            ToolCall(
                id=f"call_{base + index + 1}",
                name=name,
                arguments=arguments if isinstance(arguments, str) else dumps(arguments),
            )
            for index, (name, arguments) in enumerate(taken)
        )
        return Reply(content=content, tool_calls=calls, finish_reason="tool_calls")

    def example(self) -> dict[str, Any] | None:
        """The example of an answer in the system message, if there is one: the last object that holds decisions."""
        found, text = None, self.question.system_text
        decoder = json.JSONDecoder()
        at = text.find("{")
        while at >= 0:
            try:
                document, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                end = at + 1
            else:
                found = document if "decisions" in document else found
            at = text.find("{", end)
        return found
