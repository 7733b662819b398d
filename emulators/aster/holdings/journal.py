"""
The books on disk: a folder that survives the process, however it ends.

`journal.jsonl` is only ever appended to. Its first line names the market the books belong to; every other line is one
thing that happened, complete: the market time `t` and the rows that changed. A row is written as the list of its
fields; the last row of an order or position counts. A line is handed to the operating system before the venue
answers, so killing the process loses nothing that was acknowledged; a last line cut short never happened. `clock`
holds the market time last shown to anyone, and `books` a name by which these books are known from any others.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOURNAL, CLOCK, BOOKS = "journal.jsonl", "clock", "books"
FORMAT = 2


class UnusableState(Exception):
    """The folder cannot be continued; the text says why and what to do."""


class Journal:
    """The open journal of one venue; no other process may have it open."""

    def __init__(self, folder: Path, market: str) -> None:
        """Open or begin a journal for the *market* of this identity."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lines = (folder / JOURNAL).open("a+b", buffering=0)
            # Not opened for appending, for the time is always written to the same place.
            (folder / CLOCK).touch()
            self._clock = (folder / CLOCK).open("r+b", buffering=0)
        except OSError as exc:
            raise UnusableState(f"{folder}: cannot keep state here: {exc.strerror}") from exc
        try:
            fcntl.flock(self._lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self.close()
            raise UnusableState(f"{folder}: another emulator is using this folder") from exc
        self._folder = folder
        self._market = market
        self.name = self._named()

    def _named(self) -> str:
        """Return the name of the books, which they get when they are first opened and keep."""
        kept = self._folder / BOOKS
        name = kept.read_text(encoding="ascii").strip() if kept.exists() else ""
        if not name:
            name = uuid.uuid4().hex
            kept.write_text(name, encoding="ascii")
        return name

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what was written, oldest first; begin the journal if nothing was."""
        self._lines.seek(0)
        content = self._lines.read()
        complete = content.rfind(b"\n") + 1
        self._lines.truncate(complete)
        header = {"format": FORMAT, "market": self._market}
        if not complete:
            self.append(header)
            return
        for number, line in enumerate(content[:complete].splitlines(), start=1):
            try:
                record: dict[str, Any] = json.loads(line)
            except ValueError as exc:
                raise UnusableState(f"{self._folder / JOURNAL}, line {number}: damaged: {exc}") from exc
            if number > 1:
                yield record
            elif record.get("format") != FORMAT:
                raise UnusableState(f"{self._folder}: these books are of another version: use another folder")
            elif record != header:
                raise UnusableState(
                    f"{self._folder}: these books were kept on another market ({record.get('market')}); "
                    f"this one is {self._market}: use another folder"
                )

    def append(self, record: dict[str, Any]) -> None:
        """Write one thing that happened."""
        self._lines.write(json.dumps(record, separators=(",", ":"), default=str).encode() + b"\n")

    @property
    def time(self) -> int | None:
        """The market time last kept."""
        kept = os.pread(self._clock.fileno(), 20, 0)
        return int(kept) if kept else None

    @time.setter
    def time(self, now: int) -> None:
        os.pwrite(self._clock.fileno(), b"%020d" % now, 0)

    def close(self) -> None:
        self._lines.close()
        self._clock.close()
