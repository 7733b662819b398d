"""
Fuzz the reading of model replies: every malformed answer we know, mutated for as long as one likes.

    python -m scripts.fuzz_replies --seconds 1200 [--seed 1] [--keep DIRECTORY]

Each run is a mutant of one or two answers of the corpus, read as the text of an answer or as the body of a whole reply.
It must end in an answer that holds nothing invented or in a refusal with a code, within SLOWEST_SECONDS. Whatever does
not is a finding: printed, and kept as a file with --keep. Ends with code 1 if there is any.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.domain.errors import ModelError, UnusableReply
from shared.llm.completion import read_completion
from shared.llm.reply import read
from tests.llm import test_reply_malformed as known
from tests.llm.soundness import assert_sound

SYMBOLS = known.SYMBOLS
SLOWEST_SECONDS = 2.0
"""Of processor time."""
BODIES = 0.2
"""This share of the runs reads a whole reply."""
UNCODED = UnusableReply("").code
LONGEST_MUTANT = 1_000_000
CORPUS = [row[1] for table in (known.READ, known.DROPPED, known.REFUSED) for row in table]
TOKENS = (
    *"{}[]\",:'\\/-+.eE0123456789 \n\t\0",
    *"｛｝［］，：“”‘’",
    *("NaN", "Infinity", "-Infinity", "1e400", "1e-400", "-0", "0x10", "9" * 50, "1,000", "$1,000.50", "85%", "3x"),
    *("true", "false", "null", "True", "None", "//", "/*", "*/", "```", "```json", "<think>", "</think>"),
    *("\\u0000", "\\ud83d", "\\u0039", "\ud83d", "\ufeff", "\u200b", "\u202e", "\u00a0", "\u0661"),
    *("BTCUSDT", "ETHUSDT", "BTC", "ALL", "MOONX", "buy", "sell", "close", "hold", "buy or hold", "close_above"),
    *('"decisions"', '"asset"', '"action"', '"allocation_usd"', '"leverage"', '"stop_loss"', '"exit_plan"', '"side"'),
    *('"invalidation"', '"indicator"', '"expiry"', '"price"', '"value"', '"than"', '"after_candles"', '"at"'),
)

WRAPPINGS = (("<think>", "</think>"), ("```json\n", "\n```"), ("[", "]"), ('{"a":', "}"), ("{", "}"))

Mutation = Callable[[random.Random, str], str]


def _cut(chance: random.Random, text: str) -> str:
    start = chance.randrange(len(text) + 1)
    return text[:start] + text[start + chance.randrange(20) :]


def _cut_off(chance: random.Random, text: str) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _insert(chance: random.Random, text: str) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(TOKENS) + text[place:]


def _replace(chance: random.Random, text: str) -> str:
    place = chance.randrange(len(text) + 1)
    piece = chance.choice(TOKENS)
    return text[:place] + piece + text[place + len(piece) :]


def _character(chance: random.Random, text: str) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chr(chance.randrange(0x11000)) + text[place + 1 :]


def _repeat(chance: random.Random, text: str) -> str:
    start = chance.randrange(len(text) + 1)
    piece = text[start : start + chance.randrange(1, 60)]
    times = min(chance.choice((2, 2, 2, 3, 50, 20_000)), LONGEST_MUTANT // max(1, len(piece)))
    return text[:start] + piece * times + text[start:]


def _splice(chance: random.Random, text: str) -> str:
    other = chance.choice(CORPUS)
    return text[: chance.randrange(len(text) + 1)] + other[chance.randrange(len(other) + 1) :]


def _graft(chance: random.Random, text: str) -> str:
    other, place = chance.choice(CORPUS), chance.randrange(len(text) + 1)
    start = chance.randrange(len(other) + 1)
    return text[:place] + other[start : start + chance.randrange(80)] + text[place:]


def _encode(_: random.Random, text: str) -> str:
    return json.dumps(text)


def _wrap(chance: random.Random, text: str) -> str:
    before, after = chance.choice(WRAPPINGS)
    return before + text + after


MUTATIONS: Sequence[Mutation] = (
    *(_cut, _insert, _insert, _insert, _replace, _replace, _character, _graft, _splice),
    *(_cut_off, _repeat, _encode, _wrap),
)


def mutant(chance: random.Random) -> str:
    """Return an answer of the corpus, changed a few times."""
    text = chance.choice(CORPUS)
    for _ in range(chance.choice((1, 1, 2, 2, 3, 4, 8))):
        text = chance.choice(MUTATIONS)(chance, text)[:LONGEST_MUTANT]
    return text


def read_text(text: str) -> str:
    """Read *text* as an answer and return what came of it; an AssertionError is a finding, as is any other failure."""
    try:
        found = read(text, SYMBOLS)
    except UnusableReply as exc:
        if exc.code == UNCODED:
            raise AssertionError(f"a refusal without a code of its own: {exc}") from exc
        return f"refused: {exc.code}"
    assert_sound(found, text, SYMBOLS)
    return "acted" if found.decisions else "nothing to do"


def read_body(chance: random.Random, text: str) -> str:
    """Read a whole reply whose answer is *text* and whose bytes were damaged."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = bytearray(json.dumps({"id": "gen-1", "model": "acme/m1", "choices": [choice]}).encode())
    for _ in range(chance.randrange(4)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    try:
        content = read_completion(200, bytes(body)).answer()
    except ModelError:
        return "no answer in the reply"
    return read_text(content)


def fuzz(seconds: float, seed: int, keep: Path | None) -> int:
    """Run for so long, print what came of it, and return how many findings there were."""
    chance, outcomes, slowest, findings = random.Random(seed), Counter[str](), 0.0, 0  # noqa: S311  # repeatable
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        text, as_body = mutant(chance), chance.random() < BODIES
        began = time.process_time()
        try:
            outcome = read_body(chance, text) if as_body else read_text(text)
            _require_speed(time.process_time() - began)
        except Exception as exc:  # whatever it is, it is what we look for
            findings += 1
            outcome = f"FINDING: {type(exc).__name__}"
            _report(exc, text, keep, findings)
        slowest = max(slowest, time.process_time() - began)
        outcomes[outcome] += 1
    print(f"seed {seed}: {outcomes.total()} replies read, {findings} findings")
    print(f"the slowest took {slowest:.2f} s of processor time")
    for outcome, count in outcomes.most_common():
        print(f"{count:>10}  {outcome}")
    return findings


def _require_speed(seconds: float) -> None:
    if seconds > SLOWEST_SECONDS:
        raise AssertionError(f"took {seconds:.1f} s")


def _report(exc: Exception, text: str, keep: Path | None, number: int) -> None:
    print(f"{type(exc).__name__}: {exc}"[:500].encode(errors="replace").decode(), flush=True)
    print(repr(text[:2000]), flush=True)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{number:04}.json").write_text(json.dumps(text))


def main() -> int:
    """Read the command line and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a directory to keep findings in, as JSON strings")
    chosen = parser.parse_args()
    return 1 if fuzz(chosen.seconds, chosen.seed, chosen.keep) else 0


if __name__ == "__main__":
    sys.exit(main())
