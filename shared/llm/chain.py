"""
Where a cycle's question stands, told by nothing but the calls that were made.

So a process that takes over from one that died goes on as that one would have: with the turn that was in flight, at
most once more. A failure that may pass is tried again, what a model lacks is left out, a round of tools is answered, a
model whose thoughts left no room for an answer gets more of it once, any other failure moves on to the next model, and
a service that turns us away ends it all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.errors import ModelClosed, ModelUnavailable, NoRoomToAnswer, UnusableReply
from shared.domain.model import ModelCall, Purpose
from shared.llm.request import Feature, lacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The next call to make."""

    place: int
    """Of the model among the models."""
    model: str
    purpose: Purpose
    turn: int
    attempt: int
    """How often this very turn failed in a way that may pass."""
    with_tools: bool
    with_more_room: bool
    """Whether the answer may be longer than usual."""


class Chain:
    """The models in their order, and how far through them the calls have come."""

    def __init__(
        self,
        models: Sequence[str],
        *,
        purpose: Purpose,
        retries: int,
        tool_rounds: int,
        lacks: Mapping[str, set[Feature]],
    ) -> None:
        """*lacks* holds what each model is known to lack, and gets what is found."""
        self._lacks = lacks
        self._models = models
        self._purpose = purpose
        self._retries = retries
        self._tool_rounds = tool_rounds
        self._place = 0
        self._more_room = False
        self._begin()

    @property
    def step(self) -> Step | None:
        """The next call, or None when there is an answer or nothing left to try."""
        if self._place >= len(self._models):
            return None
        model = self._models[self._place]
        return Step(
            place=self._place,
            model=model,
            purpose=self._purpose if self._place == 0 or self._purpose is Purpose.SHADOW else Purpose.FALLBACK,
            turn=self._turn,
            attempt=self._attempt,
            with_tools=self._may_look and self._turn < self._tool_rounds and Feature.TOOLS not in self._lacks[model],
            with_more_room=self._more_room,
        )

    def note(self, call: ModelCall) -> Feature | None:
        """Take *call*, the newest, into account. Returns what its model has just been found to lack, if anything."""
        if call.asked_model not in self._models:
            return None  # of a configuration that has changed since
        self._place = self._models.index(call.asked_model)
        failure = _failure(call)
        if call.calls_tools:
            self._turn, self._attempt = call.turn + 1, 0
        elif failure == "":
            self.end()
        elif (feature := lacking(call)) and feature not in self._lacks[call.asked_model]:
            self._lacks[call.asked_model].add(feature)
            return feature
        elif failure == ModelClosed.__name__:
            self.end()
        elif failure == ModelUnavailable.__name__ and self._attempt < self._retries:
            self._attempt += 1
        elif failure == NoRoomToAnswer.__name__ and not self._more_room:
            self._more_room = True
        elif failure == UnusableReply.__name__ and "tools" in call.parameters:
            # What it said instead of looking anything up may be no more than the missing schema's fault.
            self._may_look, self._attempt = False, 0
        else:
            self.next_model()
        return None

    def next_model(self) -> None:
        """Give up on the present model."""
        self._place += 1
        self._begin()

    def end(self) -> None:
        """Ask nobody any more."""
        self._place = len(self._models)

    def _begin(self) -> None:
        self._turn, self._attempt, self._may_look, self._more_room = 0, 0, True, False


def _failure(call: ModelCall) -> str:
    return (call.error or "").partition(":")[0]


def error_text(failure: Exception) -> str:
    """Return how a failure is stored, so that `note` can read it again; of an unusable reply with its code."""
    code = f"{failure.code}: " if isinstance(failure, UnusableReply) else ""
    return f"{type(failure).__name__}: {code}{failure}"
