"""
A whole list as a file, page by page: never more than a page in memory, however long the list and slow its reader.

All pages are of one moment: they are read in one transaction that sees the database as it was when it began. That is
not let stand open for ever: a reader who takes longer than READER_SECONDS for a page is dropped, as is one who went
away, and then the file ends short, without the last chunk that says it is whole.

CSV has one column a field, in the order of the document, with JSON where a field is no plain value, and nothing for
null. A cell that a spreadsheet would take for a formula is written with an apostrophe before it; plain numbers are left
alone.
"""

import asyncio
import csv
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.answers import Listing
from api.errors import Problem
from api.schemas import DownloadQuery, Format
from api.state import downloads_of, reports_of, runtime_of

log = logging.getLogger("perpetua.app")

CSV, JSONL = "text/csv", "application/jsonl"
PAGE_ROWS = 250
"""At a time: a question to a model in full may be a hundred kilobytes."""
MOST_AT_ONCE = 3
"""Each holds a connection to the database."""
READER_SECONDS = 60.0
RETRY_SECONDS = 5

FORMULA = re.compile(r"[=+\-@\t\r\n]")
"""How a formula begins, to one program or another."""
NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?", re.ASCII | re.IGNORECASE)

ReadPage = Callable[..., Awaitable[Listing[Any]]]


async def download(request: Request, query: DownloadQuery, item: type[BaseModel], read: ReadPage) -> Response:
    """Return every row that *query* asks for, of the kind *item*, as *read* gives them a page at a time.

    A query that names a limit has so many rows at most. Raises Problem.
    """
    running = downloads_of(request)
    if running.locked():
        headers = {"Retry-After": str(RETRY_SECONDS)}
        detail = f"{MOST_AT_ONCE} downloads are running already"
        raise Problem(503, "too_many_downloads", detail, headers=headers)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running)
        request.state.reports = await stack.enter_async_context(reports_of(request).frozen())
        pages = _pages(query, read)
        first = await anext(pages)  # what is wrong with the question is told before anything else is
        held = stack.pop_all()
    name = request.scope["path"].strip("/").replace("/", "-")
    stem = f"perpetua-{name}-{runtime_of(request).clock.now():%Y%m%dT%H%M%SZ}"
    return _Download(_written(query.format, item, first, pages), held, stem=stem, kind=query.format)


class _Download(Response):
    def __init__(self, chunks: AsyncIterator[bytes], held: AsyncExitStack, *, stem: str, kind: Format) -> None:
        super().__init__(
            media_type=f"{CSV}; charset=utf-8; header=present" if kind is Format.CSV else JSONL,
            headers={"Content-Disposition": f'attachment; filename="{stem}.{kind}"'},
        )
        del self.headers["content-length"]
        self._chunks = chunks
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        async with self._held:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            gone = asyncio.create_task(_gone(receive))
            try:
                if scope["method"] != "HEAD":
                    async for chunk in self._chunks:
                        async with asyncio.timeout(READER_SECONDS):
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})
                        if gone.done():
                            log.info("download left", extra={"path": scope["path"]})
                            return
            except TimeoutError:
                log.warning("download dropped", extra={"path": scope["path"], "why": "its reader takes too long"})
                return
            finally:
                gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pages(query: DownloadQuery, read: ReadPage) -> AsyncIterator[Sequence[BaseModel]]:
    left = query.limit if "limit" in query.model_fields_set else None
    while True:
        limit = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
        page = await read(query=query.model_copy(update={"limit": limit}))
        yield page.items
        if left is not None:
            left -= len(page.items)
        if not page.more or left == 0:
            return
        query = query.model_copy(update={query.cursor: page.next})


async def _written(
    kind: Format, item: type[BaseModel], first: Sequence[BaseModel], rest: AsyncIterator[Sequence[BaseModel]]
) -> AsyncIterator[bytes]:
    write = _csv if kind is Format.CSV else _jsonl
    if kind is Format.CSV:
        yield _csv_lines([list(item.model_fields)])
    yield write(first)
    async for rows in rest:
        yield write(rows)


def _jsonl(rows: Sequence[BaseModel]) -> bytes:
    return "".join(f"{row.model_dump_json()}\n" for row in rows).encode()


def _csv(rows: Sequence[BaseModel]) -> bytes:
    return _csv_lines([[_cell(value) for value in row.model_dump(mode="json").values()] for row in rows])


def _csv_lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return f"'{value}" if FORMULA.match(value) and not NUMBER.fullmatch(value) else value
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
