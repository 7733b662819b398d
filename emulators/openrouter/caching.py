"""
Prompt caching as providers do it by themselves: a prompt that begins as an earlier one did is cheaper that far.

Counted in blocks of 128 tokens, from 1024 tokens on, for five minutes of the emulator's clock after the last use, for
each API key and endpoint apart.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from emulators.openrouter.reply import CHARACTERS_PER_TOKEN

BLOCK_TOKENS, LEAST_TOKENS = 128, 1024
LIFETIME_SECONDS = 300
KEPT_BLOCKS = 50_000


@dataclass(slots=True)
class PromptCache:
    """The beginnings of prompts lately seen."""

    _seen: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    def read(self, owner: str, text: str, now: int) -> int:
        """How many tokens of *text*, a prompt of *owner*, are cached at *now*; from then on all of its blocks are."""
        digest, cached, unbroken = hashlib.sha256(owner.encode()), 0, True
        size = BLOCK_TOKENS * CHARACTERS_PER_TOKEN
        for number in range(1, len(text) // size + 1):
            digest.update(text[(number - 1) * size : number * size].encode("utf-8", "surrogatepass"))
            beginning = digest.digest()
            unbroken = unbroken and now - self._seen.get(beginning, -LIFETIME_SECONDS - 1) <= LIFETIME_SECONDS
            if unbroken:
                cached = number * BLOCK_TOKENS
            self._seen[beginning] = now
            self._seen.move_to_end(beginning)
        while len(self._seen) > KEPT_BLOCKS:
            self._seen.popitem(last=False)
        return cached if cached >= LEAST_TOKENS else 0
