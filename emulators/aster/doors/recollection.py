"""What was answered a while ago, for those who are to be shown an old picture."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..parameters import Parameters

MOST_BYTES = 8_000_000
PASSING = frozenset({"nonce", "signature", "timestamp", "recvWindow", "user", "signer"})
"""Parameters that do not make a question another one."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, who asked it and when, and the answer."""

    time: int
    path: str
    account: str
    parameters: Parameters
    content: bytes

    def answers(self, path: str, account: str, parameters: Parameters) -> bool:
        return self.path == path and self.account == account and _asked(self.parameters) == _asked(parameters)


class Recollection:
    """The newest answers, as many as fit into some megabytes."""

    def __init__(self) -> None:
        self._answers: deque[Answered] = deque()
        self._bytes = 0

    def keep(self, answered: Answered) -> None:
        self._answers.append(answered)
        self._bytes += len(answered.content) + 500
        while self._bytes > MOST_BYTES:
            self._bytes -= len(self._answers.popleft().content) + 500

    def find(self, path: str, account: str, parameters: Parameters, before: int) -> bytes | None:
        """Return the last answer to a question given by a time or, failing that, the first one remembered."""
        oldest = None
        for answered in reversed(self._answers):
            if answered.answers(path, account, parameters):
                oldest = answered.content
                if answered.time <= before:
                    break
        return oldest


def _asked(parameters: Parameters) -> Parameters:
    return {name: value for name, value in parameters.items() if name not in PASSING}
