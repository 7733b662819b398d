"""
The log files of this machine, newest line first, whichever process wrote it.

Each process has a file a channel that rotates at midnight. A page is put together from the ends of all of them, and
ends after so many bytes were looked at, found or not: whoever wants more follows the cursor. A cursor is a line's
place, time, file and offset, so lines that come in meanwhile neither repeat nor hide any, and rotation moves none.
"""

import base64
import heapq
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from shared.db.paging import Page
from shared.domain.errors import BadCursor
from shared.secrets import mask

NAME = re.compile(
    r"(?P<process>[a-z-]+)-(?P<channel>app|trading|market-data|llm|errors)\.jsonl(\.(?P<day>[-0-9]{10}))?"
)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MOST_BYTES = 8 * 1024 * 1024
"""That are looked at for one page."""
BLOCK = 64 * 1024
TOLD = ("time", "level", "channel", "message", "account", "cycle", "stage", "request")
"""What lines have in common; the rest of a line is told as its details."""


class Place(NamedTuple):
    """Where a line stands among all."""

    time: str
    stream: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines. *level* is the least; *text* may stand anywhere in the line."""

    channel: str | None = None
    level: str | None = None
    account: str | None = None
    cycle: str | None = None
    request: str | None = None
    text: str | None = None
    reads: bool = True
    """Whether those too that tell only that somebody of the API's asked, listened, and was served."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    stream: str
    day: str
    """Empty for the one that is written to."""


class _Spent(Exception):
    """Enough was looked at."""


class _Purse:
    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, amount: int) -> None:
        if self.left <= 0:
            raise _Spent
        self.left -= amount


def read_logs(folder: Path, wanted: Wanted, *, limit: int, before: str | None) -> Page:
    """Return lines that are wanted, newest first, from the place *before* on. Raises BadCursor.

    A page may have fewer than *limit*, or none, and still be followed by another: `next` is None at the end alone.
    """
    border = None if before is None else _read(before)
    purse, rows, last = _Purse(MOST_BYTES), list[dict[str, Any]](), border
    since = _written(wanted.since) if wanted.since else ""
    end = min(
        filter(None, (border.time if border else None, _written(wanted.until) if wanted.until else None)), default=None
    )
    streams = [_lines(files, end, purse) for files in _streams(folder, wanted.channel).values()]
    try:
        for place, line in heapq.merge(*streams, key=lambda found: found[0], reverse=True):
            if place.time < since:
                return Page(rows=rows, next=None)
            if (border is not None and place >= border) or (wanted.until and place.time >= _written(wanted.until)):
                continue
            last = place
            told = _told(place, line, wanted)
            if told is not None:
                rows.append(told)
                if len(rows) == limit:
                    return Page(rows=rows, next=_cursor(place))
    except _Spent:
        return Page(rows=rows, next=_cursor(last) if last else None)
    return Page(rows=rows, next=None)


def _streams(folder: Path, channel: str | None) -> Mapping[str, list[_File]]:
    """Return the files of each process and channel, the newest first. Errors stand in the other files too."""
    found: dict[str, list[_File]] = {}
    for path in sorted(folder.iterdir()):
        parts = NAME.fullmatch(path.name)
        if not parts or not path.is_file():
            continue
        of = parts["channel"].replace("-", "_")
        if of == channel or (channel is None and of != "errors"):
            stream = f"{parts['process']}-{of}"
            found.setdefault(stream, []).append(_File(path, stream, parts["day"] or ""))
    for files in found.values():
        files.sort(key=lambda file: file.day or "~", reverse=True)
    return found


def _lines(files: Iterable[_File], end: str | None, purse: _Purse) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the lines of one stream backwards, from those of the time *end* on."""
    for file in files:
        if end is not None and file.day > end[:10]:
            continue
        try:
            with file.path.open("rb") as opened:
                stop = opened.seek(0, 2) if end is None else _after(opened, end)
                for offset, raw in _backwards(opened, stop, purse):
                    line = _parsed(raw)
                    if line is not None:
                        yield Place(line["time"], file.stream, offset), line
        except FileNotFoundError:  # rotated away this moment
            continue


def _backwards(opened: BinaryIO, stop: int, purse: _Purse) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) from the last whole line before *stop* to the first."""
    rest = b""
    while stop > 0:
        start = max(0, stop - BLOCK)
        purse.spend(stop - start)
        opened.seek(start)
        block = opened.read(stop - start) + rest
        first = 0 if start == 0 else block.find(b"\n") + 1
        if first == 0 and start > 0:  # a line longer than a block
            rest, stop = block, start
            continue
        offset = start + len(block)
        for line in reversed(block[first:].splitlines(keepends=True)):
            offset -= len(line)
            if line.endswith(b"\n"):
                yield offset, line
        rest, stop = block[:first], start


def _after(opened: BinaryIO, end: str) -> int:
    """Return the offset of the first line that is later than *end*: lines stand in the order of their times."""
    low, high = 0, opened.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        opened.seek(max(0, middle - 1))
        if middle:
            opened.readline()  # the rest of the line before, be it no more than its end
        at = opened.tell()
        line = _parsed(opened.readline())
        if at >= high or line is None or line["time"] > end:
            high = middle
        else:
            low = opened.tell()
    return low


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(line, dict) or not all(isinstance(line.get(name), str) for name in TOLD[:4]):
        return None
    return line


def _told(place: Place, line: dict[str, Any], wanted: Wanted) -> dict[str, Any] | None:
    """Return the line as it is told, None where it is not wanted. It was masked when it was written, and is again."""
    if any(getattr(wanted, name) not in {None, line.get(name)} for name in ("account", "cycle", "request")):
        return None
    if wanted.level and _rank(line["level"]) < _rank(wanted.level):
        return None
    told: dict[str, Any] = mask(line)
    if not wanted.reads and _tells_of_a_read(line):
        return None
    if wanted.text and wanted.text.casefold() not in json.dumps(told, ensure_ascii=False).casefold():
        return None
    known = {name: told.pop(name, None) for name in TOLD}
    for name in TOLD[4:]:
        if not isinstance(known[name], str | None):
            told[name], known[name] = known[name], None
    return {"id": _cursor(place), "process": place.stream.rpartition("-")[0], **known, "details": told}


def _tells_of_a_read(line: Mapping[str, Any]) -> bool:
    served = line.get("status") is None or (isinstance(line["status"], int) and line["status"] < 400)
    return line["message"] == "request" and line.get("method") in {None, "GET"} and served


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 0


def _written(moment: datetime) -> str:
    """Return *moment* as lines tell theirs, so that texts compare as times do; a part of a millisecond is left out."""
    whole = moment + timedelta(microseconds=-moment.microsecond % 1000)
    return whole.isoformat(timespec="milliseconds")


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read(cursor: str) -> Place:
    try:
        time, stream, offset = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        datetime.fromisoformat(time)
    except (ValueError, TypeError):
        time = stream = offset = None
    if not (isinstance(time, str) and isinstance(stream, str) and type(offset) is int):
        raise BadCursor(f"{cursor[:80]!r} is no cursor of this list: leave it out to begin with the newest")
    return Place(time, stream, offset)
