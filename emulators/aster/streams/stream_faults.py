"""
Faults of streams, on demand: events that come twice, in the wrong order, or not at all, and sockets that break.

Each fault waits for events and strikes some of them:

- `duplicate`: the event is sent twice;
- `reorder`: the event is held back until the next one it could have struck has been sent;
- `silence`: the event is not sent, while the socket stays open;
- `disconnect`: instead of the event, the sockets it was for are cut off.

Of the events a fault is *on* it strikes each with its *probability*, drawn from its *seed*, until it has struck *count*
times, or for ever without one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from .frames import Frame

KINDS = frozenset({"duplicate", "reorder", "silence", "disconnect"})
ANY = "*"


@dataclass(slots=True)
class StreamFault:
    """A fault that waits for events; ValueError for one that makes no sense."""

    kind: str
    on: str = ANY
    """The name of a stream, a type of event such as ORDER_TRADE_UPDATE, an account, or * for everything."""
    count: int | None = 1
    probability: float = 1.0
    seed: int = 0
    _dice: random.Random = field(init=False, repr=False)
    _held: Frame | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of stream fault: {self.kind!r}")
        if self.count is not None and self.count < 1:
            raise ValueError("the count must be a positive number")
        if not 0 < self.probability <= 1:
            raise ValueError("the probability must be more than 0 and at most 1")
        self._dice = random.Random(self.seed)

    @property
    def over(self) -> bool:
        return self.count == 0 and self._held is None

    def spoil(self, frame: Frame) -> list[Frame] | None:
        """Return what is sent for an event, or nothing when the fault has nothing to do with it."""
        if self.on not in {ANY, frame.stream, frame.event, frame.account}:
            return None
        if self._held is not None:
            held, self._held = self._held, None
            return [frame, held]
        if self.count == 0 or self._dice.random() >= self.probability:
            return None
        if self.count is not None:
            self.count -= 1
        if self.kind == "reorder":
            self._held = frame
        return [frame, frame] if self.kind == "duplicate" else []


class StreamFaults:
    """The faults that wait for events, in the order they were asked for."""

    def __init__(self) -> None:
        self.waiting: list[StreamFault] = []

    def add(self, fault: StreamFault) -> None:
        self.waiting.append(fault)

    def clear(self) -> None:
        """Do away with all faults; what they hold back is lost."""
        self.waiting.clear()

    def spoil(self, frame: Frame) -> tuple[list[Frame], bool]:
        """Return what is sent for an event, and whether its sockets are cut off; one fault strikes an event."""
        for fault in self.waiting:
            sent = fault.spoil(frame)
            if sent is not None:
                if fault.over:
                    self.waiting.remove(fault)
                return sent, fault.kind == "disconnect"
        return [frame], False
